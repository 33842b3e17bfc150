// Softmax over contiguous rows in f32. Included once per level.
#include "math_body.h"
// 16 running values, so that sums are the same on every level.
static float L(row_max)(int64_t n, const float *a) {
  float r[64], m = -__builtin_inff();
  for (int i = 0; i < 64; i++) r[i] = m;
  int64_t at = 0;
  for (; at + 64 <= n; at += 64)
    for (int i = 0; i < 64; i++) r[i] = a[at + i] > r[i] || a[at + i] != a[at + i] ? a[at + i] : r[i];
  for (; at < n; at++) m = a[at] > m || a[at] != a[at] ? a[at] : m;
  for (int i = 0; i < 64; i++) m = r[i] > m || r[i] != r[i] ? r[i] : m;
  return m;
}
// out = exp(a - shift); returns the sum. out may be null (sum only).
static float L(row_exp_sum)(int64_t n, float *out, const float *a, float shift) {
  float r[64] = {0}, e[64];
  int64_t at = 0;
  for (; at < n; at += 64) {
    const int count = n - at < 64 ? (int)(n - at) : 64;
    if (count == 64) {
      for (int i = 0; i < 64; i++) e[i] = L(exp_)(a[at + i] - shift);
      for (int i = 0; i < 64; i++) r[i] += e[i];
    } else {
      for (int i = 0; i < count; i++) r[i] += e[i] = L(exp_)(a[at + i] - shift);
    }
    if (out) memcpy(out + at, e, (size_t)count * sizeof(float));
  }
  for (int half = 32; half; half /= 2)
    for (int i = 0; i < half; i++) r[i] += r[i + half];
  return r[0];
}
static float L(row_dot)(int64_t n, const float *a, const float *b) {
  float r[64] = {0};
  int64_t at = 0;
  for (; at + 64 <= n; at += 64)
    for (int i = 0; i < 64; i++) r[i] += a[at + i] * (b ? b[at + i] : 1.0f);
  for (int i = 0; at + i < n; i++) r[i] += a[at + i] * (b ? b[at + i] : 1.0f);
  for (int half = 32; half; half /= 2)
    for (int i = 0; i < half; i++) r[i] += r[i + half];
  return r[0];
}
#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)
static void L(row_scale)(int64_t n, float *o, const float *a, float by) { LOOP(n) o[i] = a[i] * by; }
static void L(row_shift)(int64_t n, float *o, const float *a, float by) { LOOP(n) o[i] = a[i] - by; }
static void L(row_softmax_grad)(int64_t n, float *o, const float *y, const float *dy, float dot) {
  LOOP(n) o[i] = y[i] * (dy[i] - dot);
}
static void L(row_log_softmax_grad)(int64_t n, float *o, const float *y, const float *dy, float sum) {
  LOOP(n) o[i] = dy[i] - L(exp_)(y[i]) * sum;
}
#undef LOOP
