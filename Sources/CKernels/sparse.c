// Sparse matrices in compressed rows, and the counting sort that makes them.
#include "internal.h"

typedef struct {
  int64_t rows, n;
  const int64_t *pointers, *columns;
  const void *a, *b;
  void *out;
  bool sampled;
} job;

// The first row that begins at `place` of the rows and values in one line, or behind it.
static int64_t first_row(const job *j, int64_t place) {
  int64_t low = 0, high = j->rows;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (j->pointers[middle] + middle < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

#define CK_BODY "sparse_body.h"
#include "levels.h"

static void sparse_f32_range(void *context, int64_t begin, int64_t end) { CK_PICK(sparse_f32)(context, begin, end); }
static void sparse_f64_range(void *context, int64_t begin, int64_t end) { CK_PICK(sparse_f64)(context, begin, end); }

static ck_status run(int32_t dtype, job *j, int64_t count, int64_t columns) {
  if (dtype != CK_F32 && dtype != CK_F64) return (ck_status){CK_UNSUPPORTED, 0};
  const ck_status status = ck_check_indices(CK_I64, count, j->columns, columns);
  if (status.code) return status;
  ck_parallel(count + j->rows, ck_grain_for(j->n), j, dtype == CK_F32 ? sparse_f32_range : sparse_f64_range);
  return status;
}

ck_status ck_sparse_matmul(int32_t dtype, int64_t rows, int64_t columns, int64_t count, int64_t n, void *out,
                           const int64_t *pointers, const int64_t *column, const void *values, const void *b) {
  job j = {rows, n, pointers, column, values, b, out, false};
  return run(dtype, &j, count, columns);
}

ck_status ck_sampled_matmul(int32_t dtype, int64_t rows, int64_t columns, int64_t count, int64_t n, void *out,
                            const int64_t *pointers, const int64_t *column, const void *a, const void *b) {
  job j = {rows, n, pointers, column, a, b, out, true};
  return run(dtype, &j, count, columns);
}

ck_status ck_counting_sort(int64_t n, int64_t count, int64_t *order, int64_t *begins, const int64_t *keys) {
  const ck_status status = ck_check_indices(CK_I64, n, keys, count);
  if (status.code) return status;
  memset(begins, 0, (size_t)(count + 1) * sizeof *begins);
  for (int64_t i = 0; i < n; i++) begins[keys[i] + 1]++;
  for (int64_t k = 0; k < count; k++) begins[k + 1] += begins[k];
  // Each begin walks to the next one, and is put back.
  for (int64_t i = 0; i < n; i++) order[begins[keys[i]]++] = i;
  for (int64_t k = count; k > 0; k--) begins[k] = begins[k - 1];
  begins[0] = 0;
  return status;
}
