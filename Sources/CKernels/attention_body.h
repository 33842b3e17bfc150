// Tiles of attention: ROWS queries against COLUMNS keys. Included once per level.
#include "random_body.h"
#include "matmul_body.h"

// c = x y: the rows of a tile, which lie `stride` apart, against a packed block of keys or values.
static void L(across)(const job *j, const tile *t, int64_t depth, const void *x, int64_t stride, const void *y, float *c) {
  if (in_pairs(j)) ck_multiply_pairs(false, t->rows, t->columns, depth / 2, x, stride / 2, 1, y, COLUMNS, c, COLUMNS);
  else L(small)(t->rows, t->columns, depth, x, stride, 1, y, COLUMNS, c, COLUMNS);
}

// sum += x y in F32, by way of `part`: [m, n].
static void L(add_product)(int64_t m, int64_t n, int64_t k, const float *x, int64_t xr, int64_t xc, const float *y,
                           int64_t ldy, float *part, float *sum) {
  L(small)(m, n, k, x, xr, xc, y, ldy, part, n);
  for (int64_t i = 0; i < m * n; i++) sum[i] += part[i];
}

// The scaled and masked scores of a tile; s has COLUMNS elements to a row. keys: a packed block.
static void L(scores)(const job *j, const tile *t, const void *q, const void *keys, float *s) {
  const ck_attention *a = &j->a;
  const void *mask = j->mask;
  L(across)(j, t, a->depth, q, a->q[2], keys, s);
  for (int64_t r = 0; r < t->rows; r++) {
    float *row = s + r * COLUMNS;
    const int64_t i = t->row + r;
    for (int64_t c = 0; c < t->columns; c++) row[c] *= a->scale;
    if (mask) {
      const int64_t at = t->batch * a->mask[0] + t->head * a->mask[1] + i * a->mask[2] + t->column * a->mask[3];
      const int64_t step = a->mask[3];
      if (a->mask_is_bool) {
        const bool *m = (const bool *)mask + at;
        for (int64_t c = 0; c < t->columns; c++) row[c] = m[c * step] ? row[c] : -__builtin_inff();
      } else {
        const float *m = (const float *)mask + at;
        if (step == 1) for (int64_t c = 0; c < t->columns; c++) row[c] += m[c];
        else for (int64_t c = 0; c < t->columns; c++) row[c] += m[c * step];
      }
    }
    if (a->causal)
      for (int64_t c = ck_max64(0, i - t->column + 1); c < t->columns; c++) row[c] = -__builtin_inff();
  }
}

// The factors of the dropout for a row of a tile: 0, or 1 / (1 - dropout).
static void L(keep)(const ck_attention *a, const tile *t, int64_t r, float *to) {
  const int64_t first = ((t->batch * a->heads + t->head) * a->rows + t->row + r) * a->columns + t->column;
  const float by = 1 / (1 - a->dropout);
  uint32_t block[64];
  for (int64_t at = first & ~(int64_t)3; at < first + t->columns; at += 64) {
    L(philox)(a->key, (uint64_t)at / 4, block);
    for (int64_t i = 0; i < 64; i++) {
      const int64_t c = at + i - first;
      if (c >= 0 && c < t->columns) to[c] = L(unit32)(block[i]) >= a->dropout ? by : 0;
    }
  }
}

// out = exp(x - shift); returns the sum. 16 running values on every level.
static float L(exponentials)(int64_t n, float *x, float shift) {
  float sums[16] = {0}, e[16];
  int64_t at = 0;
  for (; at + 16 <= n; at += 16) {
    for (int i = 0; i < 16; i++) e[i] = L(exp_)(x[at + i] - shift);
    for (int i = 0; i < 16; i++) sums[i] += e[i];
    memcpy(x + at, e, sizeof e);
  }
  for (; at < n; at++) sums[at & 15] += x[at] = L(exp_)(x[at] - shift);
  for (int half = 8; half; half /= 2)
    for (int i = 0; i < half; i++) sums[i] += sums[i + half];
  return sums[0];
}
static float L(largest)(int64_t n, const float *x) {
  float r[16], m = -__builtin_inff();
  for (int i = 0; i < 16; i++) r[i] = m;
  int64_t at = 0;
  for (; at + 16 <= n; at += 16)
    for (int i = 0; i < 16; i++) r[i] = x[at + i] > r[i] || x[at + i] != x[at + i] ? x[at + i] : r[i];
  for (; at < n; at++) m = x[at] > m || x[at] != x[at] ? x[at] : m;
  for (int i = 0; i < 16; i++) m = r[i] > m || r[i] != r[i] ? r[i] : m;
  return m;
}

// ROWS queries against all keys, by blocks: the running maximum and sum of a row's scores rescale what was summed up.
static void L(attend)(const job *j, tile t, float *scratch) {
  const ck_attention *a = &j->a;
  const int64_t e = a->value_depth;
  float *s = scratch, *sum = s + ROWS * COLUMNS, *part = sum + ROWS * e;
  float *top = part + ROWS * e, *total = top + ROWS, *keep = total + ROWS;
  uint16_t *narrow = (uint16_t *)(keep + COLUMNS);  // pairs: the weights
  const int64_t group = t.head / (a->heads / a->kv_heads);
  const void *q = row_of(j, j->q, a->q, t.batch, t.head, t.row);
  for (int64_t r = 0; r < t.rows; r++) top[r] = -__builtin_inff(), total[r] = 0;
  memset(sum, 0, (size_t)(t.rows * e) * sizeof *sum);
  for (t.column = 0; t.column < a->columns && !(a->causal && t.column >= t.row + t.rows); t.column += COLUMNS) {
    t.columns = seen(a, &t, ck_min64(COLUMNS, a->columns - t.column));
    L(scores)(j, &t, q, block(j, j->keys, t.batch, group, t.column, a->depth), s);
    for (int64_t r = 0; r < t.rows; r++) {
      float *row = s + r * COLUMNS, *to = sum + r * e;
      const float most = L(largest)(t.columns, row), next = most > top[r] || most != most ? most : top[r];
      if (next == -__builtin_inff()) {  // nothing may be seen so far
        memset(row, 0, (size_t)t.columns * sizeof *row);
      } else {
        const float by = L(exp_)(top[r] - next);
        total[r] = total[r] * by + L(exponentials)(t.columns, row, next);
        top[r] = next;
        for (int64_t i = 0; i < e; i++) to[i] *= by;
        if (a->dropout > 0) {
          L(keep)(a, &t, r, keep);
          for (int64_t c = 0; c < t.columns; c++) row[c] *= keep[c];
        }
      }
      if (in_pairs(j)) {
        ck_narrow(CK_BF16, t.columns, narrow + r * COLUMNS, row);
        if (t.columns % 2) narrow[r * COLUMNS + t.columns] = 0;
      }
    }
    if (in_pairs(j)) {
      ck_multiply_pairs(true, t.rows, e, (t.columns + 1) / 2, (ck_pair *)(void *)narrow, COLUMNS / 2, 1,
                        block(j, j->values, t.batch, group, t.column, e), e, sum, e);
    } else {
      const float *v = row_of(j, j->v, a->v, t.batch, group, t.column);
      L(add_product)(t.rows, e, t.columns, s, COLUMNS, 1, v, a->v[2], part, sum);
    }
  }
  const int64_t first = (t.batch * a->heads + t.head) * a->rows + t.row;
  for (int64_t r = 0; r < t.rows; r++) {
    void *y = (void *)(uintptr_t)row_of(j, j->out, a->out, t.batch, t.head, t.row + r);
    const float by = top[r] == -__builtin_inff() ? 0 : 1 / total[r];
    float *to = in_pairs(j) ? part : y;
    for (int64_t i = 0; i < e; i++) to[i] = sum[r * e + i] * by;
    if (in_pairs(j)) ck_narrow(CK_BF16, e, y, to);
    j->log_sums[first + r] = top[r] == -__builtin_inff() ? top[r] : top[r] + logf(total[r]);
  }
}

// Weights p and cotangents ds of the scores of a tile, which holds the scores and the products of cotangents and values.
static void L(weights_back)(const job *j, const tile *t, float *p, float *ds, float *keep) {
  const ck_attention *a = &j->a;
  const int64_t first = (t->batch * a->heads + t->head) * a->rows + t->row;
  for (int64_t r = 0; r < t->rows; r++) {
    float *x = p + r * COLUMNS, *y = ds + r * COLUMNS;
    const float log_sum = j->log_sums[first + r], delta = j->delta[first + r];
    if (log_sum == -__builtin_inff()) memset(x, 0, (size_t)t->columns * sizeof *x);
    else for (int64_t c = 0; c < t->columns; c++) x[c] = L(exp_)(x[c] - log_sum);
    if (a->dropout > 0) {
      L(keep)(a, t, r, keep);
      for (int64_t c = 0; c < t->columns; c++) y[c] = x[c] * (y[c] * keep[c] - delta);
      for (int64_t c = 0; c < t->columns; c++) x[c] *= keep[c];
    } else {
      for (int64_t c = 0; c < t->columns; c++) y[c] = x[c] * (y[c] - delta);
    }
  }
}

// The gradients of a block of keys and values, and its part of those of the queries, added to dq: [heads, rows, depth].
static void L(attend_back)(const job *j, tile t, float *dq, float *scratch) {
  const ck_attention *a = &j->a;
  const int64_t d = a->depth, e = a->value_depth, group = t.head, heads = a->heads / a->kv_heads;
  float *p = scratch, *ds = p + ROWS * COLUMNS, *part = ds + ROWS * COLUMNS, *keep = part + PART * ck_max64(d, e);
  // Pairs: a tile's weights, then cotangents of its scores, row by row, and the same with rows in pairs; rows of queries or
  // cotangents and of keys in pairs; and what is summed up, which else is the result.
  uint16_t *narrow = (uint16_t *)(keep + COLUMNS);
  ck_pair *by_row = (ck_pair *)(narrow + ROWS * COLUMNS), *side = by_row + ROWS / 2 * COLUMNS;
  ck_pair *key_rows = side + PART / 2 * ck_max64(d, e);
  float *sums = (float *)(key_rows + COLUMNS / 2 * d);
  const void *k = row_of(j, j->k, a->k, t.batch, group, t.column);
  const void *keys = block(j, j->keys, t.batch, group, t.column, d);
  const void *values = block(j, j->values, t.batch, group, t.column, e);
  const int64_t place = (t.batch * a->kv_heads + group) * a->columns + t.column;
  float *dk = in_pairs(j) ? sums : (float *)j->dk + place * d, *dv = in_pairs(j) ? sums + COLUMNS * d : (float *)j->dv + place * e;
  const int64_t columns = t.columns;
  memset(dk, 0, (size_t)(columns * d) * sizeof *dk);
  memset(dv, 0, (size_t)(columns * e) * sizeof *dv);
  if (in_pairs(j)) ck_pair_rows(columns, d, k, a->k[2], key_rows, d);
  for (t.head = group * heads; t.head < (group + 1) * heads; t.head++) {
    for (t.row = a->causal ? t.column : 0; t.row < a->rows; t.row += ROWS) {
      t.rows = ck_min64(ROWS, a->rows - t.row);
      t.columns = seen(a, &t, columns);
      const void *q = row_of(j, j->q, a->q, t.batch, t.head, t.row), *g = row_of(j, j->ct, a->out, t.batch, t.head, t.row);
      float *to = dq + ((t.batch * a->heads + t.head) * a->rows + t.row) * d;
      L(scores)(j, &t, q, keys, p);
      L(across)(j, &t, e, g, a->out[2], values, ds);
      L(weights_back)(j, &t, p, ds, keep);
      if (in_pairs(j)) {
        const int64_t half = (t.rows + 1) / 2;
        for (int64_t r = 0; r < t.rows; r++) ck_narrow(CK_BF16, t.columns, narrow + r * COLUMNS, p + r * COLUMNS);
        ck_pair_rows(t.rows, t.columns, narrow, COLUMNS, by_row, COLUMNS);
        ck_pair_rows(t.rows, e, g, a->out[2], side, e);
        ck_multiply_pairs(true, t.columns, e, half, by_row, 1, COLUMNS, side, e, dv, e);
        for (int64_t r = 0; r < t.rows; r++) {
          ck_narrow(CK_BF16, t.columns, narrow + r * COLUMNS, ds + r * COLUMNS);
          if (t.columns % 2) narrow[r * COLUMNS + t.columns] = 0;
        }
        ck_pair_rows(t.rows, t.columns, narrow, COLUMNS, by_row, COLUMNS);
        ck_pair_rows(t.rows, d, q, a->q[2], side, d);
        ck_multiply_pairs(true, t.columns, d, half, by_row, 1, COLUMNS, side, d, dk, d);
        ck_multiply_pairs(true, t.rows, d, (t.columns + 1) / 2, (ck_pair *)(void *)narrow, COLUMNS / 2, 1, key_rows, d, to, d);
      } else {
        L(add_product)(t.columns, e, t.rows, p, 1, COLUMNS, g, a->out[2], part, dv);
        L(add_product)(t.columns, d, t.rows, ds, 1, COLUMNS, q, a->q[2], part, dk);
        L(add_product)(t.rows, d, t.columns, ds, COLUMNS, 1, k, a->k[2], part, to);
      }
    }
  }
  for (int64_t i = 0; i < columns * d; i++) dk[i] *= a->scale;
  if (in_pairs(j)) {
    ck_narrow(CK_BF16, columns * d, (uint16_t *)j->dk + place * d, dk);
    ck_narrow(CK_BF16, columns * e, (uint16_t *)j->dv + place * e, dv);
  }
}

static void L(gather_parts)(int64_t n, int64_t parts, int64_t step, float *to, const float *from, float by) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i] * by;
  for (int64_t p = 1; p < parts; p++)
    for (int64_t i = 0; i < n; i++) to[i] += from[p * step + i] * by;
}
