// Attention by tiles: the matrix of all scores never exists. Results do not depend on the number of threads.
#include "internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
  ROWS = 96,                               // queries of a tile: a multiple of the rows of the matrix kernel
  COLUMNS = 128,                           // keys of a tile: a multiple of its columns
  PART = COLUMNS > ROWS ? COLUMNS : ROWS,  // rows of the largest product that is added up
  CHUNKS = 8,                              // so many tasks share the gradients, also where there is one head,
  PARTS = 64 << 20,                        // unless the parts of those of the queries would take more bytes than this
};

typedef struct { int64_t batch, head, row, rows, column, columns; } tile;

typedef struct {
  ck_attention a;
  float *keys, *values;  // [batch, kv_heads, blocks of COLUMNS keys, depth, COLUMNS]
  float *out, *log_sums, *dq, *dk, *dv, *parts;
  const float *q, *k, *v, *ct, *delta;
  const void *mask;
  int64_t chunks;
  int32_t failed;
} job;

static int64_t blocks(const ck_attention *a) { return (a->columns + COLUMNS - 1) / COLUMNS; }

static float *block(float *packed, const ck_attention *a, int64_t batch, int64_t group, int64_t column, int64_t depth) {
  return packed + ((batch * a->kv_heads + group) * blocks(a) + column / COLUMNS) * depth * COLUMNS;
}

#define CK_BODY "attention_body.h"
#include "levels.h"

// The early tasks of a causal attention are short and the late ones long, or the other way round: pairs of both follow each
// other, so that every thread gets as much.
static int64_t fold(int64_t i, int64_t n) { return i % 2 ? n - 1 - i / 2 : i / 2; }

static float *scratch_of(job *j, int64_t count) {
  float *scratch = ck_alloc((size_t)count * sizeof(float));
  if (!scratch) __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
  return scratch;
}

// MARK: packing

static void turn(const ck_attention *a, float *to, const float *from, const int64_t *strides, int64_t depth, int64_t index) {
  const int64_t column = index % blocks(a) * COLUMNS, head = index / blocks(a);
  const int64_t columns = ck_min64(COLUMNS, a->columns - column);
  const ck_nd nd = {2, {depth, columns}, {{COLUMNS, 1}, {1, strides[2]}, {0}, {0}}};
  ck_copy(CK_F32, &nd, to + index * depth * COLUMNS,
          from + head / a->kv_heads * strides[0] + head % a->kv_heads * strides[1] + column * strides[2]);
}
static void pack_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  for (int64_t i = begin; i < end; i++) {
    turn(&j->a, j->keys, j->k, j->a.k, j->a.depth, i);
    if (j->values) turn(&j->a, j->values, j->v, j->a.v, j->a.value_depth, i);
  }
}
static size_t packed_bytes(const ck_attention *a, int64_t depth) {
  return (size_t)ck_max64(1, a->batch * a->kv_heads * blocks(a) * COLUMNS * depth) * sizeof(float);
}
static bool pack(job *j, bool also_values) {
  const ck_attention *a = &j->a;
  j->keys = ck_alloc(packed_bytes(a, a->depth));
  j->values = also_values ? ck_alloc(packed_bytes(a, a->value_depth)) : NULL;
  if (!j->keys || (also_values && !j->values)) return false;
  ck_parallel(a->batch * a->kv_heads * blocks(a), ck_grain_for(COLUMNS * (a->depth + a->value_depth)), j, pack_range);
  return true;
}
static void release(job *j) {
  if (j->keys) ck_free(j->keys, packed_bytes(&j->a, j->a.depth));
  if (j->values) ck_free(j->values, packed_bytes(&j->a, j->a.value_depth));
}

// MARK: forward

static void forward_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const ck_attention *a = &j->a;
  const int64_t count = ROWS * (COLUMNS + 2 * a->value_depth + 2) + COLUMNS;
  float *scratch = scratch_of(j, count);
  if (!scratch) return;
  const int64_t tiles = (a->rows + ROWS - 1) / ROWS;
  for (int64_t i = begin; i < end; i++) {
    const int64_t head = i / tiles, row = fold(i % tiles, tiles) * ROWS;
    const tile t = {head / a->heads, head % a->heads, row, ck_min64(ROWS, a->rows - row), 0, 0};
    CK_PICK(attend)(j, t, scratch);
  }
  ck_free(scratch, (size_t)count * sizeof(float));
}

int32_t ck_attend(const ck_attention *a, float *out, float *log_sums, const float *q, const float *k, const float *v,
                  const void *mask) {
  job j = {.a = *a, .out = out, .log_sums = log_sums, .q = q, .k = k, .v = v, .mask = mask};
  if (a->batch * a->heads * a->rows == 0) return CK_OK;
  if (!pack(&j, false)) {
    release(&j);
    return CK_NO_MEMORY;
  }
  const int64_t tiles = (a->rows + ROWS - 1) / ROWS;
  ck_parallel(a->batch * a->heads * tiles, ck_grain_for(ck_min64(ROWS, a->rows) * a->columns * (a->depth + a->value_depth) / 8),
              &j, forward_range);
  release(&j);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}

// MARK: backward

static void backward_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const ck_attention *a = &j->a;
  const int64_t count = 2 * ROWS * COLUMNS + PART * ck_max64(a->depth, a->value_depth) + COLUMNS;
  float *scratch = scratch_of(j, count);
  if (!scratch) return;
  const int64_t all = blocks(a), size = a->batch * a->heads * a->rows * a->depth;
  for (int64_t i = begin; i < end; i++) {
    const int64_t head = i / j->chunks, chunk = fold(i % j->chunks, j->chunks);
    for (int64_t b = all * chunk / j->chunks; b < all * (chunk + 1) / j->chunks; b++) {
      const int64_t column = b * COLUMNS;
      const tile t = {head / a->kv_heads, head % a->kv_heads, 0, 0, column, ck_min64(COLUMNS, a->columns - column)};
      CK_PICK(attend_back)(j, t, j->parts + chunk * size, scratch);
    }
  }
  ck_free(scratch, (size_t)count * sizeof(float));
}
static void gather_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t size = j->a.batch * j->a.heads * j->a.rows * j->a.depth, from = begin * 4096;
  CK_PICK(gather_parts)(ck_min64(end * 4096, size) - from, j->chunks, size, j->dq + from, j->parts + from, j->a.scale);
}

int32_t ck_attend_grad(const ck_attention *a, float *dq, float *dk, float *dv, const float *q, const float *k,
                       const float *v, const float *ct, const float *log_sums, const float *delta, const void *mask) {
  job j = {.a = *a, .log_sums = (float *)(uintptr_t)log_sums, .dq = dq, .dk = dk, .dv = dv, .q = q, .k = k, .v = v,
           .ct = ct, .delta = delta, .mask = mask};
  const int64_t heads = a->batch * a->kv_heads, size = a->batch * a->heads * a->rows * a->depth;
  if (heads * a->columns == 0) {
    memset(dq, 0, (size_t)size * sizeof(float));
    return CK_OK;
  }
  const int64_t wanted = ck_min64(blocks(a), (CHUNKS + heads - 1) / heads);
  j.chunks = ck_max64(1, ck_min64(wanted, PARTS / (ck_max64(size, 1) * (int64_t)sizeof(float))));
  const size_t bytes = (size_t)(j.chunks * size) * sizeof(float);
  j.parts = j.chunks == 1 ? dq : ck_alloc(bytes);
  if (!j.parts || !pack(&j, true)) {
    j.failed = 1;
  } else {
    memset(j.parts, 0, bytes);
    ck_parallel(heads * j.chunks, 1, &j, backward_range);
    ck_parallel((size + 4095) / 4096, 8, &j, gather_range);
  }
  if (j.parts && j.parts != dq) ck_free(j.parts, bytes);
  release(&j);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
