// Which keys a query sees: the numbers of `KeyMask`.
#pragma once

struct Mask {
  // [b, s]: what is added to the scores of a batch row; -inf hides.
  const float *bias;
  // Whether that is anything but zero.
  int hides;
  // Queries at the start that see everything.
  int free_queries;
  // Whether later keys are hidden.
  int causal;
  // How far a query sees, or -1, and the keys at the start that are seen from everywhere.
  int reach, in_front;
};

struct Query {
  int at, limit;
  bool free;

  // What is added to the score of a key below `s` that has this bias.
  __device__ float add(const Mask &mask, int key, float bias) const {
    if (free) return 0.0f;
    if (key >= limit) return -INFINITY;
    if (mask.reach >= 0 && key >= mask.in_front && abs(key - at) > mask.reach) return -INFINITY;
    return bias;
  }
};

// One of `t` queries on `s` keys, the last of which is the last query's.
__device__ __forceinline__ Query query_of(const Mask &mask, int query, int t, int s) {
  Query q;
  q.free = query < mask.free_queries;
  q.at = max(query + s - t, 0);
  q.limit = mask.causal ? min(max(query + 1 + s - t, 0), s) : s;
  return q;
}
