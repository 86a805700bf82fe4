// Non-linearities, their derivatives, and products with a gate. The numbers of the functions are those of
// `Function` in src/cuda/activation.rs. What a function is applied to may lack a bias, one number for each of the
// `width` columns of its rows.
#include "common.cuh"

enum { RELU, GELU, GELU_NEW, SWISH, TANH, SIGMOID, LEAKY_RELU };

#define SQRT_HALF 0.70710678118654752440f
#define SQRT_2_OVER_PI 0.79788456080286535588f
#define CUBIC 0.044715f

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ __forceinline__ float value(int f, float x) {
  switch (f) {
  case RELU: return x > 0.0f ? x : 0.0f;
  case GELU: return 0.5f * x * (1.0f + erff(x * SQRT_HALF));
  case GELU_NEW: return 0.5f * x * (1.0f + tanhf(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
  case SWISH: return x * sigmoid(x);
  case TANH: return tanhf(x);
  case SIGMOID: return sigmoid(x);
  default: return x > 0.0f ? x : 0.01f * x;
  }
}

__device__ __forceinline__ float derivative(int f, float x) {
  switch (f) {
  case RELU: return x > 0.0f ? 1.0f : 0.0f;
  case GELU: return 0.5f * (1.0f + erff(x * SQRT_HALF)) + x * expf(-0.5f * x * x) * 0.39894228040143267794f;
  case GELU_NEW: {
    const float t = tanhf(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * SQRT_2_OVER_PI * (1.0f + 3.0f * CUBIC * x * x);
  }
  case SWISH: {
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
  case TANH: {
    const float t = tanhf(x);
    return 1.0f - t * t;
  }
  case SIGMOID: {
    const float s = sigmoid(x);
    return s * (1.0f - s);
  }
  default: return x > 0.0f ? 1.0f : 0.01f;
  }
}

// Numbers of a row-major matrix with its bias, where it has one: four at a time, or one.
template <typename T> struct Inner {
  const T *x;
  const float *bias;
  int width;
  // Division by a number that is known at run time only is dear, in 64 bits four times as dear.
  __device__ int column(long long i) const { return i >> 32 ? (int)(i % width) : (int)((unsigned)i % (unsigned)width); }
  __device__ float at(long long i) const { return to_single(x[i]) + (bias ? bias[column(i)] : 0.0f); }
  __device__ float4 four(long long i) const {
    float4 v = load4(x + i);
    if (bias) {
      const float4 b = load4(bias + column(i));
      v.x += b.x, v.y += b.y, v.z += b.z, v.w += b.w;
    }
    return v;
  }
};

// Calls `four` with every fourth number where a matrix may be read so, and `one` with every number else.
template <typename Four, typename One>
__device__ void each(long long n, int width, bool aligned, const Four &four, const One &one) {
  const long long quarter = aligned && width % 4 == 0 ? n / 4 : 0;
  for (long long i = first(); i < quarter; i += stride()) four(4 * i);
  for (long long i = 4 * quarter + first(); i < n; i += stride()) one(i);
}

__device__ __forceinline__ float4 values(int f, float4 x) {
  return make_float4(value(f, x.x), value(f, x.y), value(f, x.z), value(f, x.w));
}
__device__ __forceinline__ float4 derivatives(int f, float4 x) {
  return make_float4(derivative(f, x.x), derivative(f, x.y), derivative(f, x.z), derivative(f, x.w));
}

// y = f(x + bias)
template <typename I, typename T>
__device__ void map(const I *x, const float *bias, int width, T *y, long long n, int f) {
  const Inner<I> inner = {x, bias, width};
  each(
      n, width, is_aligned(x, 4) && is_aligned(y, 4), [&](long long i) { store4(y + i, values(f, inner.four(i))); },
      [&](long long i) { y[i] = from_single<T>(value(f, inner.at(i))); });
}

// y = f(gate + its bias) (up + its bias)
template <typename I, typename T>
__device__ void gated(const I *gate, const float *gate_bias, const I *up, const float *up_bias, int width, T *y,
                      long long n, int f) {
  const Inner<I> g = {gate, gate_bias, width}, u = {up, up_bias, width};
  each(
      n, width, is_aligned(gate, 4) && is_aligned(up, 4) && is_aligned(y, 4),
      [&](long long i) { store4(y + i, times(values(f, g.four(i)), u.four(i))); },
      [&](long long i) { y[i] = from_single<T>(value(f, g.at(i)) * u.at(i)); });
}

// dx = dy f'(x + bias)
template <typename T>
__device__ void map_backward(const T *x, const float *bias, int width, const T *dy, T *dx, long long n, int f) {
  const Inner<T> inner = {x, bias, width};
  each(
      n, width, is_aligned(x, 4) && is_aligned(dy, 4) && is_aligned(dx, 4),
      [&](long long i) { store4(dx + i, times(load4(dy + i), derivatives(f, inner.four(i)))); },
      [&](long long i) { dx[i] = from_single<T>(to_single(dy[i]) * derivative(f, inner.at(i))); });
}

// dg = dy u f'(g), du = dy f(g)
template <typename T>
__device__ void gated_backward(const T *gate, const float *gate_bias, const T *up, const float *up_bias, int width,
                               const T *dy, T *dgate, T *dup, long long n, int f) {
  const Inner<T> g = {gate, gate_bias, width}, u = {up, up_bias, width};
  const bool aligned = is_aligned(gate, 4) && is_aligned(up, 4) && is_aligned(dy, 4) && is_aligned(dgate, 4);
  each(
      n, width, aligned && is_aligned(dup, 4),
      [&](long long i) {
        const float4 at = g.four(i), d = load4(dy + i);
        store4(dgate + i, times(times(d, u.four(i)), derivatives(f, at)));
        store4(dup + i, times(d, values(f, at)));
      },
      [&](long long i) {
        const float at = g.at(i), d = to_single(dy[i]);
        dgate[i] = from_single<T>(d * u.at(i) * derivative(f, at));
        dup[i] = from_single<T>(d * value(f, at));
      });
}

#define FORWARD(FROM, I, TO, T)                                                                                        \
  extern "C" __global__ void map_##FROM##_##TO(const I *x, const float *bias, int width, T *y, long long n, int f) {   \
    map(x, bias, width, y, n, f);                                                                                      \
  }                                                                                                                    \
  extern "C" __global__ void gated_##FROM##_##TO(const I *gate, const float *gate_bias, const I *up, const float *up_bias,\
                                                 int width, T *y, long long n, int f) {                                \
    gated(gate, gate_bias, up, up_bias, width, y, n, f);                                                               \
  }

#define BACKWARD(NAME, T)                                                                                              \
  extern "C" __global__ void map_backward_##NAME(const T *x, const float *bias, int width, const T *dy, T *dx, long long n,\
                                                 int f) {                                                              \
    map_backward(x, bias, width, dy, dx, n, f);                                                                        \
  }                                                                                                                    \
  extern "C" __global__ void gated_backward_##NAME(const T *gate, const float *gate_bias, const T *up, const float *up_bias,\
                                                   int width, const T *dy, T *dgate, T *dup, long long n, int f) {     \
    gated_backward(gate, gate_bias, up, up_bias, width, dy, dgate, dup, n, f);                                         \
  }

FORWARD(f32, float, f32, float)
FORWARD(f32, float, bf16, __nv_bfloat16)
FORWARD(bf16, __nv_bfloat16, bf16, __nv_bfloat16)
BACKWARD(f32, float)
BACKWARD(bf16, __nv_bfloat16)
