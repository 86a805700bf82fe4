// A step of the optimiser on many tensors at once, and the sums of their squares: a row of blocks for each tensor.
#include "common.cuh"

// As many tensors as the arguments of a launch have room for: `TENSORS` in src/cuda/adamw.rs.
constexpr int TENSORS = 64;

struct Tensors {
  float *values[TENSORS], *moments[TENSORS];
  const float *gradients[TENSORS];
  // What decay leaves of the values.
  float kept[TENSORS];
  int lengths[TENSORS];
};

struct Update {
  float beta1, beta2, size, root, epsilon, scale;
};

// With g scaled: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g g,
// x = kept x - size m / (sqrt(v) / root + epsilon). First moments lie in front of the second.
extern "C" __global__ void adamw(const Tensors all, const Update u) {
  const int n = all.lengths[blockIdx.y];
  float *values = all.values[blockIdx.y], *first = all.moments[blockIdx.y], *second = first + n;
  const float *gradient = all.gradients[blockIdx.y], kept = all.kept[blockIdx.y];
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const float g = gradient[i] * u.scale;
    const float m = u.beta1 * first[i] + (1.0f - u.beta1) * g;
    const float v = u.beta2 * second[i] + (1.0f - u.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    values[i] = kept * values[i] - u.size * m / (sqrtf(v) / u.root + u.epsilon);
  }
}

// A block for each part of a tensor, always added in the same order: parts [tensors, gridDim.x].
extern "C" __global__ void square_parts(const Tensors all, float *parts) {
  const int n = all.lengths[blockIdx.y];
  const float *x = all.gradients[blockIdx.y];
  float sum = 0.0f;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i] * x[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}
