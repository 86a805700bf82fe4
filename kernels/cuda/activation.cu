// Non-linearities, their derivatives, and products with a gate. The numbers of the functions are those of
// `Function` in src/cuda/activation.rs.
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

template <typename T> __device__ void map(const float *x, T *y, long long n, int f) {
  for (long long i = first(); i < n; i += stride()) y[i] = from_single<T>(value(f, x[i]));
}

template <typename T> __device__ void gated(const float *gate, const float *up, T *y, long long n, int f) {
  for (long long i = first(); i < n; i += stride()) y[i] = from_single<T>(value(f, gate[i]) * up[i]);
}

extern "C" __global__ void map_f32(const float *x, float *y, long long n, int f) { map(x, y, n, f); }
extern "C" __global__ void map_bf16(const float *x, __nv_bfloat16 *y, long long n, int f) { map(x, y, n, f); }

extern "C" __global__ void gated_f32(const float *gate, const float *up, float *y, long long n, int f) {
  gated(gate, up, y, n, f);
}
extern "C" __global__ void gated_bf16(const float *gate, const float *up, __nv_bfloat16 *y, long long n, int f) {
  gated(gate, up, y, n, f);
}

extern "C" __global__ void map_backward(const float *x, const float *dy, float *dx, long long n, int f) {
  for (long long i = first(); i < n; i += stride()) dx[i] = dy[i] * derivative(f, x[i]);
}

// dg = dy u f'(g), du = dy f(g); `dgate` may be `dy`.
extern "C" __global__ void gated_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                          long long n, int f) {
  for (long long i = first(); i < n; i += stride()) {
    const float g = gate[i], d = dy[i];
    dgate[i] = d * up[i] * derivative(f, g);
    dup[i] = d * value(f, g);
  }
}
