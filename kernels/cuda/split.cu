// Numbers in single precision as two in half precision, whose products the matrix units compute
// (Ootomo, Yokota: Recovering single precision accuracy from Tensor Cores, 2022): x 2^e = high + low, each of eleven
// bits. One e for all numbers, so that the largest lies in [2^14, 2^15) and none overflows: every x is met to 2^-22 of
// itself, or to 2^-39 of the largest.
#include "common.cuh"
#include <cuda_fp16.h>

// Powers that a table of factors begins at: one for each exponent that a matrix can have.
constexpr int FACTORS = 41;
constexpr int MOST_EXPONENT = 80;

__device__ __forceinline__ float power_of_two(int e) { return __int_as_float((e + 127) << 23); }

// The largest magnitude that each block sees. What is no number becomes none in halves, and need not be seen here.
extern "C" __global__ void largest(const float *x, float *parts, long long n) {
  const long long quarter = is_aligned(x, 4) ? n / 4 : 0;
  float most = 0.0f;
#pragma unroll 4
  for (long long i = first(); i < quarter; i += stride()) {
    const float4 four = load4(x + 4 * i);
    most = fmaxf(most, fmaxf(fmaxf(fabsf(four.x), fabsf(four.y)), fmaxf(fabsf(four.z), fabsf(four.w))));
  }
  for (long long i = 4 * quarter + first(); i < n; i += stride()) most = fmaxf(most, fabsf(x[i]));
  most = block_max(most);
  if (threadIdx.x == 0) parts[blockIdx.x] = most;
}

// The exponent for the largest of all numbers, in every thread of a block. The first one writes the powers 2^(-e - j),
// by which products with a matrix of exponent j are to be multiplied.
__device__ __forceinline__ int exponent(const float *parts, int count, float *factors) {
  float most = 0.0f;
  for (int i = threadIdx.x; i < count; i += blockDim.x) most = fmaxf(most, parts[i]);
  most = block_max(most);
  const int e = most > 0.0f && !isinf(most) ? min(14 - ilogbf(most), MOST_EXPONENT) : 0;
  if (blockIdx.x == 0)
    for (int j = threadIdx.x; j < FACTORS; j += blockDim.x) factors[j] = power_of_two(-e - j);
  return e;
}

struct Halves {
  __half high, low;
};

__device__ __forceinline__ Halves halves(float x) {
  const __half high = __float2half_rn(x);
  return {high, __float2half_rn(x - __half2float(high))};
}

// A row [width] to [low | high], or with HIGH_FIRST to [high | low].
template <bool HIGH_FIRST> __device__ void split_row(const float *x, __half *y, int width, float scale) {
  const float *row = x + (size_t)blockIdx.x * width;
  __half *at = y + (size_t)blockIdx.x * 2 * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const Halves both = halves(row[i] * scale);
    at[i] = HIGH_FIRST ? both.high : both.low;
    at[width + i] = HIGH_FIRST ? both.low : both.high;
  }
}

// A matrix of exponent e, a block for each row.
extern "C" __global__ void split_matrix(const float *x, __half *y, int width, int e) {
  split_row<true>(x, y, width, power_of_two(e));
}

// Rows whose products with rows of a matrix are sums over the width, which is a multiple of eight.
extern "C" __global__ void split_rows(const float *x, const float *parts, int count, __half *y, float *factors,
                                      int width) {
  const float scale = power_of_two(exponent(parts, count, factors));
  if (!is_aligned(x, 4)) return split_row<false>(x, y, width, scale);
  const float *row = x + (size_t)blockIdx.x * width;
  __half *at = y + (size_t)blockIdx.x * 2 * width;
  for (int i = 4 * threadIdx.x; i < width; i += 4 * blockDim.x) {
    const float4 four = load4(row + i);
    const Halves a = halves(four.x * scale), b = halves(four.y * scale), c = halves(four.z * scale),
                 d = halves(four.w * scale);
    const __half2 low[2] = {{a.low, b.low}, {c.low, d.low}}, high[2] = {{a.high, b.high}, {c.high, d.high}};
    *reinterpret_cast<uint2 *>(at + i) = *reinterpret_cast<const uint2 *>(low);
    *reinterpret_cast<uint2 *>(at + width + i) = *reinterpret_cast<const uint2 *>(high);
  }
}

// Rows whose products with columns of a matrix are sums over its rows, which lie there as [high | low]: low and high
// in turn meet them in that order; and high alone.
extern "C" __global__ void split_pairs(const float *x, const float *parts, int count, __half *pairs, __half *high,
                                       float *factors, long long n) {
  const float scale = power_of_two(exponent(parts, count, factors));
  const long long quarter = is_aligned(x, 4) ? n / 4 : 0;
  for (long long i = first(); i < quarter; i += stride()) {
    const float4 four = load4(x + 4 * i);
    const Halves a = halves(four.x * scale), b = halves(four.y * scale), c = halves(four.z * scale),
                 d = halves(four.w * scale);
    const __half2 both[4] = {{a.low, a.high}, {b.low, b.high}, {c.low, c.high}, {d.low, d.high}};
    const __half2 upper[2] = {{a.high, b.high}, {c.high, d.high}};
    *reinterpret_cast<uint4 *>(pairs + 8 * i) = *reinterpret_cast<const uint4 *>(both);
    *reinterpret_cast<uint2 *>(high + 4 * i) = *reinterpret_cast<const uint2 *>(upper);
  }
  for (long long i = 4 * quarter + first(); i < n; i += stride()) {
    const Halves one = halves(x[i] * scale);
    pairs[2 * i] = one.low;
    pairs[2 * i + 1] = high[i] = one.high;
  }
}

// Products of a few rows x [rows, width] with a matrix in halves, a warp for each of its rows and ROWS of x: what the
// matrix was is multiplied.
template <int ROWS, bool HAS_LOW>
__device__ void few(const float *x, const __half *w, const float *bias, float *y, int rows, int out, int width,
                    float factor) {
  x += (size_t)blockIdx.y * ROWS * width;
  y += (size_t)blockIdx.y * ROWS * out;
  rows -= blockIdx.y * ROWS;
  const int lane = threadIdx.x & 31, o = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (o >= out) return;
  const __half *high = w + (size_t)o * (HAS_LOW ? 2 : 1) * width;
  float sums[ROWS] = {};
  for (int i = 8 * lane; i < width; i += 8 * 32) {
    float whole[8];
    const uint4 above = *reinterpret_cast<const uint4 *>(high + i);
#pragma unroll
    for (int j = 0; j < 8; j++) whole[j] = __half2float(reinterpret_cast<const __half *>(&above)[j]);
    if (HAS_LOW) {
      const uint4 below = *reinterpret_cast<const uint4 *>(high + width + i);
#pragma unroll
      for (int j = 0; j < 8; j++) whole[j] += __half2float(reinterpret_cast<const __half *>(&below)[j]);
    }
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
      if (row >= rows) break;
      const float *at = x + (size_t)row * width + i;
#pragma unroll
      for (int j = 0; j < 8; j++) sums[row] += whole[j] * at[j];
    }
  }
#pragma unroll
  for (int row = 0; row < ROWS; row++) {
    if (row >= rows) break;
    const float sum = warp_sum(sums[row]) * factor;
    if (lane == 0) y[(size_t)row * out + o] = bias ? sum + bias[o] : sum;
  }
}

#define FEW(name, rows_at_a_time, has_low)                                                                             \
  extern "C" __global__ void name(const float *x, const __half *w, const float *bias, float *y, int rows, int out,     \
                                  int width, float factor) {                                                           \
    few<rows_at_a_time, has_low>(x, w, bias, y, rows, out, width, factor);                                             \
  }
FEW(few_1, 1, false)
FEW(few_8, 8, false)
FEW(few_1_both, 1, true)
FEW(few_8_both, 8, true)
