// Weighted sums of elements at the taps of n places, and their derivatives by the places. Included once per level. A tap
// below 0 counts 0, whatever element 0 is.
#define SUMS(t, T)                                                                                                   \
  static void L(grid_sums_##t)(int64_t n, int64_t taps, const int32_t (*at)[BLOCK], const T (*weight)[BLOCK],        \
                               const T *restrict plane, T *restrict out) {                                           \
    for (int64_t i = 0; i < n; i++) out[i] = 0;                                                                      \
    for (int64_t tap = 0; tap < taps; tap++)                                                                         \
      for (int64_t i = 0; i < n; i++) {                                                                              \
        const int32_t k = at[tap][i];                                                                                \
        const T part = weight[tap][i] * plane[k < 0 ? 0 : k];                                                        \
        out[i] += k < 0 ? 0 : part;                                                                                  \
      }                                                                                                              \
  }                                                                                                                  \
  static void L(grid_slopes_##t)(int64_t n, int64_t taps, const int32_t (*at)[BLOCK], const T (*slope)[BLOCK],       \
                                 const T *restrict plane, const T *restrict ct, T *restrict sums) {                  \
    for (int64_t tap = 0; tap < taps; tap++)                                                                         \
      for (int64_t i = 0; i < n; i++) {                                                                              \
        const int32_t k = at[tap][i];                                                                                \
        const T part = slope[tap][i] * plane[k < 0 ? 0 : k] * ct[i];                                                 \
        sums[i] += k < 0 ? 0 : part;                                                                                 \
      }                                                                                                              \
  }
SUMS(f32, float)
SUMS(f64, double)
#undef SUMS
