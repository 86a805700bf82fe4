// The cross-entropy of every row of scores, and its gradient. One block for each row.
#include "common.cuh"

// log sum exp z - z[label]
extern "C" __global__ void cross_entropy(const float *scores, const unsigned *labels, float *losses, int classes) {
  const float *row = scores + (size_t)blockIdx.x * classes;
  float most = -INFINITY, sum = 0.0f;
  for (int i = threadIdx.x; i < classes; i += blockDim.x) {
    const float z = row[i];
    if (z > most) {
      sum *= expf(most - z);
      most = z;
    }
    if (!(z == -INFINITY)) sum += expf(z - most);
  }
  const float all = block_max(most);
  sum = block_sum(sum == 0.0f ? 0.0f : sum * expf(most - all));
  if (threadIdx.x == 0) losses[blockIdx.x] = all + logf(sum) - row[labels[blockIdx.x]];
}

// (softmax(z) - [label]) of every row times its gradient.
extern "C" __global__ void cross_entropy_backward(const float *scores, const unsigned *labels, const float *losses,
                                                  const float *dy, float *dx, int classes) {
  const size_t at = (size_t)blockIdx.x * classes;
  const int label = labels[blockIdx.x];
  const float g = dy[blockIdx.x], norm = losses[blockIdx.x] + scores[at + label];
  for (int i = threadIdx.x; i < classes; i += blockDim.x) {
    const float p = expf(scores[at + i] - norm) * g;
    dx[at + i] = i == label ? p - g : p;
  }
}
