// The k first of each row: a heap of k candidates whose root is the worst, then sorted. Whole rows that are not short are
// sorted by their bits.
#include "internal.h"

typedef struct { int32_t dtype, failed; int64_t n, k; bool largest; char *out; int64_t *positions; const char *a; } job;

// before(x, i, y, j): x at index i comes first. NaN is larger than all numbers; ties by the lower index.
#define TOPK(t, T)                                                                                \
  static inline bool before_##t(bool largest, T x, int64_t i, T y, int64_t j) {                   \
    const bool nx = x != x, ny = y != y;                                                          \
    if (nx != ny) return nx == largest;                                                           \
    if (!nx && x != y) return (x > y) == largest;                                                 \
    return i < j;                                                                                 \
  }                                                                                               \
  static void sift_##t(bool largest, const T *a, int64_t *heap, int64_t k, int64_t at) {          \
    for (;;) {                                                                                    \
      int64_t worst = at;                                                                         \
      for (int64_t c = 2 * at + 1; c <= 2 * at + 2 && c < k; c++)                                 \
        if (before_##t(largest, a[heap[worst]], heap[worst], a[heap[c]], heap[c])) worst = c;     \
      if (worst == at) return;                                                                    \
      const int64_t swap = heap[at];                                                              \
      heap[at] = heap[worst];                                                                     \
      heap[worst] = swap;                                                                         \
      at = worst;                                                                                 \
    }                                                                                             \
  }                                                                                               \
  static void topk_##t(const job *j, int64_t k, int64_t *heap, const T *a) {                      \
    for (int64_t i = 0; i < k; i++) heap[i] = i;                                                  \
    for (int64_t i = k / 2 - 1; i >= 0; i--) sift_##t(j->largest, a, heap, k, i);                 \
    for (int64_t i = k; i < j->n; i++)                                                            \
      if (before_##t(j->largest, a[i], i, a[heap[0]], heap[0])) {                                 \
        heap[0] = i;                                                                              \
        sift_##t(j->largest, a, heap, k, 0);                                                      \
      }                                                                                           \
    for (int64_t end = k - 1; end > 0; end--) {  /* the worst goes last */                        \
      const int64_t swap = heap[0];                                                               \
      heap[0] = heap[end];                                                                        \
      heap[end] = swap;                                                                           \
      sift_##t(j->largest, a, heap, end, 0);                                                      \
    }                                                                                             \
  }
TOPK(f32, float)
TOPK(f64, double)
TOPK(i64, int64_t)

static void range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const int32_t wide = j->dtype == CK_F64 ? CK_F64 : ck_is_float(j->dtype) ? CK_F32 : CK_I64;
  const int64_t size = ck_element_size(j->dtype);
  const size_t bytes = wide == j->dtype ? 0 : (size_t)(j->n * ck_element_size(wide));
  void *buffer = bytes ? ck_alloc(bytes) : NULL;
  const size_t sort_bytes = j->k == j->n && j->n >= 64 ? ck_sort_bytes(wide, j->n) : 0;
  void *items = sort_bytes ? ck_alloc(sort_bytes) : NULL;
  if ((bytes && !buffer) || (sort_bytes && !items)) {
    if (buffer) ck_free(buffer, bytes);
    if (items) ck_free(items, sort_bytes);
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t r = begin; r < end; r++) {
    const char *row = j->a + r * j->n * size;
    const void *a = row;
    int64_t *heap = j->positions + r * j->k;
    if (buffer) {
      ck_cast_flat(j->dtype, wide, j->n, buffer, row);
      a = buffer;
    }
    if (items) ck_sort_row(wide, j->n, j->largest, heap, a, items);
    else if (wide == CK_F32) topk_f32(j, j->k, heap, a);
    else if (wide == CK_F64) topk_f64(j, j->k, heap, a);
    else topk_i64(j, j->k, heap, a);
    for (int64_t i = 0; i < j->k; i++) memcpy(j->out + (r * j->k + i) * size, row + heap[i] * size, (size_t)size);
  }
  if (buffer) ck_free(buffer, bytes);
  if (items) ck_free(items, sort_bytes);
}

int32_t ck_topk(int32_t dtype, int64_t rows, int64_t n, int64_t k, bool largest, void *out_values, int64_t *out_indices,
                const void *a) {
  if (!ck_is_dtype(dtype) || k > n || k < 0) return CK_UNSUPPORTED;
  job j = {dtype, 0, n, k, largest, out_values, out_indices, a};
  if (k > 0) ck_parallel(rows, ck_grain_for(n * 4), &j, range);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
