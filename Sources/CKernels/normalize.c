// Normalisation of [n, c, s] by the mean and variance of sets of elements, and its gradient.
#include "internal.h"

enum { TILE = 64, PIECE = 64, BLOCK = 4096 };  // columns at once, rows that share sums, elements between widenings

typedef struct {
  int64_t n, c, s, groups;  // groups: sets are the groups of channels of an example; 0: a channel of all examples
  double epsilon;
  bool centred;
  const void *x, *g, *weight, *bias;
  void *out, *mean, *variance;
  double *weight_sums, *bias_sums;  // rows of c: one for each piece of rows, each example, or all
} job;

#define CK_BODY "normalize_body.h"
#include "levels.h"

// The sets of elements that lie at once in a range.
typedef struct { ck_body forward, backward; int64_t count, cost; } plan;

static plan plan_of(const job *j, int32_t dtype) {
  const bool f64 = dtype == CK_F64;
#define PICK(name) (f64 ? CK_PICK(name##_f64) : CK_PICK(name##_f32))
  if (j->groups == 0 && j->s == 1)
    return (plan){PICK(columns), PICK(columns_back), (j->c + TILE - 1) / TILE, 4 * j->n * ck_min64(TILE, j->c)};
  const int64_t sets = j->groups ? j->n * j->groups : j->c, size = j->n * j->c * j->s / ck_max64(sets, 1);
  if (j->groups && j->s == 1)
    return (plan){PICK(sets), PICK(rows_back), (sets + PIECE - 1) / PIECE, 4 * size * PIECE};
  return (plan){PICK(sets), PICK(sets_back), sets, 4 * size};
#undef PICK
}

static bool fits(int32_t dtype, int64_t c, int64_t groups) {
  return (dtype == CK_F32 || dtype == CK_F64) && groups >= 0 && (groups == 0 || c % groups == 0);
}

int32_t ck_normalize(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                     void *y, void *mean, void *variance, const void *x, const void *weight, const void *bias) {
  if (!fits(dtype, c, groups)) return CK_UNSUPPORTED;
  job j = {n, c, s, groups, epsilon, centred, x, NULL, weight, bias, y, mean, variance, NULL, NULL};
  const plan p = plan_of(&j, dtype);
  const bool rows = groups && s == 1;  // the forward pass takes rows one by one
  ck_parallel(rows ? n * groups : p.count, ck_grain_for(rows ? p.cost / PIECE : p.cost), &j, p.forward);
  return CK_OK;
}

int32_t ck_normalize_grad(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                          void *dx, void *dweight, void *dbias, const void *g, const void *x, const void *mean,
                          const void *variance, const void *weight) {
  if (!fits(dtype, c, groups)) return CK_UNSUPPORTED;
  job j = {n, c, s, groups, epsilon, centred, x, g, weight, NULL, dx, (void *)(uintptr_t)mean, (void *)(uintptr_t)variance,
           NULL, NULL};
  // Rows of several groups walk through the channels in turn, so a piece of them touches all.
  const int64_t pieces = ck_max64(1, groups == 0 ? 1 : s == 1 ? (n * groups + PIECE - 1) / PIECE : n);
  const size_t bytes = (size_t)(2 * pieces * c) * sizeof(double);
  if (dweight || dbias) {
    j.weight_sums = ck_alloc(bytes);
    if (!j.weight_sums) return CK_NO_MEMORY;
    j.bias_sums = j.weight_sums + pieces * c;
    memset(j.weight_sums, 0, bytes);
  }
  const plan p = plan_of(&j, dtype);
  ck_parallel(p.count, ck_grain_for(p.cost), &j, p.backward);
  if (j.weight_sums) {
    for (int64_t piece = 1; piece < pieces; piece++)
      for (int64_t i = 0; i < c; i++) {
        j.weight_sums[i] += j.weight_sums[piece * c + i];
        j.bias_sums[i] += j.bias_sums[piece * c + i];
      }
    if (dweight) ck_cast_flat(CK_F64, dtype, c, dweight, j.weight_sums);
    if (dbias) ck_cast_flat(CK_F64, dtype, c, dbias, j.bias_sums);
    ck_free(j.weight_sums, bytes);
  }
  return CK_OK;
}
