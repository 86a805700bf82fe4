// Layer norm and RMS norm of rows, and the gradient of the input. One block for each row, which is
// read again where it is needed again: it lies in the first cache by then.
#include "common.cuh"

struct Row {
  const float *x, *residual;
  __device__ float at(int i) const { return residual ? x[i] + residual[i] : x[i]; }
};

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

extern "C" __global__ void norm_forward(const float *x, const float *residual, int has_residual, const float *gamma,
                                        const float *beta, float *y, int h, float eps, int centred) {
  const size_t at = (size_t)blockIdx.x * h;
  const Row row = {x + at, has_residual ? residual + at : nullptr};
  const float2 m = moments(row, h, eps, centred);
  for (int i = threadIdx.x; i < h; i += blockDim.x) y[at + i] = (row.at(i) - m.x) * m.y * gamma[i] + beta[i];
}

// With n = (x - mean) / s and g = dy * gamma: dx = (g - mean(g) - n mean(g n)) / s.
extern "C" __global__ void norm_backward(const float *x, const float *residual, int has_residual, const float *gamma,
                                         const float *dy, float *dx, int h, float eps, int centred) {
  const size_t at = (size_t)blockIdx.x * h;
  const Row row = {x + at, has_residual ? residual + at : nullptr};
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
