// Products with a sparse matrix in compressed rows. Included once per level. A part of the work is a stretch of rows and
// values together, and the rows that begin in it; so long rows do not weigh on one thread, and each element has one order
// of additions.
#define SPARSE(t, T)                                                                              \
  typedef T L(vector_##t) __attribute__((vector_size(CK_VECTOR), aligned(sizeof(T))));            \
  enum { L(lanes_##t) = CK_VECTOR / sizeof(T) };                                                  \
  static void L(sparse_row_##t)(const job *j, int64_t from, int64_t to, T *o) {                   \
    const T *values = j->a, *b = j->b;                                                            \
    const int64_t n = j->n, step = L(lanes_##t), *columns = j->columns;                           \
    int64_t at = 0;                                                                               \
    for (; at + 4 * step <= n; at += 4 * step) {                                                  \
      L(vector_##t) s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};                                       \
      for (int64_t k = from; k < to; k++) {                                                       \
        const L(vector_##t) *x = (const L(vector_##t) *)(const void *)(b + columns[k] * n + at);  \
        const T v = values[k];                                                                    \
        s0 += v * x[0];                                                                           \
        s1 += v * x[1];                                                                           \
        s2 += v * x[2];                                                                           \
        s3 += v * x[3];                                                                           \
      }                                                                                           \
      L(vector_##t) *y = (L(vector_##t) *)(void *)(o + at);                                       \
      y[0] = s0;                                                                                  \
      y[1] = s1;                                                                                  \
      y[2] = s2;                                                                                  \
      y[3] = s3;                                                                                  \
    }                                                                                             \
    for (; at + step <= n; at += step) {                                                          \
      L(vector_##t) s = {0};                                                                      \
      for (int64_t k = from; k < to; k++)                                                         \
        s += values[k] * *(const L(vector_##t) *)(const void *)(b + columns[k] * n + at);         \
      *(L(vector_##t) *)(void *)(o + at) = s;                                                     \
    }                                                                                             \
    for (; at < n; at++) {                                                                        \
      T s0 = 0, s1 = 0;                                                                           \
      int64_t k = from;                                                                           \
      for (; k + 2 <= to; k += 2) {                                                               \
        s0 += values[k] * b[columns[k] * n + at];                                                 \
        s1 += values[k + 1] * b[columns[k + 1] * n + at];                                         \
      }                                                                                           \
      if (k < to) s0 += values[k] * b[columns[k] * n + at];                                       \
      o[at] = s0 + s1;                                                                            \
    }                                                                                             \
  }                                                                                               \
  static void L(sampled_row_##t)(const job *j, int64_t from, int64_t to, int64_t row, T *o) {     \
    const T *a = (const T *)j->a + row * j->n;                                                    \
    const int64_t n = j->n, step = L(lanes_##t);                                                  \
    for (int64_t k = from; k < to; k++) {                                                         \
      const T *b = (const T *)j->b + j->columns[k] * n;                                           \
      L(vector_##t) s0 = {0}, s1 = {0};                                                           \
      int64_t i = 0;                                                                              \
      for (; i + 2 * step <= n; i += 2 * step) {                                                  \
        const L(vector_##t) *x = (const L(vector_##t) *)(const void *)(a + i);                    \
        const L(vector_##t) *y = (const L(vector_##t) *)(const void *)(b + i);                    \
        s0 += x[0] * y[0];                                                                        \
        s1 += x[1] * y[1];                                                                        \
      }                                                                                           \
      s0 += s1;                                                                                   \
      T parts[L(lanes_##t)];                                                                      \
      memcpy(parts, &s0, sizeof parts);                                                           \
      for (int64_t w = L(lanes_##t) / 2; w > 0; w /= 2)                                           \
        for (int64_t l = 0; l < w; l++) parts[l] += parts[l + w];                                 \
      T sum = parts[0];                                                                           \
      for (; i < n; i++) sum += a[i] * b[i];                                                      \
      o[k] = sum;                                                                                 \
    }                                                                                             \
  }                                                                                               \
  static void L(sparse_##t)(const job *j, int64_t begin, int64_t end) {                           \
    for (int64_t row = first_row(j, begin); row < j->rows && j->pointers[row] + row < end; row++) \
      if (j->sampled) L(sampled_row_##t)(j, j->pointers[row], j->pointers[row + 1], row, j->out); \
      else L(sparse_row_##t)(j, j->pointers[row], j->pointers[row + 1], (T *)j->out + row * j->n); \
  }
SPARSE(f32, float)
SPARSE(f64, double)
#undef SPARSE
