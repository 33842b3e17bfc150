// Normalisation of [n, c, s] by the mean and variance of sets of elements, and its gradient.
#include "internal.h"

enum { PIECE = 64, BLOCK = 4096 };   // rows that share sums, elements between widenings to double
enum { CHUNK = 1024, ROW = 4096 };   // 16-bit floats that are widened at once, and as long as a whole row
enum { WIDTH = 256, BLOCK_ROOM = 8192 };  // columns at once, and elements of a block of rows of them

typedef struct {
  int64_t n, c, s, groups;  // groups: sets are the groups of channels of an example; 0: a channel of all examples
  double epsilon;
  bool centred;
  int32_t half;  // the dtype of 16-bit elements, else 0; weights and statistics are float32 then
  double tiny, low;  // the largest number that is stored as 0; below what results are 0
  const void *x, *g, *weight, *bias;
  void *out, *mean, *variance, *factors;
  double *weight_sums, *bias_sums;  // rows of c: one for each piece of rows, each example, or all
  // For channels side by side: rows of a piece and of a block, two sums of each piece, and numbers for each channel.
  int64_t piece_rows, block_rows;
  double *pieces;
  void *m, *a, *b;
} job;

#define CK_BODY "normalize_body.h"
#include "levels.h"

#define PICK(name) (f64 ? CK_PICK(name##_f64) : CK_PICK(name##_f32))

// Channels side by side: sums of pieces of rows, then what they make of each channel, then the elements.
static int32_t columns(job *j, ck_body sums, ck_body factors, ck_body elements) {
  j->block_rows = ck_min64(128, BLOCK_ROOM / ck_max64(64, ck_min64(WIDTH, j->c)));
  j->piece_rows = j->block_rows * ck_max64(128 / j->block_rows, 65536 / (j->block_rows * ck_max64(j->c, 1)));
  const int64_t pieces = (j->n + j->piece_rows - 1) / j->piece_rows;
  const size_t bytes = (size_t)((2 * ck_max64(pieces, 1) + 3) * j->c) * sizeof(double);
  if (bytes == 0) return CK_OK;
  double *memory = ck_alloc(bytes);
  if (!memory) return CK_NO_MEMORY;
  j->m = memory;
  j->a = memory + j->c;
  j->b = memory + 2 * j->c;
  j->pieces = memory + 3 * j->c;
  const int64_t grain = ck_grain_for(2 * j->piece_rows * j->c);
  ck_parallel(pieces, grain, j, sums);
  factors(j, 0, j->c);
  ck_parallel(pieces, grain, j, elements);
  ck_free(memory, bytes);
  return CK_OK;
}

static int32_t forward(job *j, bool f64) {
  if (j->groups == 0 && j->s == 1)
    return columns(j, PICK(columns_moments), PICK(columns_factors), PICK(columns_scale));
  const int64_t sets = j->groups ? j->n * j->groups : j->c, size = j->n * j->c * j->s / ck_max64(sets, 1);
  ck_parallel(sets, ck_grain_for(4 * size), j, PICK(sets));
  return CK_OK;
}

static int32_t backward(job *j, bool f64) {
  if (j->groups == 0 && j->s == 1)
    return columns(j, PICK(columns_products), PICK(columns_back_factors), PICK(columns_slope));
  const int64_t sets = j->groups ? j->n * j->groups : j->c, size = j->n * j->c * j->s / ck_max64(sets, 1);
  if (j->groups && j->s == 1)
    ck_parallel((sets + PIECE - 1) / PIECE, ck_grain_for(4 * size * PIECE), j, PICK(rows_back));
  else ck_parallel(sets, ck_grain_for(4 * size), j, PICK(sets_back));
  return CK_OK;
}

// Half of the smallest positive number of 16 bits.
static double tiny(int32_t dtype) { return dtype == CK_F16 ? 0x1p-25 : dtype == CK_BF16 ? 0x1p-134 : 0; }

static bool fits(int32_t dtype, int64_t c, int64_t groups) {
  return ck_is_float(dtype) && groups >= 0 && (groups == 0 || c % groups == 0);
}

// Weights and biases of 16 bits are widened once. Gives the memory to free, of 2 c floats.
static bool widen_weights(job *j, float **memory) {
  *memory = NULL;
  if (!j->half || !j->weight || j->c == 0) return true;
  float *wide = *memory = ck_alloc((size_t)(2 * j->c) * sizeof(float));
  if (!wide) return false;
  ck_widen(j->half, j->c, wide, j->weight);
  if (j->bias) ck_widen(j->half, j->c, wide + j->c, j->bias);
  j->weight = wide;
  j->bias = j->bias ? wide + j->c : NULL;
  return true;
}

int32_t ck_normalize(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                     bool rectified, void *y, void *mean, void *variance, void *factors, const void *x,
                     const void *weight, const void *bias) {
  if (!fits(dtype, c, groups) || ((rectified || factors) && groups && s == 1)) return CK_UNSUPPORTED;
  job j = {.n = n, .c = c, .s = s, .groups = groups, .epsilon = epsilon, .centred = centred,
           .half = ck_is_half(dtype) ? dtype : 0, .low = rectified ? -tiny(dtype) : -INFINITY, .x = x, .weight = weight,
           .bias = bias, .out = y, .mean = mean, .variance = variance, .factors = factors};
  float *wide;
  if (!widen_weights(&j, &wide)) return CK_NO_MEMORY;
  const int32_t status = forward(&j, dtype == CK_F64);
  if (wide) ck_free(wide, (size_t)(2 * c) * sizeof(float));
  return status;
}

int32_t ck_normalize_grad(int32_t dtype, int64_t n, int64_t c, int64_t s, int64_t groups, double epsilon, bool centred,
                          void *dx, void *dweight, void *dbias, const void *g, const void *x, const void *mean,
                          const void *variance, const void *weight, const void *factors) {
  if (!fits(dtype, c, groups) || (factors && groups && s == 1)) return CK_UNSUPPORTED;
  job j = {.n = n, .c = c, .s = s, .groups = groups, .epsilon = epsilon, .centred = centred,
           .half = ck_is_half(dtype) ? dtype : 0, .tiny = tiny(dtype), .x = x, .g = g, .weight = weight, .out = dx,
           .mean = (void *)(uintptr_t)mean, .variance = (void *)(uintptr_t)variance,
           .factors = (void *)(uintptr_t)factors};
  // Rows of several groups walk through the channels in turn, so a piece of them touches all.
  const int64_t pieces = ck_max64(1, groups == 0 ? 1 : s == 1 ? (n * groups + PIECE - 1) / PIECE : n);
  const size_t bytes = (size_t)(2 * pieces * c) * sizeof(double);
  float *wide;
  if (!widen_weights(&j, &wide)) return CK_NO_MEMORY;
  int32_t status = CK_OK;
  if ((dweight || dbias) && bytes > 0) {
    j.weight_sums = ck_alloc(bytes);
    if (j.weight_sums) memset(j.weight_sums, 0, bytes);
    else status = CK_NO_MEMORY;
    j.bias_sums = j.weight_sums + pieces * c;
  }
  if (status == CK_OK) status = backward(&j, dtype == CK_F64);
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
  if (wide) ck_free(wide, (size_t)(2 * c) * sizeof(float));
  return status;
}
#undef PICK
