// What the kernels share: sums over the threads that compute one row, and two number types.
#pragma once
#include <cuda_bf16.h>

// The sum over a warp, in every thread of it.
__device__ __forceinline__ float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffff, x, offset);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
  for (int offset = 16; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, offset));
  return x;
}

// The sum over a block of at most 1024 threads, in every thread of it. Always added in the same order.
__device__ __forceinline__ float block_sum(float x) {
  __shared__ float parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = (blockDim.x + 31) >> 5;
  x = warp_sum(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_sum(lane < warps ? parts[lane] : 0.0f);
}

__device__ __forceinline__ float block_max(float x) {
  __shared__ float parts[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = (blockDim.x + 31) >> 5;
  x = warp_max(x);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_max(lane < warps ? parts[lane] : -INFINITY);
}

template <typename T> __device__ __forceinline__ T from_single(float x);
template <> __device__ __forceinline__ float from_single<float>(float x) { return x; }
template <> __device__ __forceinline__ __nv_bfloat16 from_single<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

__device__ __forceinline__ float to_single(float x) { return x; }
__device__ __forceinline__ float to_single(__nv_bfloat16 x) { return __bfloat162float(x); }

// Whether so many numbers may be read at once from where an array begins.
template <typename T> __device__ __forceinline__ bool is_aligned(const T *x, int count) {
  return (reinterpret_cast<size_t>(x) & (count * sizeof(T) - 1)) == 0;
}

// Four numbers at once, from and to where that is allowed.
__device__ __forceinline__ float4 load4(const float *x) { return *reinterpret_cast<const float4 *>(x); }
__device__ __forceinline__ float4 load4(const __nv_bfloat16 *x) {
  const uint2 bits = *reinterpret_cast<const uint2 *>(x);
  const float2 low = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(&bits.x));
  const float2 high = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(&bits.y));
  return make_float4(low.x, low.y, high.x, high.y);
}
__device__ __forceinline__ void store4(float *to, float4 four) { *reinterpret_cast<float4 *>(to) = four; }
__device__ __forceinline__ void store4(__nv_bfloat16 *to, float4 four) {
  __nv_bfloat162 both[2] = {__floats2bfloat162_rn(four.x, four.y), __floats2bfloat162_rn(four.z, four.w)};
  *reinterpret_cast<uint2 *>(to) = *reinterpret_cast<uint2 *>(both);
}

__device__ __forceinline__ float4 times(float4 a, float4 b) {
  return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

// The number of this thread among all, and how many there are.
__device__ __forceinline__ long long first() { return blockIdx.x * (long long)blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long stride() { return gridDim.x * (long long)blockDim.x; }
