// Attention by tiles: the matrix of all scores never exists. Results do not depend on the number of threads.
#include "pairs.h"

enum {
  ROWS = 96,                               // queries of a tile: a multiple of the rows of the matrix kernel
  COLUMNS = 128,                           // keys of a tile: a multiple of its columns
  PART = COLUMNS > ROWS ? COLUMNS : ROWS,  // rows of the largest product that is added up
  CHUNKS = 8,                              // so many tasks share the gradients, also where there is one head,
  PARTS = 64 << 20,                        // unless the parts of those of the queries would take more bytes than this
  GATHERED = 4096,                         // numbers of those that are added up at a time
};

typedef struct { int64_t batch, head, row, rows, column, columns; } tile;

// Queries, keys, values and what lies like them are F32, or BF16, which is multiplied in pairs (pairs.h).
typedef struct {
  ck_attention a;
  // Blocks of COLUMNS keys, [batch, kv_heads, blocks, depth, COLUMNS], in pairs [..., depth / 2, COLUMNS]. Values likewise; of
  // pairs forward [..., COLUMNS / 2, value_depth].
  void *keys, *values;
  float *log_sums, *parts;
  void *out, *dq, *dk, *dv;
  const void *q, *k, *v, *ct, *mask;
  const float *delta;
  int64_t chunks;
  int32_t failed;
} job;

static bool in_pairs(const job *j) { return j->a.dtype == CK_BF16; }
static int64_t size_of(const job *j) { return in_pairs(j) ? 2 : 4; }
static int64_t blocks(const ck_attention *a) { return (a->columns + COLUMNS - 1) / COLUMNS; }
static int64_t block_bytes(const job *j, int64_t depth) { return depth * COLUMNS * size_of(j); }

static void *block(const job *j, void *packed, int64_t batch, int64_t group, int64_t column, int64_t depth) {
  const int64_t index = (batch * j->a.kv_heads + group) * blocks(&j->a) + column / COLUMNS;
  return (char *)packed + index * block_bytes(j, depth);
}
static const void *row_of(const job *j, const void *x, const int64_t *strides, int64_t batch, int64_t head, int64_t row) {
  return (const char *)x + (batch * strides[0] + head * strides[1] + row * strides[2]) * size_of(j);
}

// Of so many keys of a block, those that some row of the tile may see, in whole pairs.
static int64_t seen(const ck_attention *a, const tile *t, int64_t columns) {
  return a->causal ? ck_min64(columns, (t->row + t->rows - t->column + 1) & ~(int64_t)1) : columns;
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

// A block of keys or values, each a column.
static void turn(const job *j, void *packed, const void *from, const int64_t *strides, int64_t depth, int64_t index) {
  const ck_attention *a = &j->a;
  const int64_t column = index % blocks(a) * COLUMNS, head = index / blocks(a), unit = in_pairs(j) ? 2 : 1;
  const ck_nd nd = {2, {depth / unit, ck_min64(COLUMNS, a->columns - column)}, {{COLUMNS, 1}, {1, strides[2] / unit}, {0}, {0}}};
  ck_copy(CK_F32, &nd, (char *)packed + index * block_bytes(j, depth),
          row_of(j, from, strides, head / a->kv_heads, head % a->kv_heads, column));
}
static void pack_range(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const ck_attention *a = &j->a;
  for (int64_t i = begin; i < end; i++) {
    turn(j, j->keys, j->k, a->k, a->depth, i);
    if (!j->values) continue;
    if (j->ct) {
      turn(j, j->values, j->v, a->v, a->value_depth, i);
    } else {
      const int64_t column = i % blocks(a) * COLUMNS, head = i / blocks(a);
      ck_pair_rows(ck_min64(COLUMNS, a->columns - column), a->value_depth,
                   row_of(j, j->v, a->v, head / a->kv_heads, head % a->kv_heads, column), a->v[2],
                   (ck_pair *)((char *)j->values + i * block_bytes(j, a->value_depth)), a->value_depth);
    }
  }
}
static size_t packed_bytes(const job *j, int64_t depth) {
  return (size_t)ck_max64(1, j->a.batch * j->a.kv_heads * blocks(&j->a) * block_bytes(j, depth));
}
static bool packs_values(const job *j) { return j->ct || in_pairs(j); }
static bool pack(job *j) {
  const ck_attention *a = &j->a;
  j->keys = ck_alloc(packed_bytes(j, a->depth));
  j->values = packs_values(j) ? ck_alloc(packed_bytes(j, a->value_depth)) : NULL;
  if (!j->keys || (packs_values(j) && !j->values)) return false;
  ck_parallel(a->batch * a->kv_heads * blocks(a), ck_grain_for(COLUMNS * (a->depth + a->value_depth)), j, pack_range);
  return true;
}
static void release(job *j) {
  if (j->keys) ck_free(j->keys, packed_bytes(j, j->a.depth));
  if (j->values) ck_free(j->values, packed_bytes(j, j->a.value_depth));
}

// MARK: forward

static void forward_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  const ck_attention *a = &j->a;
  const int64_t count = ROWS * (2 * COLUMNS + 2 * a->value_depth + 2) + COLUMNS;
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

bool ck_attends(int32_t dtype, int64_t depth, int64_t value_depth) {
  return dtype == CK_F32 || (dtype == CK_BF16 && ck_has_bf16_dots && depth % 2 == 0 && value_depth % 2 == 0);
}

int32_t ck_attend(const ck_attention *a, void *out, float *log_sums, const void *q, const void *k, const void *v,
                  const void *mask) {
  job j = {.a = *a, .out = out, .log_sums = log_sums, .q = q, .k = k, .v = v, .mask = mask};
  if (a->batch * a->heads * a->rows == 0) return CK_OK;
  if (!pack(&j)) {
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
  const int64_t deepest = ck_max64(a->depth, a->value_depth);
  const int64_t count = 3 * ROWS * COLUMNS + (2 * PART + 3 * COLUMNS) * deepest + COLUMNS;
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
  const int64_t size = j->a.batch * j->a.heads * j->a.rows * j->a.depth;
  for (int64_t at = begin * GATHERED; at < ck_min64(end * GATHERED, size); at += GATHERED) {
    const int64_t n = ck_min64(GATHERED, size - at);
    float sums[GATHERED], *to = in_pairs(j) ? sums : (float *)j->dq + at;
    CK_PICK(gather_parts)(n, j->chunks, size, to, j->parts + at, j->a.scale);
    if (in_pairs(j)) ck_narrow(CK_BF16, n, (uint16_t *)j->dq + at, sums);
  }
}

int32_t ck_attend_grad(const ck_attention *a, void *dq, void *dk, void *dv, const void *q, const void *k, const void *v,
                       const void *ct, const float *log_sums, const float *delta, const void *mask) {
  job j = {.a = *a, .log_sums = (float *)(uintptr_t)log_sums, .dq = dq, .dk = dk, .dv = dv, .q = q, .k = k, .v = v,
           .ct = ct, .delta = delta, .mask = mask};
  const int64_t heads = a->batch * a->kv_heads, size = a->batch * a->heads * a->rows * a->depth;
  if (heads * a->columns == 0) {
    memset(dq, 0, (size_t)(size * size_of(&j)));
    return CK_OK;
  }
  const int64_t wanted = ck_min64(blocks(a), (CHUNKS + heads - 1) / heads);
  j.chunks = ck_max64(1, ck_min64(wanted, PARTS / (ck_max64(size, 1) * (int64_t)sizeof(float))));
  const size_t bytes = (size_t)(j.chunks * size) * sizeof(float);
  const bool is_direct = j.chunks == 1 && !in_pairs(&j);
  j.parts = is_direct ? dq : ck_alloc(bytes);
  if (!j.parts || !pack(&j)) {
    j.failed = 1;
  } else {
    memset(j.parts, 0, bytes);
    ck_parallel(heads * j.chunks, 1, &j, backward_range);
    ck_parallel((size + GATHERED - 1) / GATHERED, 8, &j, gather_range);
  }
  if (j.parts && !is_direct) ck_free(j.parts, bytes);
  release(&j);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
