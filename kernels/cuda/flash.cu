// Attention in bf16 whose scores never leave the chip (Dao, "FlashAttention-2", 2023), and its backward.
//
// Queries, keys and values are [b, heads, tokens, D] in bf16; what is given and its gradients are [b, tokens, heads D]
// in single precision, as are all sums. A block of four warps holds 64 rows, 16 a warp, and walks over the other side
// in tiles. Nothing is added by several blocks, so that every run gives the same. Consecutive query heads share a head
// of keys.
#include "common.cuh"
#include "mask.cuh"

using half_t = __nv_bfloat16;

constexpr int WARPS = 4, THREADS = 32 * WARPS, ROWS = 16 * WARPS;
constexpr float LOG2_E = 1.4426950408889634f;

// Elements between the rows of a tile: eight more than a row has, so that eight rows lie in different banks.
template <int D> constexpr int PITCH = D + 8;

struct Sizes {
  int t, s, heads, kv_heads;
  float scale;
};

// N rows of a [rows, D] matrix from `first` on; behind its end zeros.
template <int D, int N> __device__ void load(half_t *to, const half_t *from, int first, int rows) {
  constexpr int CHUNKS = D / 8;
  for (int i = threadIdx.x; i < N * CHUNKS; i += THREADS) {
    const int row = i / CHUNKS, chunk = i % CHUNKS;
    uint4 eight = make_uint4(0, 0, 0, 0);
    if (first + row < rows) eight = *reinterpret_cast<const uint4 *>(from + (size_t)(first + row) * D + 8 * chunk);
    *reinterpret_cast<uint4 *>(to + row * PITCH<D> + 8 * chunk) = eight;
  }
}

// Four 8 x 8 matrices whose rows begin where the 32 lanes say.
__device__ __forceinline__ void fragments(unsigned (&r)[4], const half_t *at) {
  const unsigned address = (unsigned)__cvta_generic_to_shared(at);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

// The same, each of them transposed.
__device__ __forceinline__ void transposed_fragments(unsigned (&r)[4], const half_t *at) {
  const unsigned address = (unsigned)__cvta_generic_to_shared(at);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

// c += a b for a of 16 x 16 and b of 16 x 8.
__device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ unsigned pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned *>(&both);
}

// 16 rows of D elements as left operands.
template <int D> struct Rows {
  unsigned of[D / 16][4];
  __device__ explicit Rows(const half_t *a) {
    const int lane = threadIdx.x & 31;
    const half_t *at = a + ((lane & 7) + ((lane >> 3) & 1) * 8) * PITCH<D> + (lane >> 4) * 8;
#pragma unroll
    for (int k = 0; k < D; k += 16) fragments(of[k / 16], at + k);
  }
};

// c += a bᵀ: 16 rows `a` and N rows of `b`, both of D elements.
template <int D, int N> __device__ void rows_by_rows(float (&c)[N / 8][4], const Rows<D> &a, const half_t *b) {
  const int lane = threadIdx.x & 31;
  const half_t *b_at = b + ((lane & 7) + (lane >> 4) * 8) * PITCH<D> + ((lane >> 3) & 1) * 8;
#pragma unroll
  for (int k = 0; k < D; k += 16) {
#pragma unroll
    for (int n = 0; n < N; n += 16) {
      unsigned of_b[4];
      fragments(of_b, b_at + n * PITCH<D> + k);
      multiply(c[n / 8], a.of[k / 16], of_b[0], of_b[1]);
      multiply(c[n / 8 + 1], a.of[k / 16], of_b[2], of_b[3]);
    }
  }
}

// c += p b: p of 16 x N in registers as `rows_by_rows` leaves it, N rows of `b`, each of D elements.
template <int D, int N>
__device__ void registers_by_rows(float (&c)[D / 8][4], const float (&p)[N / 8][4], const half_t *b) {
  const int lane = threadIdx.x & 31;
  const half_t *b_at = b + ((lane & 7) + ((lane >> 3) & 1) * 8) * PITCH<D> + (lane >> 4) * 8;
#pragma unroll
  for (int k = 0; k < N; k += 16) {
    const float(&left)[4] = p[k / 8], (&right)[4] = p[k / 8 + 1];
    const unsigned of_p[4] = {pack(left[0], left[1]), pack(left[2], left[3]), pack(right[0], right[1]),
                              pack(right[2], right[3])};
#pragma unroll
    for (int n = 0; n < D; n += 16) {
      unsigned of_b[4];
      transposed_fragments(of_b, b_at + k * PITCH<D> + n);
      multiply(c[n / 8], of_p, of_b[0], of_b[1]);
      multiply(c[n / 8 + 1], of_p, of_b[2], of_b[3]);
    }
  }
}

// Where this thread's numbers of a 16 x 8 tile stand: rows `row` and `row + 8`, columns `column` and `column + 1`.
struct Place {
  int row, column;
  __device__ Place() {
    const int lane = threadIdx.x & 31;
    row = (threadIdx.x >> 5) * 16 + (lane >> 2);
    column = 2 * (lane & 3);
  }
};

// The sum and the maximum over the four threads that hold a row.
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffff, x, 1);
  return x + __shfl_xor_sync(0xffffffff, x, 2);
}
__device__ __forceinline__ float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffff, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffff, x, 2));
}

template <int D>
__device__ void write_rows(float *to, const float (&c)[D / 8][4], float factor, int first, int rows, int heads,
                           int head) {
  const Place place;
#pragma unroll
  for (int j = 0; j < D / 8; j++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = first + place.row + 8 * half;
      if (row >= rows) continue;
      float *at = to + ((size_t)row * heads + head) * D + 8 * j + place.column;
      *reinterpret_cast<float2 *>(at) = make_float2(c[j][2 * half] * factor, c[j][2 * half + 1] * factor);
    }
  }
}

// Keys that any query of a tile sees.
__device__ int last_key(const Mask &mask, int first, const Sizes &z) {
  return mask.causal && first >= mask.free_queries ? query_of(mask, min(first + ROWS, z.t) - 1, z.t, z.s).limit : z.s;
}

// Whether all queries of a block from `first` on see all of so many keys from `at` on, with nothing added.
__device__ bool sees_all(const Mask &mask, int first, int at, int count, const Sizes &z) {
  return !mask.hides && at + count <= z.s && (!mask.causal || at + count <= query_of(mask, first, z.t, z.s).limit);
}

// The output, and of every row the logarithm of its sum of exponentials; infinite where nothing is seen.
template <int D, int N>
__device__ void forward(const half_t *q, const half_t *k, const half_t *v, float *o, float *logs, const Mask mask,
                        const Sizes z) {
  __shared__ __align__(16) half_t qs[ROWS * PITCH<D>], ks[N * PITCH<D>], vs[N * PITCH<D>];
  const int first = blockIdx.x * ROWS, head = blockIdx.y % z.heads, batch = blockIdx.y / z.heads;
  const size_t of_keys = ((size_t)batch * z.kv_heads + head / (z.heads / z.kv_heads)) * z.s * D;
  const float *bias = mask.bias + (size_t)batch * z.s;
  const Place place;
  load<D, ROWS>(qs, q + (size_t)blockIdx.y * z.t * D, first, z.t);
  const Query queries[2] = {query_of(mask, first + place.row, z.t, z.s),
                            query_of(mask, first + place.row + 8, z.t, z.s)};
  float sums[D / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {};
  const int keys = last_key(mask, first, z);
  __syncthreads();
  const Rows<D> own(qs + (threadIdx.x >> 5) * 16 * PITCH<D>);
  for (int at = 0; at < keys; at += N) {
    __syncthreads();
    load<D, N>(ks, k + of_keys, at, z.s);
    load<D, N>(vs, v + of_keys, at, z.s);
    __syncthreads();
    float p[N / 8][4] = {};
    rows_by_rows<D, N>(p, own, ks);
    float tile_most[2] = {-INFINITY, -INFINITY};
    const bool all = sees_all(mask, first, at, N, z);
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] *= z.scale;
        if (!all) {
          const int key = at + 8 * j + place.column + (e & 1);
          p[j][e] = key < z.s ? p[j][e] + queries[e >> 1].add(mask, key, bias[key]) : -INFINITY;
        }
        tile_most[e >> 1] = fmaxf(tile_most[e >> 1], p[j][e]);
      }
    }
    float base[2], shrink[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float next = fmaxf(most[half], row_max(tile_most[half]));
      base[half] = next == -INFINITY ? 0.0f : next;
      shrink[half] = exp2f((most[half] - base[half]) * LOG2_E);
      most[half] = next;
      total[half] *= shrink[half];
    }
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        p[j][e] = exp2f((p[j][e] - base[e >> 1]) * LOG2_E);
        total[e >> 1] += p[j][e];
      }
    }
#pragma unroll
    for (int j = 0; j < D / 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) sums[j][e] *= shrink[e >> 1];
    }
    registers_by_rows<D, N>(sums, p, vs);
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float all = row_sum(total[half]);
    const float inverse = all > 0.0f ? 1.0f / all : 0.0f;
#pragma unroll
    for (int j = 0; j < D / 8; j++) {
      sums[j][2 * half] *= inverse;
      sums[j][2 * half + 1] *= inverse;
    }
    const int row = first + place.row + 8 * half;
    if (place.column == 0 && row < z.t)
      logs[(size_t)blockIdx.y * z.t + row] = all > 0.0f ? most[half] + logf(all) : INFINITY;
  }
  write_rows<D>(o + (size_t)batch * z.t * z.heads * D, sums, 1.0f, first, z.t, z.heads, head);
}

// p of this thread's numbers of a tile of scores, for the logarithms of its rows' or columns' sums.
__device__ __forceinline__ float probability(float score, float add, float log, const Sizes &z) {
  return exp2f((score * z.scale + add - log) * LOG2_E);
}

// The gradient of the queries: dq = scale ds k, ds = p (dp - delta), dp = do vᵀ.
template <int D, int N>
__device__ void query_gradient(const half_t *q, const half_t *k, const half_t *v, const half_t *go, const float *logs,
                               const float *deltas, float *dq, const Mask mask, const Sizes z) {
  __shared__ __align__(16) half_t qs[ROWS * PITCH<D>], gs[ROWS * PITCH<D>], ks[N * PITCH<D>], vs[N * PITCH<D>];
  const int first = blockIdx.x * ROWS, head = blockIdx.y % z.heads, batch = blockIdx.y / z.heads;
  const size_t of_queries = (size_t)blockIdx.y * z.t * D;
  const size_t of_keys = ((size_t)batch * z.kv_heads + head / (z.heads / z.kv_heads)) * z.s * D;
  const float *bias = mask.bias + (size_t)batch * z.s;
  const Place place;
  load<D, ROWS>(qs, q + of_queries, first, z.t);
  load<D, ROWS>(gs, go + of_queries, first, z.t);
  Query queries[2];
  float log[2], delta[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = first + place.row + 8 * half;
    queries[half] = query_of(mask, row, z.t, z.s);
    log[half] = row < z.t ? logs[(size_t)blockIdx.y * z.t + row] : INFINITY;
    delta[half] = row < z.t ? deltas[(size_t)blockIdx.y * z.t + row] : 0.0f;
  }
  float sums[D / 8][4] = {};
  const int keys = last_key(mask, first, z), warp = (threadIdx.x >> 5) * 16 * PITCH<D>;
  __syncthreads();
  const Rows<D> own(qs + warp), own_gradient(gs + warp);
  for (int at = 0; at < keys; at += N) {
    __syncthreads();
    load<D, N>(ks, k + of_keys, at, z.s);
    load<D, N>(vs, v + of_keys, at, z.s);
    __syncthreads();
    float p[N / 8][4] = {}, dp[N / 8][4] = {};
    rows_by_rows<D, N>(p, own, ks);
    rows_by_rows<D, N>(dp, own_gradient, vs);
    const bool all = sees_all(mask, first, at, N, z);
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int key = at + 8 * j + place.column + (e & 1), half = e >> 1;
        const float add = all ? 0.0f : key < z.s ? queries[half].add(mask, key, bias[key]) : -INFINITY;
        p[j][e] = probability(p[j][e], add, log[half], z) * (dp[j][e] - delta[half]);
      }
    }
    registers_by_rows<D, N>(sums, p, ks);
  }
  write_rows<D>(dq + (size_t)batch * z.t * z.heads * D, sums, z.scale, first, z.t, z.heads, head);
}

// The gradients of keys and values, over all query heads that share them: dv = pᵀ do, dk = scale dsᵀ q.
template <int D, int N>
__device__ void key_gradients(const half_t *q, const half_t *k, const half_t *v, const half_t *go, const float *logs,
                              const float *deltas, float *dk, float *dv, const Mask mask, const Sizes z) {
  __shared__ __align__(16) half_t ks[ROWS * PITCH<D>], vs[ROWS * PITCH<D>], qs[N * PITCH<D>], gs[N * PITCH<D>];
  __shared__ float log[N], delta[N];
  const int first = blockIdx.x * ROWS, head = blockIdx.y % z.kv_heads, batch = blockIdx.y / z.kv_heads;
  const int group = z.heads / z.kv_heads, warp = (threadIdx.x >> 5) * 16 * PITCH<D>;
  const size_t of_keys = (size_t)blockIdx.y * z.s * D;
  const Place place;
  load<D, ROWS>(ks, k + of_keys, first, z.s);
  load<D, ROWS>(vs, v + of_keys, first, z.s);
  int keys[2];
  float bias[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    keys[half] = first + place.row + 8 * half;
    bias[half] = keys[half] < z.s ? mask.bias[(size_t)batch * z.s + keys[half]] : -INFINITY;
  }
  float of_k[D / 8][4] = {}, of_v[D / 8][4] = {};
  // The first query that sees the first key.
  const int start = mask.causal && mask.free_queries == 0 ? max(first + z.t - z.s, 0) / N * N : 0;
  for (int member = 0; member < group; member++) {
    const size_t row = (size_t)batch * z.heads + head * group + member;
    for (int at = start; at < z.t; at += N) {
      __syncthreads();
      load<D, N>(qs, q + row * z.t * D, at, z.t);
      load<D, N>(gs, go + row * z.t * D, at, z.t);
      for (int i = threadIdx.x; i < N; i += THREADS) {
        log[i] = at + i < z.t ? logs[row * z.t + at + i] : INFINITY;
        delta[i] = at + i < z.t ? deltas[row * z.t + at + i] : 0.0f;
      }
      __syncthreads();
      float p[N / 8][4] = {}, dp[N / 8][4] = {};
      rows_by_rows<D, N>(p, Rows<D>(ks + warp), qs);
      rows_by_rows<D, N>(dp, Rows<D>(vs + warp), gs);
      const bool all = sees_all(mask, at, first, ROWS, z);
#pragma unroll
      for (int j = 0; j < N / 8; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const int query = 8 * j + place.column + (e & 1), half = e >> 1;
          const float add = all                ? 0.0f
                            : keys[half] < z.s ? query_of(mask, at + query, z.t, z.s).add(mask, keys[half], bias[half])
                                               : -INFINITY;
          p[j][e] = probability(p[j][e], add, log[query], z);
          dp[j][e] = p[j][e] * (dp[j][e] - delta[query]);
        }
      }
      registers_by_rows<D, N>(of_v, p, gs);
      registers_by_rows<D, N>(of_k, dp, qs);
    }
  }
  const size_t to = (size_t)batch * z.s * z.kv_heads * D;
  write_rows<D>(dk + to, of_k, z.scale, first, z.s, z.kv_heads, head);
  write_rows<D>(dv + to, of_v, 1.0f, first, z.s, z.kv_heads, head);
}

// delta = sum(do o) of every row: d / 4 threads for each of [b, t, heads], written as [b, heads, t].
extern "C" __global__ void flash_deltas(const float *o, const float *go, float *deltas, long long rows, int t,
                                        int heads, int d) {
  const long long thread = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  const int threads = d / 4, part = thread % threads;
  const long long row = thread / threads;
  float sum = 0.0f;
  if (row < rows) {
    const float *a = o + row * d + 4 * part, *b = go + row * d + 4 * part;
    for (int i = 0; i < 4; i++) sum += a[i] * b[i];
  }
  for (int offset = threads / 2; offset > 0; offset >>= 1) sum += __shfl_xor_sync(0xffffffff, sum, offset);
  const long long head = row % heads, token = row / heads % t, batch = row / heads / t;
  if (row < rows && part == 0) deltas[(batch * heads + head) * t + token] = sum;
}

#define MASK const float *bias, int hides, int free_queries, int causal
#define SIZES int t, int s, int heads, int kv_heads, float scale
#define OF_MASK (Mask{bias, hides, free_queries, causal, -1, 0})
#define OF_SIZES (Sizes{t, s, heads, kv_heads, scale})

#define KERNELS(D, N, M)                                                                                               \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      flash_forward_##D(const half_t *q, const half_t *k, const half_t *v, float *o, float *logs, MASK, SIZES) {       \
    forward<D, N>(q, k, v, o, logs, OF_MASK, OF_SIZES);                                                                \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      flash_queries_##D(const half_t *q, const half_t *k, const half_t *v, const half_t *go, const float *logs,        \
                        const float *deltas, float *dq, MASK, SIZES) {                                                 \
    query_gradient<D, M>(q, k, v, go, logs, deltas, dq, OF_MASK, OF_SIZES);                                            \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(THREADS)                                                                \
      flash_keys_##D(const half_t *q, const half_t *k, const half_t *v, const half_t *go, const float *logs,           \
                     const float *deltas, float *dk, float *dv, MASK, SIZES) {                                         \
    key_gradients<D, M>(q, k, v, go, logs, deltas, dk, dv, OF_MASK, OF_SIZES);                                         \
  }

KERNELS(32, 64, 64)
KERNELS(64, 64, 64)
KERNELS(128, 32, 16)
