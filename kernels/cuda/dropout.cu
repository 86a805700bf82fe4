// Dropout whose mask is a pure function of a key and the place of the element: Philox4x32 of ten rounds (Salmon et
// al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
#include "common.cuh"

struct Four {
  unsigned a, b, c, d;
};

__device__ __forceinline__ Four philox(Four counter, unsigned key_a, unsigned key_b) {
  for (int round = 0; round < 10; round++) {
    const unsigned high_a = __umulhi(0xD2511F53u, counter.a), low_a = 0xD2511F53u * counter.a;
    const unsigned high_c = __umulhi(0xCD9E8D57u, counter.c), low_c = 0xCD9E8D57u * counter.c;
    counter = Four{high_c ^ counter.b ^ key_a, low_c, high_a ^ counter.d ^ key_b, low_a};
    key_a += 0x9E3779B9u;
    key_b += 0xBB67AE85u;
  }
  return counter;
}

// Elements whose number is below `threshold` become zero, the others are multiplied by `keep`.
extern "C" __global__ void dropout(const float *x, float *y, long long n, unsigned threshold, float keep,
                                   unsigned long long seed, unsigned step, unsigned long long site) {
  const long long quarters = (n + 3) / 4;
  for (long long i = first(); i < quarters; i += stride()) {
    // Two places differ in the counter, or in both halves of the key at once.
    const unsigned salt = (unsigned)(site >> 32) * 0x85EBCA6Bu;
    const Four drawn = philox(Four{(unsigned)i, (unsigned)(i >> 32), step, (unsigned)site}, (unsigned)seed ^ salt,
                              (unsigned)(seed >> 32) ^ (unsigned)(site >> 32));
    const unsigned numbers[4] = {drawn.a, drawn.b, drawn.c, drawn.d};
    for (int j = 0; j < 4 && 4 * i + j < n; j++) y[4 * i + j] = numbers[j] < threshold ? 0.0f : x[4 * i + j] * keep;
  }
}
