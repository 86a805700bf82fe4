// Turns pairs of components of every head: `x [rows, heads, 2 half]`, `cos` and `sin` `[positions, half]`, where
// row r stands at position r mod positions. With `direction` -1 it turns back. A block for each row.
#include "common.cuh"

extern "C" __global__ void rotary(const float *x, const float *cos, const float *sin, float *y, int heads, int half,
                                  int positions, float direction) {
  const size_t at = (size_t)blockIdx.x * heads * 2 * half;
  const int angles = blockIdx.x % positions * half;
  for (int i = threadIdx.x; i < heads * half; i += blockDim.x) {
    const int head = i / half, component = i - head * half;
    const float c = cos[angles + component], s = sin[angles + component] * direction;
    const float *from = x + at + head * 2 * half + component;
    float *to = y + at + head * 2 * half + component;
    const float a = from[0], b = from[half];
    to[0] = a * c - b * s;
    to[half] = b * c + a * s;
  }
}
