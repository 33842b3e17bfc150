// Tiles of attention: ROWS queries against COLUMNS keys. Included once per level.
#include "random_body.h"
#include "matmul_body.h"

// The scaled and masked scores of a tile; s has COLUMNS elements to a row. keys: a block of keys, transposed.
static void L(scores)(const ck_attention *a, const tile *t, const float *q, const float *keys, const void *mask, float *s) {
  L(small)(t->rows, t->columns, a->depth, q, a->q[2], 1, keys, COLUMNS, s, COLUMNS);
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
  float *s = scratch, *sum = s + ROWS * COLUMNS, *part = sum + ROWS * a->value_depth;
  float *top = part + ROWS * a->value_depth, *total = top + ROWS, *keep = total + ROWS;
  const int64_t group = t.head / (a->heads / a->kv_heads);
  const float *q = j->q + t.batch * a->q[0] + t.head * a->q[1] + t.row * a->q[2];
  const float *v = j->v + t.batch * a->v[0] + group * a->v[1];
  for (int64_t r = 0; r < t.rows; r++) top[r] = -__builtin_inff(), total[r] = 0;
  memset(sum, 0, (size_t)(t.rows * a->value_depth) * sizeof *sum);
  for (t.column = 0; t.column < a->columns && !(a->causal && t.column >= t.row + t.rows); t.column += COLUMNS) {
    t.columns = ck_min64(COLUMNS, a->columns - t.column);
    L(scores)(a, &t, q, block(j->keys, a, t.batch, group, t.column, a->depth), j->mask, s);
    for (int64_t r = 0; r < t.rows; r++) {
      float *row = s + r * COLUMNS, *to = sum + r * a->value_depth;
      const float most = L(largest)(t.columns, row), next = most > top[r] || most != most ? most : top[r];
      if (next == -__builtin_inff()) {  // nothing may be seen so far
        memset(row, 0, (size_t)t.columns * sizeof *row);
        continue;
      }
      const float by = L(exp_)(top[r] - next);
      total[r] = total[r] * by + L(exponentials)(t.columns, row, next);
      top[r] = next;
      for (int64_t i = 0; i < a->value_depth; i++) to[i] *= by;
      if (a->dropout > 0) {
        L(keep)(a, &t, r, keep);
        for (int64_t c = 0; c < t.columns; c++) row[c] *= keep[c];
      }
    }
    L(small)(t.rows, a->value_depth, t.columns, s, COLUMNS, 1, v + t.column * a->v[2], a->v[2], part, a->value_depth);
    for (int64_t i = 0; i < t.rows * a->value_depth; i++) sum[i] += part[i];
  }
  const int64_t first = (t.batch * a->heads + t.head) * a->rows + t.row;
  for (int64_t r = 0; r < t.rows; r++) {
    float *to = j->out + t.batch * a->out[0] + t.head * a->out[1] + (t.row + r) * a->out[2];
    const float by = top[r] == -__builtin_inff() ? 0 : 1 / total[r];
    for (int64_t i = 0; i < a->value_depth; i++) to[i] = sum[r * a->value_depth + i] * by;
    j->log_sums[first + r] = top[r] == -__builtin_inff() ? top[r] : top[r] + logf(total[r]);
  }
}

// The gradients of a block of keys and values, and its part of those of the queries, added to dq: [heads, rows, depth].
static void L(attend_back)(const job *j, tile t, float *dq, float *scratch) {
  const ck_attention *a = &j->a;
  const int64_t d = a->depth, e = a->value_depth, group = t.head, heads = a->heads / a->kv_heads;
  float *p = scratch, *ds = p + ROWS * COLUMNS, *part = ds + ROWS * COLUMNS, *keep = part + PART * ck_max64(d, e);
  const float *k = j->k + t.batch * a->k[0] + group * a->k[1] + t.column * a->k[2];
  const float *keys = block(j->keys, a, t.batch, group, t.column, d);
  const float *values = block(j->values, a, t.batch, group, t.column, e);
  const int64_t place = (t.batch * a->kv_heads + group) * a->columns + t.column;
  float *dk = j->dk + place * d, *dv = j->dv + place * e;
  memset(dk, 0, (size_t)(t.columns * d) * sizeof *dk);
  memset(dv, 0, (size_t)(t.columns * e) * sizeof *dv);
  for (t.head = group * heads; t.head < (group + 1) * heads; t.head++) {
    const int64_t start = a->causal ? t.column / ROWS * ROWS : 0;
    for (t.row = start; t.row < a->rows; t.row += ROWS) {
      t.rows = ck_min64(ROWS, a->rows - t.row);
      const int64_t first = (t.batch * a->heads + t.head) * a->rows + t.row;
      const float *q = j->q + t.batch * a->q[0] + t.head * a->q[1] + t.row * a->q[2];
      const float *g = j->ct + t.batch * a->out[0] + t.head * a->out[1] + t.row * a->out[2];
      L(scores)(a, &t, q, keys, j->mask, p);
      L(small)(t.rows, t.columns, e, g, a->out[2], 1, values, COLUMNS, ds, COLUMNS);
      for (int64_t r = 0; r < t.rows; r++) {
        float *x = p + r * COLUMNS, *y = ds + r * COLUMNS;
        const float log_sum = j->log_sums[first + r], delta = j->delta[first + r];
        if (log_sum == -__builtin_inff()) memset(x, 0, (size_t)t.columns * sizeof *x);
        else for (int64_t c = 0; c < t.columns; c++) x[c] = L(exp_)(x[c] - log_sum);
        if (a->dropout > 0) {
          L(keep)(a, &t, r, keep);
          for (int64_t c = 0; c < t.columns; c++) y[c] = x[c] * (y[c] * keep[c] - delta);
          for (int64_t c = 0; c < t.columns; c++) x[c] *= keep[c];
        } else {
          for (int64_t c = 0; c < t.columns; c++) y[c] = x[c] * (y[c] - delta);
        }
      }
      L(small)(t.columns, e, t.rows, p, 1, COLUMNS, g, a->out[2], part, e);
      for (int64_t i = 0; i < t.columns * e; i++) dv[i] += part[i];
      L(small)(t.columns, d, t.rows, ds, 1, COLUMNS, q, a->q[2], part, d);
      for (int64_t i = 0; i < t.columns * d; i++) dk[i] += part[i];
      L(small)(t.rows, d, t.columns, ds, COLUMNS, 1, k, a->k[2], part, d);
      float *to = dq + first * d;
      for (int64_t i = 0; i < t.rows * d; i++) to[i] += part[i];
    }
  }
  for (int64_t i = 0; i < t.columns * d; i++) dk[i] *= a->scale;
}

static void L(gather_parts)(int64_t n, int64_t parts, int64_t step, float *to, const float *from, float by) {
  for (int64_t i = 0; i < n; i++) to[i] = from[i] * by;
  for (int64_t p = 1; p < parts; p++)
    for (int64_t i = 0; i < n; i++) to[i] += from[p * step + i] * by;
}
