// The three products of an update of low rank, in single precision. Libraries have tiles for matrices that are wide in
// both directions; these are R columns wide on one side, and what they cost is reading the other.
#include "common.cuh"

constexpr int THREADS = 128;

// n [rows, R] = scale x w: x is [rows, width], w is [R, width], or [width, R] where it lies on its side. A warp
// computes ROWS rows, so that what it reads of w serves all of them.
template <int R, bool SIDE>
__device__ void narrow(const float *x, const float *w, float *n, int rows, int width, float scale) {
  constexpr int ROWS = 4;
  const int lane = threadIdx.x & 31;
  const int first_row = (blockIdx.x * (THREADS / 32) + (threadIdx.x >> 5)) * ROWS;
  if (first_row >= rows) return;
  const float *from[ROWS];
#pragma unroll
  for (int i = 0; i < ROWS; i++) from[i] = x + (size_t)min(first_row + i, rows - 1) * width;
  float sums[ROWS][R] = {};
  const bool fours = width % 4 == 0 && is_aligned(x, 4) && is_aligned(w, 4);
  const int end = fours ? width : 0;
  for (int c = 4 * lane; c < end; c += 128) {
    float4 own[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) own[i] = load4(from[i] + c);
#pragma unroll
    for (int r = 0; r < R; r++) {
      float4 of;
      if (SIDE) {
        of = make_float4(w[(size_t)c * R + r], w[(size_t)(c + 1) * R + r], w[(size_t)(c + 2) * R + r],
                         w[(size_t)(c + 3) * R + r]);
      } else {
        of = load4(w + (size_t)r * width + c);
      }
#pragma unroll
      for (int i = 0; i < ROWS; i++) {
        sums[i][r] += own[i].x * of.x + own[i].y * of.y + own[i].z * of.z + own[i].w * of.w;
      }
    }
  }
  for (int c = end + lane; c < width; c += 32) {
    float own[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) own[i] = from[i][c];
#pragma unroll
    for (int r = 0; r < R; r++) {
      const float of = SIDE ? w[(size_t)c * R + r] : w[(size_t)r * width + c];
#pragma unroll
      for (int i = 0; i < ROWS; i++) sums[i][r] += own[i] * of;
    }
  }
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
#pragma unroll
    for (int r = 0; r < R; r++) {
      const float sum = warp_sum(sums[i][r]);
      if (lane == 0 && first_row + i < rows) n[(size_t)(first_row + i) * R + r] = scale * sum;
    }
  }
}

// y [rows, width] += scale n w for n [rows, R]. A thread keeps a column of w and walks over CHUNK rows.
constexpr int WIDEN_CHUNK = 16;
template <int R, bool SIDE>
__device__ void widen(const float *n, const float *w, float *y, int rows, int width, float scale) {
  const int c = blockIdx.x * THREADS + threadIdx.x, from = blockIdx.y * WIDEN_CHUNK;
  __shared__ float narrow_rows[WIDEN_CHUNK * R];
  for (int i = threadIdx.x; i < WIDEN_CHUNK * R; i += THREADS) {
    narrow_rows[i] = from + i / R < rows ? n[(size_t)from * R + i] : 0.0f;
  }
  __syncthreads();
  if (c >= width) return;
  float column[R];
#pragma unroll
  for (int r = 0; r < R; r++) column[r] = scale * (SIDE ? w[(size_t)c * R + r] : w[(size_t)r * width + c]);
#pragma unroll 4
  for (int i = 0; i < WIDEN_CHUNK; i++) {
    if (from + i >= rows) return;
    float sum = 0.0f;
#pragma unroll
    for (int r = 0; r < R; r++) sum += narrow_rows[i * R + r] * column[r];
    y[(size_t)(from + i) * width + c] += sum;
  }
}

// nᵀ x of CHUNK rows: parts [chunks, R, width]. A thread keeps the sums of a column.
constexpr int OUTER_CHUNK = 64;
template <int R> __device__ void outer(const float *n, const float *x, float *parts, int rows, int width) {
  const int c = blockIdx.x * THREADS + threadIdx.x, from = blockIdx.y * OUTER_CHUNK;
  __shared__ float narrow_rows[OUTER_CHUNK * R];
  for (int i = threadIdx.x; i < OUTER_CHUNK * R; i += THREADS) {
    narrow_rows[i] = from + i / R < rows ? n[(size_t)from * R + i] : 0.0f;
  }
  __syncthreads();
  if (c >= width) return;
  float sums[R] = {};
  const int count = min(OUTER_CHUNK, rows - from);
#pragma unroll 8
  for (int i = 0; i < count; i++) {
    const float of = x[(size_t)(from + i) * width + c];
#pragma unroll
    for (int r = 0; r < R; r++) sums[r] += narrow_rows[i * R + r] * of;
  }
#pragma unroll
  for (int r = 0; r < R; r++) parts[((size_t)blockIdx.y * R + r) * width + c] = sums[r];
}

// The sum of parts [chunks, R width], always in the same order, as [R, width], or [width, R] where it is to lie on its
// side.
extern "C" __global__ void sum_parts(const float *parts, float *y, int chunks, int ranks, int width, float scale,
                                     int side) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= ranks * width) return;
  float sum = 0.0f;
  for (int chunk = 0; chunk < chunks; chunk++) sum += parts[(size_t)chunk * ranks * width + i];
  const int r = i / width, c = i - r * width;
  y[side ? (size_t)c * ranks + r : i] = scale * sum;
}

#define ONE(R, NAME, SIDE)                                                                                             \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      narrow##NAME##_##R(const float *x, const float *w, float *n, int rows, int width, float scale) {                 \
    narrow<R, SIDE>(x, w, n, rows, width, scale);                                                                      \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      widen##NAME##_##R(const float *n, const float *w, float *y, int rows, int width, float scale) {                  \
    widen<R, SIDE>(n, w, y, rows, width, scale);                                                                       \
  }

#define KERNELS(R)                                                                                                     \
  ONE(R, , false)                                                                                                      \
  ONE(R, _side, true)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      outer_##R(const float *n, const float *x, float *parts, int rows, int width) {                                   \
    outer<R>(n, x, parts, rows, width);                                                                                \
  }

KERNELS(4)
KERNELS(8)
KERNELS(16)
