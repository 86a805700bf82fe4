// Layer norm and RMS norm of rows, and the gradients of both sides. One block for each row. Where a row is no wider than
// four numbers a thread, each thread keeps its four; else the row is read again, and lies in the first cache by then.
#include "common.cuh"

struct Row {
  const float *x, *residual;
  __device__ float at(int i) const { return residual ? x[i] + residual[i] : x[i]; }
  __device__ float4 four(int i) const {
    const float4 a = load4(x + i);
    if (!residual) return a;
    const float4 b = load4(residual + i);
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
  }
  __device__ bool is_aligned_for(const float *other, int h) const {
    return h % 4 == 0 && h <= 4 * blockDim.x && is_aligned(x, 4) && is_aligned(other, 4) &&
           (!residual || is_aligned(residual, 4));
  }
};

__device__ __forceinline__ float total(float4 a) { return (a.x + a.y) + (a.z + a.w); }
__device__ __forceinline__ float dot(float4 a, float4 b) { return (a.x * b.x + a.y * b.y) + (a.z * b.z + a.w * b.w); }
// (a - b) c
__device__ __forceinline__ float4 shifted(float4 a, float b, float c) {
  return make_float4((a.x - b) * c, (a.y - b) * c, (a.z - b) * c, (a.w - b) * c);
}

// Mean, or zero where rows are not centred, and 1 / sqrt(variance + eps).
__device__ float2 moments(const Row row, int h, float eps, int centred) {
  float mean = 0.0f;
  if (centred) {
    float sum = 0.0f;
    for (int i = threadIdx.x; i < h; i += blockDim.x) sum += row.at(i);
    mean = block_sum(sum) / h;
  }
  float squares = 0.0f;
  for (int i = threadIdx.x; i < h; i += blockDim.x) {
    const float d = row.at(i) - mean;
    squares += d * d;
  }
  return make_float2(mean, 1.0f / sqrtf(block_sum(squares) / h + eps));
}

// The same of a row whose numbers the threads keep; those of a thread behind the end do not count.
__device__ float2 moments(float4 own, bool counts, int h, float eps, int centred) {
  const float mean = centred ? block_sum(counts ? total(own) : 0.0f) / h : 0.0f;
  const float4 d = shifted(own, mean, 1.0f);
  return make_float2(mean, 1.0f / sqrtf(block_sum(counts ? dot(d, d) : 0.0f) / h + eps));
}

extern "C" __global__ void norm_forward(const float *x, const float *residual, int has_residual, const float *gamma,
                                        const float *beta, float *y, int h, float eps, int centred) {
  const size_t at = (size_t)blockIdx.x * h;
  const Row row = {x + at, has_residual ? residual + at : nullptr};
  if (row.is_aligned_for(y + at, h) && is_aligned(gamma, 4) && is_aligned(beta, 4)) {
    const int i = 4 * threadIdx.x;
    const bool counts = i < h;
    const float4 own = counts ? row.four(i) : make_float4(0, 0, 0, 0);
    const float2 m = moments(own, counts, h, eps, centred);
    if (!counts) return;
    const float4 n = times(shifted(own, m.x, m.y), load4(gamma + i)), b = load4(beta + i);
    store4(y + at + i, make_float4(n.x + b.x, n.y + b.y, n.z + b.z, n.w + b.w));
    return;
  }
  const float2 m = moments(row, h, eps, centred);
  for (int i = threadIdx.x; i < h; i += blockDim.x) y[at + i] = (row.at(i) - m.x) * m.y * gamma[i] + beta[i];
}

// With n = (x - mean) / s and g = dy * gamma: dx = (g - mean(g) - n mean(g n)) / s.
extern "C" __global__ void norm_backward(const float *x, const float *residual, int has_residual, const float *gamma,
                                         const float *dy, float *dx, int h, float eps, int centred) {
  const size_t at = (size_t)blockIdx.x * h;
  const Row row = {x + at, has_residual ? residual + at : nullptr};
  if (row.is_aligned_for(dy + at, h) && is_aligned(dx + at, 4) && is_aligned(gamma, 4)) {
    const int i = 4 * threadIdx.x;
    const bool counts = i < h;
    const float4 zero = make_float4(0, 0, 0, 0), own = counts ? row.four(i) : zero;
    const float4 g = counts ? times(load4(dy + at + i), load4(gamma + i)) : zero;
    const float2 m = moments(own, counts, h, eps, centred);
    const float4 n = shifted(own, m.x, m.y);
    const float mean_g = centred ? block_sum(total(g)) / h : 0.0f;
    const float mean_gn = block_sum(counts ? dot(g, n) : 0.0f) / h;
    if (!counts) return;
    store4(dx + at + i, make_float4((g.x - mean_g - n.x * mean_gn) * m.y, (g.y - mean_g - n.y * mean_gn) * m.y,
                                    (g.z - mean_g - n.z * mean_gn) * m.y, (g.w - mean_g - n.w * mean_gn) * m.y));
    return;
  }
  const float2 m = moments(row, h, eps, centred);
  float sum_g = 0.0f, sum_gn = 0.0f;
  for (int i = threadIdx.x; i < h; i += blockDim.x) {
    const float g = dy[at + i] * gamma[i];
    sum_g += g;
    sum_gn += g * (row.at(i) - m.x) * m.y;
  }
  // Where no mean was taken away, none has a gradient.
  const float mean_g = centred ? block_sum(sum_g) / h : 0.0f;
  const float mean_gn = block_sum(sum_gn) / h;
  for (int i = threadIdx.x; i < h; i += blockDim.x) {
    const float n = (row.at(i) - m.x) * m.y;
    dx[at + i] = (dy[at + i] * gamma[i] - mean_g - n * mean_gn) * m.y;
  }
}

// dy n, with the same n.
extern "C" __global__ void norm_products(const float *x, const float *dy, float *y, int h, float eps, int centred) {
  const size_t at = (size_t)blockIdx.x * h;
  const Row row = {x + at, nullptr};
  const float2 m = moments(row, h, eps, centred);
  for (int i = threadIdx.x; i < h; i += blockDim.x) y[at + i] = dy[at + i] * (row.at(i) - m.x) * m.y;
}
