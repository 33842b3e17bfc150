// Philox blocks side by side; `first` is a multiple of 4096 values. Included once per level.
#include "math_body.h"

// 16 blocks (64 words) from block `at` on. The blocks are the lanes.
static void L(philox)(const int64_t *key, uint64_t at, uint32_t *out) {
  uint32_t c0[16], c1[16], c2[16], c3[16];
  for (int i = 0; i < 16; i++) {
    c0[i] = (uint32_t)(at + (uint64_t)i);
    c1[i] = (uint32_t)((at + (uint64_t)i) >> 32);
    c2[i] = (uint32_t)key[2];
    c3[i] = (uint32_t)key[1];
  }
  uint32_t k0 = (uint32_t)key[0], k1 = (uint32_t)((uint64_t)key[0] >> 32);
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 16; i++) {
      const uint64_t p = (uint64_t)0xD2511F53u * c0[i], q = (uint64_t)0xCD9E8D57u * c2[i];
      const uint32_t a = (uint32_t)(q >> 32) ^ c1[i] ^ k0, b = (uint32_t)(p >> 32) ^ c3[i] ^ k1;
      c0[i] = a;
      c1[i] = (uint32_t)q;
      c2[i] = b;
      c3[i] = (uint32_t)p;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 16; i++) {
    out[4 * i] = c0[i];
    out[4 * i + 1] = c1[i];
    out[4 * i + 2] = c2[i];
    out[4 * i + 3] = c3[i];
  }
}

static inline float L(unit32)(uint32_t w) {
  const float u = (float)w * 0x1p-32f;
  return u > 1 - 0x1p-24f ? 1 - 0x1p-24f : u;
}
static inline double L(unit64)(uint32_t high, uint32_t low) {
  const double u = (double)high * 0x1p-32 + (double)low * 0x1p-64;
  return u > 1 - 0x1p-53 ? 1 - 0x1p-53 : u;
}
// cos(2 pi u): the turn is exact in double, so no reduction by pi is needed.
static inline float L(cosine_of_turn)(float u) { return L(sincos_)((float)(6.283185307179586 * (double)u), 1); }

// `words` of a value; `value` reads them at w.
#define GENERATE(name, T, words, value)                                                       \
  static void L(name)(const int64_t *key, int64_t first, int64_t n, T *out) {                 \
    uint32_t block[64];                                                                       \
    enum { EACH = 64 / words };                                                               \
    for (int64_t at = 0; at < n; at += EACH) {                                                \
      L(philox)(key, (uint64_t)(first + at) * words / 4, block);                              \
      T made[EACH];                                                                           \
      for (int i = 0; i < EACH; i++) { const uint32_t *w = block + i * words; made[i] = (value); } \
      if (n - at >= EACH) memcpy(out + at, made, sizeof made);                                \
      else memcpy(out + at, made, (size_t)(n - at) * sizeof(T));                              \
    }                                                                                         \
  }
GENERATE(bits, uint32_t, 1, w[0])
GENERATE(uniform_f32, float, 1, L(unit32)(w[0]))
GENERATE(uniform_f64, double, 2, L(unit64)(w[0], w[1]))
GENERATE(normal_f64, double, 4, sqrt(-2 * log(1 - L(unit64)(w[0], w[1]))) * cos(6.283185307179586477 * L(unit64)(w[2], w[3])))
#undef GENERATE

// The words are parted first, so that the functions run over vectors.
static void L(normal_f32)(const int64_t *key, int64_t first, int64_t n, float *out) {
  uint32_t block[64];
  float u[32], v[32], made[32];
  for (int64_t at = 0; at < n; at += 32) {
    L(philox)(key, (uint64_t)(first + at) / 2, block);
    for (int i = 0; i < 32; i++) {
      u[i] = 1 - L(unit32)(block[2 * i]);
      v[i] = L(unit32)(block[2 * i + 1]);
    }
    for (int i = 0; i < 32; i++) u[i] = __builtin_elementwise_sqrt(-2 * L(log_)(u[i]));
    for (int i = 0; i < 32; i++) made[i] = u[i] * L(cosine_of_turn)(v[i]);
    memcpy(out + at, made, (size_t)ck_min64(32, n - at) * sizeof *made);
  }
}
