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

// The number of this thread among all, and how many there are.
__device__ __forceinline__ long long first() { return blockIdx.x * (long long)blockDim.x + threadIdx.x; }
__device__ __forceinline__ long long stride() { return gridDim.x * (long long)blockDim.x; }
