// Copies: into another precision, a bias into every row, heads beside each other into heads behind each other.
#include "common.cuh"

extern "C" __global__ void to_bf16(const float *x, __nv_bfloat16 *y, long long n) {
  // What was cut out of something larger need not begin where four numbers may be read at once.
  const long long quarter = (reinterpret_cast<size_t>(x) & 15) == 0 ? n / 4 : 0;
  for (long long i = first(); i < quarter; i += stride()) {
    const float4 v = reinterpret_cast<const float4 *>(x)[i];
    __nv_bfloat162 *to = reinterpret_cast<__nv_bfloat162 *>(y) + 2 * i;
    to[0] = __floats2bfloat162_rn(v.x, v.y);
    to[1] = __floats2bfloat162_rn(v.z, v.w);
  }
  for (long long i = 4 * quarter + first(); i < n; i += stride()) y[i] = __float2bfloat16_rn(x[i]);
}

// A block for each row.
extern "C" __global__ void fill_rows(const float *bias, float *y, int width) {
  float *row = y + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) row[i] = bias[i];
}

__device__ __forceinline__ void put(float *to, float4 four) { *reinterpret_cast<float4 *>(to) = four; }
__device__ __forceinline__ void put(__nv_bfloat16 *to, float4 four) {
  __nv_bfloat162 both[2] = {__floats2bfloat162_rn(four.x, four.y), __floats2bfloat162_rn(four.z, four.w)};
  *reinterpret_cast<uint2 *>(to) = *reinterpret_cast<uint2 *>(both);
}

// [b, t, h d] to [b, h, t, d], or back: a block for each of the b t tokens. Where d is a multiple of four, four at
// once.
template <bool BACK, typename T> __device__ void exchange(const float *x, T *y, int t, int h, int d) {
  const int token = blockIdx.x % t, row = blockIdx.x / t;
  const size_t together = (size_t)blockIdx.x * h * d, apart = ((size_t)row * h * t + token) * d;
  const size_t head_pitch = (size_t)t * d;
  if (d % 4 == 0 && (reinterpret_cast<size_t>(x) & 15) == 0) {
    for (int i = 4 * threadIdx.x; i < h * d; i += 4 * blockDim.x) {
      const int head = i / d;
      const size_t there = apart + head * head_pitch + (i - head * d);
      put(y + (BACK ? together + i : there), *reinterpret_cast<const float4 *>(x + (BACK ? there : together + i)));
    }
  } else {
    for (int i = threadIdx.x; i < h * d; i += blockDim.x) {
      const int head = i / d;
      const size_t there = apart + head * head_pitch + (i - head * d);
      y[BACK ? together + i : there] = from_single<T>(x[BACK ? there : together + i]);
    }
  }
}

extern "C" __global__ void split_f32(const float *x, float *y, int t, int h, int d) { exchange<false>(x, y, t, h, d); }
extern "C" __global__ void split_bf16(const float *x, __nv_bfloat16 *y, int t, int h, int d) {
  exchange<false>(x, y, t, h, d);
}
extern "C" __global__ void join(const float *x, float *y, int t, int h, int d) { exchange<true>(x, y, t, h, d); }
