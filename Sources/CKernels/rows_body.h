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
// The same over 64 rows side by side: value k of row i lies at a[k * step + i].
#define LANES for (int i = 0; i < 64; i++)
static void L(lanes_max)(int64_t n, int64_t step, float *top, const float *a) {
  LANES top[i] = -__builtin_inff();
  for (int64_t k = 0; k < n; k++, a += step) LANES top[i] = a[i] > top[i] || a[i] != a[i] ? a[i] : top[i];
}
// Sums of 64 values at a time are added up, so that long sums stay exact.
static void L(lanes_exp_sum)(int64_t n, int64_t step, float *sum, float *out, const float *a, const float *shift) {
  LANES sum[i] = 0;
  for (int64_t first = 0; first < n; first += 64) {
    float part[64] = {0};
    for (int64_t k = first; k < n && k < first + 64; k++) {
      float e[64];
      LANES e[i] = L(exp_)(a[k * step + i] - shift[i]);
      LANES part[i] += e[i];
      if (out) memcpy(out + k * step, e, sizeof e);
    }
    LANES sum[i] += part[i];
  }
}
static void L(lanes_dot)(int64_t n, int64_t step, float *sum, const float *a, const float *b) {
  LANES sum[i] = 0;
  for (int64_t first = 0; first < n; first += 64) {
    float part[64] = {0};
    for (int64_t k = first; k < n && k < first + 64; k++) {
      if (b) LANES part[i] += a[k * step + i] * b[k * step + i];
      else LANES part[i] += a[k * step + i];
    }
    LANES sum[i] += part[i];
  }
}
static void L(lanes_scale)(int64_t n, int64_t step, float *o, const float *by) {
  for (int64_t k = 0; k < n; k++, o += step) LANES o[i] *= by[i];
}
static void L(lanes_shift)(int64_t n, int64_t step, float *o, const float *a, const float *top, const float *log_sum) {
  for (int64_t k = 0; k < n; k++) LANES o[k * step + i] = a[k * step + i] - top[i] - log_sum[i];
}
static void L(lanes_softmax_grad)(int64_t n, int64_t step, float *o, const float *y, const float *dy,
                                  const float *dot) {
  for (int64_t k = 0; k < n; k++) LANES o[k * step + i] = y[k * step + i] * (dy[k * step + i] - dot[i]);
}
static void L(lanes_log_softmax_grad)(int64_t n, int64_t step, float *o, const float *y, const float *dy,
                                      const float *sum) {
  for (int64_t k = 0; k < n; k++) LANES o[k * step + i] = dy[k * step + i] - L(exp_)(y[k * step + i]) * sum[i];
}
static void L(lanes_log)(float *o, const float *a) { LANES o[i] = L(log_)(a[i]); }
#undef LANES
