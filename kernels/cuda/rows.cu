// Copies: into another precision, a bias into every row, heads beside each other into heads behind each other.
#include "common.cuh"

extern "C" __global__ void to_bf16(const float *x, __nv_bfloat16 *y, long long n) {
  // What was cut out of something larger need not begin where four numbers may be read at once.
  const long long quarter = is_aligned(x, 4) ? n / 4 : 0;
  for (long long i = first(); i < quarter; i += stride()) store4(y + 4 * i, load4(x + 4 * i));
  for (long long i = 4 * quarter + first(); i < n; i += stride()) y[i] = __float2bfloat16_rn(x[i]);
}

// The sums of CHUNK rows' columns: parts [chunks, width]. A thread keeps the sum of a column.
constexpr int SUM_CHUNK = 64;
extern "C" __global__ void column_parts(const float *x, float *parts, int rows, int width) {
  const int c = blockIdx.x * blockDim.x + threadIdx.x, from = blockIdx.y * SUM_CHUNK;
  if (c >= width) return;
  float sum = 0.0f;
  const int count = min(SUM_CHUNK, rows - from);
#pragma unroll 8
  for (int i = 0; i < count; i++) sum += x[(size_t)(from + i) * width + c];
  parts[(size_t)blockIdx.y * width + c] = sum;
}

// Rows of x [rows, width] by number, a block for each; zeros for one that is not there.
extern "C" __global__ void select_rows(const float *x, const unsigned *numbers, float *y, int rows, int width) {
  const unsigned number = numbers[blockIdx.x];
  const float *from = x + (size_t)number * width;
  float *to = y + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) to[i] = number < rows ? from[i] : 0.0f;
}

// Adds each row of dy to that of dx with its number. Where numbers differ nothing is added twice.
extern "C" __global__ void add_rows(const float *dy, const unsigned *numbers, float *dx, int rows, int width) {
  const unsigned number = numbers[blockIdx.x];
  if (number >= rows) return;
  const float *from = dy + (size_t)blockIdx.x * width;
  float *to = dx + (size_t)number * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) atomicAdd(to + i, from[i]);
}

// A block for each row.
extern "C" __global__ void fill_rows(const float *bias, float *y, int width) {
  float *row = y + (size_t)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) row[i] = bias[i];
}

// [b, t, h d] to [b, h, t, d], or back: a block for each of the b t tokens. Where d is a multiple of four, four at
// once.
template <bool BACK, typename T> __device__ void exchange(const float *x, T *y, int t, int h, int d) {
  const int token = blockIdx.x % t, row = blockIdx.x / t;
  const size_t together = (size_t)blockIdx.x * h * d, apart = ((size_t)row * h * t + token) * d;
  const size_t head_pitch = (size_t)t * d;
  if (d % 4 == 0 && is_aligned(x, 4)) {
    for (int i = 4 * threadIdx.x; i < h * d; i += 4 * blockDim.x) {
      const int head = i / d;
      const size_t there = apart + head * head_pitch + (i - head * d);
      store4(y + (BACK ? together + i : there), load4(x + (BACK ? there : together + i)));
    }
  } else {
    for (int i = threadIdx.x; i < h * d; i += blockDim.x) {
      const int head = i / d;
      const size_t there = apart + head * head_pitch + (i - head * d);
      y[BACK ? together + i : there] = from_single<T>(x[BACK ? there : together + i]);
    }
  }
}

extern "C" __global__ void split_f32(const float *x, float *y, int t, int h, int d) { exchange<false>(x, y, t, h, d); }
extern "C" __global__ void split_bf16(const float *x, __nv_bfloat16 *y, int t, int h, int d) {
  exchange<false>(x, y, t, h, d);
}
extern "C" __global__ void join(const float *x, float *y, int t, int h, int d) { exchange<true>(x, y, t, h, d); }
