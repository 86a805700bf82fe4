// Rows of attention scores as probabilities, and back. A warp for each row of `s` scores; row r of all is query
// r mod t, of head (r / t) mod h, of batch row r / (t h).
#include "common.cuh"
#include "mask.cuh"

template <typename T>
__device__ void softmax(const float *scores, const float *distances, int has_distances, T *p, Mask mask, long long rows,
                        int t, int h, int s) {
  const int lane = threadIdx.x & 31;
  const long long row = (blockIdx.x * (long long)blockDim.x + threadIdx.x) >> 5;
  if (row >= rows) return;
  const Query q = query_of(mask, row % t, t, s);
  const float *bias = mask.bias + row / ((long long)t * h) * s;
  const float *from = scores + row * s;
  const float *by_distance = has_distances ? distances + row % ((long long)t * h) * s : nullptr;
  T *to = p + row * s;
  // The maximum, and the sum of exponentials below it, in one pass.
  float most = -INFINITY, sum = 0.0f;
  for (int key = lane; key < s; key += 32) {
    float x = from[key] + q.add(mask, key, bias[key]);
    if (by_distance) x += by_distance[key];
    if (x > most) {
      sum *= expf(most - x);
      most = x;
    }
    if (!(x == -INFINITY)) sum += expf(x - most);
  }
  const float all = warp_max(most);
  sum = warp_sum(sum == 0.0f ? 0.0f : sum * expf(most - all));
  if (all == -INFINITY && sum == 0.0f) {
    // Nothing to be seen: everything alike; in a decoder nothing.
    for (int key = lane; key < s; key += 32) to[key] = from_single<T>(mask.causal ? 0.0f : 1.0f / s);
    return;
  }
  const float inverse = 1.0f / sum;
  for (int key = lane; key < s; key += 32) {
    float x = from[key] + q.add(mask, key, bias[key]);
    if (by_distance) x += by_distance[key];
    to[key] = from_single<T>(expf(x - all) * inverse);
  }
}

extern "C" __global__ void softmax_f32(const float *scores, const float *distances, int has_distances, float *p,
                                       const float *bias, int free_queries, int causal, int reach, int in_front,
                                       long long rows, int t, int h, int s) {
  softmax(scores, distances, has_distances, p, Mask{bias, 1, free_queries, causal, reach, in_front}, rows, t, h, s);
}
extern "C" __global__ void softmax_bf16(const float *scores, const float *distances, int has_distances,
                                        __nv_bfloat16 *p, const float *bias, int free_queries, int causal, int reach,
                                        int in_front, long long rows, int t, int h, int s) {
  softmax(scores, distances, has_distances, p, Mask{bias, 1, free_queries, causal, reach, in_front}, rows, t, h, s);
}

// ds = p (dp - sum(dp p)) of every row.
template <typename T> __device__ void gradient(const T *p, const float *dp, T *ds, long long rows, int s) {
  const int lane = threadIdx.x & 31;
  const long long row = (blockIdx.x * (long long)blockDim.x + threadIdx.x) >> 5;
  if (row >= rows) return;
  const T *own = p + row * s;
  const float *of = dp + row * s;
  float dot = 0.0f;
  for (int key = lane; key < s; key += 32) dot += to_single(own[key]) * of[key];
  dot = warp_sum(dot);
  for (int key = lane; key < s; key += 32) ds[row * s + key] = from_single<T>(to_single(own[key]) * (of[key] - dot));
}

extern "C" __global__ void gradient_f32(const float *p, const float *dp, float *ds, long long rows, int s) {
  gradient(p, dp, ds, rows, s);
}
extern "C" __global__ void gradient_bf16(const __nv_bfloat16 *p, const float *dp, __nv_bfloat16 *ds, long long rows,
                                         int s) {
  gradient(p, dp, ds, rows, s);
}
