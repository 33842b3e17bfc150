// Reductions over any strides. Work is cut into pieces of fixed size, so that no bit depends on the threads.
#include "internal.h"
typedef ck_stretch stretch;
typedef void (*stretch_of_rows)(int64_t n, void *result, const void *a, int64_t row, int64_t count);
#define CK_BODY "reduce_body.h"
#include "levels.h"

enum { ADD, MUL, MAX, MIN };
enum { BLOCK = CK_REDUCE_BLOCK, SPAN = CK_REDUCE_SPAN, TILE = CK_REDUCE_TILE, ROWS = CK_REDUCE_ROWS };

typedef union { float f32; double f64; int64_t i64; } number;

typedef struct {
  int32_t take, dtype, wide;       // wide: the dtype that is accumulated in: F32, F64 or I64
  int64_t size, wide_size;
  stretch row, col;
  stretch_of_rows rows;            // NULL for dtypes that columns are cast from first
  ck_reduce_nd nd;
  int64_t kept, reduced, pieces;
  const char *a;
  char *partial;                   // [pieces, kept] in the wide dtype
  int64_t *position;               // argmax
} job;

static int64_t offset_of(int64_t i, int rank, const int64_t *shape, const int64_t *strides) {
  int64_t offset = 0;
  for (int d = rank - 1; d >= 0; d--) {
    offset += i % shape[d] * strides[d];
    i /= shape[d];
  }
  return offset;
}

static void join(int32_t *rank, int64_t *shape, int64_t *strides) {
  int32_t to = 0;
  for (int32_t d = 0; d < *rank; d++) {
    if (shape[d] == 1) continue;
    if (to > 0 && strides[to - 1] == strides[d] * shape[d]) {
      shape[to - 1] *= shape[d];
      strides[to - 1] = strides[d];
    } else {
      shape[to] = shape[d];
      strides[to++] = strides[d];
    }
  }
  if (to == 0) {
    shape[0] = 1;
    strides[to++] = 1;
  }
  *rank = to;
}

static void to_wide(const job *j, int64_t n, void *wide, const void *from) {
  if (ck_is_half(j->dtype)) ck_widen(j->dtype, n, wide, from);
  else ck_cast_flat(j->dtype, j->wide, n, wide, from);
}

// n elements from reduced position r on, contiguous and in the wide dtype: in place or in a buffer.
static const void *fetch(const job *j, int64_t base, int64_t r, int64_t n, char *raw, char *wide) {
  const ck_reduce_nd *nd = &j->nd;
  const int inner = nd->reduced - 1;
  const int64_t length = nd->reduced_shape[inner], stride = nd->reduced_strides[inner];
  const char *from = j->a + (base + offset_of(r, nd->reduced, nd->reduced_shape, nd->reduced_strides)) * j->size;
  if (stride != 1 || r % length + n > length) {
    const bool widens = stride == 1 && ck_is_half(j->dtype);
    ck_nd copy = {1, {0}, {{1}, {stride}, {0}, {0}}};
    for (int64_t done = 0; done < n;) {
      const int64_t part = ck_min64(length - (r + done) % length, n - done);
      from = j->a + (base + offset_of(r + done, nd->reduced, nd->reduced_shape, nd->reduced_strides)) * j->size;
      if (widens) {
        ck_widen(j->dtype, part, (float *)(void *)wide + done, from);
      } else if (stride == 1) {
        memcpy(raw + done * j->size, from, (size_t)(part * j->size));
      } else {
        copy.shape[0] = part;
        ck_copy(j->dtype, &copy, raw + done * j->size, from);
      }
      done += part;
    }
    if (widens) return wide;
    from = raw;
  }
  if (j->wide == j->dtype) return from;
  to_wide(j, n, wide, from);
  return wide;
}

// MARK: rows: one result after the other

static void span(const job *j, int64_t base, int64_t r, int64_t end, number *result) {
  _Alignas(64) char raw[BLOCK * 8], wide[BLOCK * 8];
  for (int64_t at = r; at < end; at += BLOCK) {
    const int64_t n = ck_min64(BLOCK, end - at);
    number x;
    j->row(n, &x, fetch(j, base, at, n, raw, wide));
    if (at == r) *result = x;
    else j->col(1, result, &x);
  }
}

static void row_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t k = unit / j->pieces, piece = unit % j->pieces;
    number x;
    span(j, offset_of(k, j->nd.kept, j->nd.kept_shape, j->nd.kept_strides), piece * SPAN,
         ck_min64(j->reduced, (piece + 1) * SPAN), &x);
    memcpy(j->partial + (piece * j->kept + k) * j->wide_size, &x, (size_t)j->wide_size);
  }
}

// MARK: columns: neighbouring results at once

static void column_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const ck_reduce_nd *nd = &j->nd;
  const int64_t columns = nd->kept_shape[nd->kept - 1], tiles = (columns + TILE - 1) / TILE;
  _Alignas(64) char wide[TILE * 8], sum[TILE * 8];
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t piece = unit % j->pieces, tile = unit / j->pieces % tiles, outer = unit / j->pieces / tiles;
    const int64_t first = tile * TILE, n = ck_min64(TILE, columns - first), k = outer * columns + first;
    const int64_t base = offset_of(k, nd->kept, nd->kept_shape, nd->kept_strides);
    char *total = j->partial + (piece * j->kept + k) * j->wide_size;
    const int64_t stop = ck_min64(j->reduced, (piece + 1) * ROWS);
    const int64_t step = nd->reduced_strides[0];
    for (int64_t group = piece * ROWS; group < stop; group += CK_REDUCE_GROUP) {  // groups of rows, then their sums
      const int64_t end = ck_min64(stop, group + CK_REDUCE_GROUP);
      if (nd->reduced == 1 && j->rows) j->rows(n, sum, j->a + (base + group * step) * j->size, step, end - group);
      else for (int64_t r = group; r < end; r++) {
        const void *from = j->a + (base + offset_of(r, nd->reduced, nd->reduced_shape, nd->reduced_strides)) * j->size;
        if (j->wide != j->dtype) {
          to_wide(j, n, wide, from);
          from = wide;
        }
        if (r == group) memcpy(sum, from, (size_t)(n * j->wide_size));
        else j->col(n, sum, from);
      }
      if (group == piece * ROWS) memcpy(total, sum, (size_t)(n * j->wide_size));
      else j->col(n, total, sum);
    }
  }
}

// MARK: entry points

static int table(int32_t wide) { return wide == CK_F32 ? 0 : wide == CK_F64 ? 1 : 2; }

static bool prepare(job *j, int32_t take, int32_t dtype, const ck_reduce_nd *nd, const void *a) {
  if (!ck_is_dtype(dtype) || ck_is_complex(dtype)) return false;
  j->take = take;
  j->dtype = dtype;
  j->size = ck_element_size(dtype);
  j->wide = dtype == CK_F64 ? CK_F64 : ck_is_float(dtype) ? CK_F32 : CK_I64;
  j->wide_size = ck_element_size(j->wide);
  const int t = table(j->wide);
  j->row = CK_PICK(row)[t][take];
  j->col = CK_PICK(col)[t][take];
  j->rows = dtype == j->wide ? CK_PICK(rows)[t][take] : dtype == CK_BF16 ? CK_PICK(rows)[3][take] : NULL;
  j->nd = *nd;
  j->a = a;
  j->kept = j->reduced = 1;
  for (int d = 0; d < nd->kept; d++) j->kept *= nd->kept_shape[d];
  for (int d = 0; d < nd->reduced; d++) j->reduced *= nd->reduced_shape[d];
  join(&j->nd.kept, j->nd.kept_shape, j->nd.kept_strides);
  join(&j->nd.reduced, j->nd.reduced_shape, j->nd.reduced_strides);
  return true;
}

int32_t ck_reduce_dtype(int32_t kind, int32_t dtype) {
  if (kind == CK_RED_ANY || kind == CK_RED_ALL) return CK_BOOL;
  return (kind == CK_RED_SUM || kind == CK_RED_PROD) && !ck_is_float(dtype) ? CK_I64 : dtype;
}

static int32_t fill_empty(int32_t kind, int32_t dtype, int64_t kept, void *out) {
  if (kind == CK_RED_MAX || kind == CK_RED_MIN) return CK_UNSUPPORTED;
  const float value = kind == CK_RED_MEAN ? NAN : kind == CK_RED_PROD || kind == CK_RED_ALL ? 1 : 0;
  uint64_t one;
  ck_cast_flat(CK_F32, dtype, 1, &one, &value);
  return ck_fill(dtype, kept, out, &one);
}

static const int32_t takes[] = {ADD, ADD, MAX, MIN, MUL, MAX, MIN};  // by kind

bool ck_reduction_begin(ck_reduction *r, int32_t kind, int32_t wide, int32_t result, int64_t kept, int64_t reduced,
                        int64_t piece, void *out) {
  const int64_t pieces = (reduced + piece - 1) / piece;
  *r = (ck_reduction){kind, wide, result, ck_element_size(wide), kept, reduced, pieces, CK_PICK(row)[table(wide)][takes[kind]],
                      CK_PICK(col)[table(wide)][takes[kind]], out, pieces == 1 && result == wide};
  if (!r->direct) r->partial = ck_alloc((size_t)(pieces * kept * r->wide_size));
  return r->partial != NULL;
}

static void bring_together(ck_reduction *r, void *out) {
  for (int64_t p = 1; p < r->pieces; p++) r->col(r->kept, r->partial, r->partial + p * r->kept * r->wide_size);
  if (r->kind == CK_RED_MEAN) {
    const float n32 = (float)r->reduced;
    const double n64 = (double)r->reduced;
    ck_binary_flat(CK_DIV, r->wide, r->kept, r->partial, r->partial, 1, r->wide == CK_F64 ? (const void *)&n64 : &n32, 0);
  }
  if (!r->direct) ck_cast_flat(r->wide, r->result, r->kept, out, r->partial);
}

void ck_reduction_end(ck_reduction *r, void *out) {
  if (out) bring_together(r, out);
  if (!r->direct) ck_free(r->partial, (size_t)(r->pieces * r->kept * r->wide_size));
}

int32_t ck_reduce(int32_t kind, int32_t dtype, const ck_reduce_nd *nd, void *out, const void *a) {
  job j;
  if ((uint32_t)kind > CK_RED_ALL || (kind >= CK_RED_ANY && dtype != CK_BOOL) ||
      (kind == CK_RED_MEAN && !ck_is_float(dtype)) || !prepare(&j, takes[kind], dtype, nd, a))
    return CK_UNSUPPORTED;
  const int32_t result = ck_reduce_dtype(kind, dtype);
  if (j.kept == 0) return CK_OK;
  if (j.reduced == 0) return fill_empty(kind, result, j.kept, out);
  const ck_reduce_nd *c = &j.nd;
  const int64_t columns = c->kept_shape[c->kept - 1];
  const bool by_column = c->kept_strides[c->kept - 1] == 1 && columns >= 8 &&
                         (c->reduced_strides[c->reduced - 1] != 1 || c->reduced_shape[c->reduced - 1] < 8);
  const int64_t piece = by_column ? ROWS : SPAN;
  ck_reduction r;
  if (!ck_reduction_begin(&r, kind, j.wide, result, j.kept, j.reduced, piece, out)) return CK_NO_MEMORY;
  j.pieces = r.pieces;
  j.partial = r.partial;
  if (by_column) {
    const int64_t tiles = (columns + TILE - 1) / TILE, outer = j.kept / columns;
    ck_parallel(outer * tiles * j.pieces, ck_grain_for(ck_min64(TILE, columns) * ck_min64(ROWS, j.reduced)), &j,
                column_range);
  } else {
    ck_parallel(j.kept * j.pieces, ck_grain_for(ck_min64(SPAN, j.reduced)), &j, row_range);
  }
  ck_reduction_end(&r, out);
  return CK_OK;
}

// MARK: argmax

#define FIND(T) {                                                                     \
    const T *p = from;                                                                \
    T top, best;                                                                      \
    memcpy(&top, &x, sizeof(T));                                                      \
    memcpy(&best, &value, sizeof(T));                                                 \
    if (at > 0 && (best != best || !(top != top || (j->take == MAX ? top > best : top < best)))) continue; \
    int64_t i = 0;                                                                    \
    while (p[i] != top && p[i] == p[i]) i++;                                          \
    where = at + i;                                                                   \
    value = x;                                                                        \
  } break

static void argmax_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  _Alignas(64) char raw[BLOCK * 8], wide[BLOCK * 8];
  for (int64_t k = begin; k < end; k++) {
    const int64_t base = offset_of(k, j->nd.kept, j->nd.kept_shape, j->nd.kept_strides);
    int64_t where = 0;
    number value = {0}, x = {0};
    for (int64_t at = 0; at < j->reduced; at += BLOCK) {
      const int64_t n = ck_min64(BLOCK, j->reduced - at);
      const void *from = fetch(j, base, at, n, raw, wide);
      j->row(n, &x, from);
      switch (j->wide) {
        case CK_F32: FIND(float);
        case CK_F64: FIND(double);
        default: FIND(int64_t);
      }
    }
    j->position[k] = where;
  }
}

int32_t ck_argmax(int32_t dtype, const ck_reduce_nd *nd, int64_t *out, const void *a, bool minimum) {
  job j;
  if (!prepare(&j, minimum ? MIN : MAX, dtype, nd, a) || (j.reduced == 0 && j.kept > 0)) return CK_UNSUPPORTED;
  j.position = out;
  ck_parallel(j.kept, ck_grain_for(j.reduced), &j, argmax_range);
  return CK_OK;
}
