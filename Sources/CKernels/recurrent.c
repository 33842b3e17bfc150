// Recurrent layers: all steps of one layer and direction, with the weights packed once.
#include "pairs.h"

enum {
  UNITS = 16,  // hidden units of a panel where each has several gates, which stand side by side
  WIDE = 64,   // where each has one
};

typedef struct {
  ck_recurrent r;
  int64_t units, step;
  // The weights: [panel, row, column of the panel]; with pairs of bfloat16 [panel, row / 2, column of the panel, row % 2].
  float *panels;
  int64_t rows, width;  // of a panel: the elements of the state, and the columns
  // What steps multiply by the weights when that is not F32: [batch, rows rounded up to even], as bits of bfloat16 if `pairs`,
  // else rounded values. A step reads one and writes the other.
  bool pairs;
  char *state[2];
  const float *weight;
  const float *x, *h0, *c0, *bias, *y, *c, *gates, *dy, *dc, *dgates;
  float *out, *c_out, *gates_out, *dx, *dhidden, *dh0, *dc0, *carry;
  int32_t failed;
} job;

static int64_t gates_of(int32_t kind) { return kind == CK_LSTM ? 4 : kind == CK_GRU ? 3 : 1; }
static int64_t time_of(const ck_recurrent *r, int64_t step) { return r->reversed ? r->steps - 1 - step : step; }

static const float zeros[WIDE];  // stand for what is not given

static bool rounds(const job *j) { return j->r.product != CK_F32; }
static int64_t even(int64_t n) { return (n + 1) & ~(int64_t)1; }
static size_t panel_size(const job *j) { return (size_t)((j->pairs ? even(j->rows) / 2 : j->rows) * j->width); }
static size_t element(const job *j) { return j->pairs ? 2 : 4; }
static char *state_row(const job *j, int64_t step, int64_t b, int64_t column) {
  return j->state[step & 1] + (b * even(j->rows) + column) * (int64_t)element(j);
}

// n <= 64 numbers, as a step multiplies them.
static void put(const job *j, int64_t n, void *to, const float *from) {
  uint16_t bits[64];
  void *half = j->pairs ? to : bits;
  ck_narrow(j->r.product, n, half, from);
  if (!j->pairs) ck_widen(j->r.product, n, to, half);
}
static void put_row(const job *j, int64_t n, char *to, const float *from) {
  for (int64_t at = 0; at < n; at += 64) put(j, ck_min64(64, n - at), to + at * (int64_t)element(j), from + at);
}

#define CK_BODY "recurrent_body.h"
#include "levels.h"

static void run(job *j, int64_t begin, int64_t end, int64_t width, void (*body)(const job *, int64_t, int64_t, float *)) {
  const size_t bytes = (size_t)(j->r.batch * width) * sizeof(float);
  float *made = ck_alloc(bytes);
  if (!made) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  for (int64_t p = begin; p < end; p++) body(j, j->step, p, made);
  ck_free(made, bytes);
}
static void forward_range(void *context, int64_t begin, int64_t end) {
  job *j = context;
  run(j, begin, end, j->width, CK_PICK(step));
}
static void backward_range(void *context, int64_t begin, int64_t end) { run(context, begin, end, WIDE, CK_PICK(step_back)); }

static int64_t panels_of(int64_t units, int64_t hidden) { return (hidden + units - 1) / units; }

// A panel has the weights of its units for each element of the state, gate by gate: columns of the transposed weights.
static void pack_forward(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t h = j->r.hidden, gates = gates_of(j->r.kind), pairs = even(h) / 2;
  uint16_t *bits = j->pairs ? ck_alloc((size_t)(j->units * pairs) * 4) : NULL;
  if (j->pairs && !bits) __atomic_store_n(&((job *)context)->failed, 1, __ATOMIC_RELAXED);
  for (int64_t p = begin; p < end; p++) {
    const int64_t n = ck_min64(j->units, h - p * j->units);
    float *panel = j->panels + (size_t)p * panel_size(j);
    for (int64_t g = 0; g < gates; g++) {
      const float *from = j->weight + (g * h + p * j->units) * h;
      float *to = panel + g * j->units;
      if (bits) {
        for (int64_t i = 0; i < n; i++) {
          bits[2 * (i + 1) * pairs - 1] = 0;
          ck_narrow(CK_BF16, h, bits + 2 * i * pairs, from + i * h);
        }
        const ck_nd nd = {2, {pairs, n}, {{j->width, 1}, {1, pairs}, {0}, {0}}};
        ck_copy(CK_F32, &nd, to, bits);
      } else if (!j->pairs) {
        const ck_nd nd = {2, {h, n}, {{j->width, 1}, {1, h}, {0}, {0}}};
        ck_copy(CK_F32, &nd, to, from);
      }
    }
    if (!j->pairs && rounds(j)) put_row(j, (int64_t)panel_size(j), (char *)panel, panel);
  }
  if (bits) ck_free(bits, (size_t)(j->units * pairs) * 4);
}

// Columns of the weights.
static void pack_backward(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const int64_t h = j->r.hidden;
  for (int64_t p = begin; p < end; p++) {
    const int64_t n = ck_min64(WIDE, h - p * WIDE);
    float *panel = j->panels + (size_t)p * panel_size(j);
    const float *from = j->weight + p * WIDE;
    if (!j->pairs) {
      const ck_nd nd = {2, {j->rows, n}, {{WIDE, 1}, {h, 1}, {0}, {0}}};
      ck_copy(CK_F32, &nd, panel, from);
      if (rounds(j)) put_row(j, (int64_t)panel_size(j), (char *)panel, panel);
      continue;
    }
    for (int64_t row = 0; row < j->rows; row += 2) {
      uint16_t both[2][WIDE] = {{0}};
      put(j, n, both[0], from + row * h);
      if (row + 1 < j->rows) put(j, n, both[1], from + (row + 1) * h);
      ck_pair_rows(2, n, both[0], WIDE, (ck_pair *)(void *)(panel + row / 2 * WIDE), WIDE);
    }
  }
}

// The weights, [gates * hidden, hidden], and room for what is multiplied by them.
static bool pack(job *j, const float *weight, bool backward) {
  const ck_recurrent *r = &j->r;
  const int64_t h = r->hidden, gates = gates_of(r->kind), panels = panels_of(j->units, h);
  j->weight = weight;
  j->rows = backward ? gates * h : h;
  j->width = backward ? WIDE : gates * j->units;
  j->pairs = r->product == CK_BF16 && ck_has_bf16_dots;
  const size_t bytes = (size_t)panels * panel_size(j) * sizeof(float);
  j->panels = ck_alloc(bytes);
  if (!j->panels) return false;
  if (h % j->units) memset(j->panels + (size_t)(panels - 1) * panel_size(j), 0, panel_size(j) * sizeof(float));
  if (rounds(j)) {
    const size_t size = (size_t)(r->batch * even(j->rows)) * element(j);
    j->state[0] = ck_alloc(2 * size);
    if (!j->state[0]) return false;
    j->state[1] = j->state[0] + size;
    memset(j->state[0], 0, 2 * size);
  }
  ck_parallel(panels, ck_grain_for(j->rows * j->width), j, backward ? pack_backward : pack_forward);
  return !j->failed;
}
static void release(job *j) {
  const size_t panels = (size_t)panels_of(j->units, j->r.hidden);
  if (j->panels) ck_free(j->panels, panels * panel_size(j) * sizeof(float));
  if (j->state[0]) ck_free(j->state[0], 2 * (size_t)(j->r.batch * even(j->rows)) * element(j));
}

int32_t ck_recur(const ck_recurrent *r, float *y, float *c, float *gates, const float *x, const float *h0, const float *c0,
                 const float *weight, const float *bias) {
  job j = {.r = *r, .units = gates_of(r->kind) == 1 ? WIDE : UNITS, .x = x, .h0 = h0, .c0 = c0, .bias = bias, .y = y, .c = c,
           .out = y, .c_out = c, .gates_out = gates};
  if (r->steps * r->batch * r->hidden == 0) return CK_OK;
  if (!pack(&j, weight, false)) {
    release(&j);
    return CK_NO_MEMORY;
  }
  if (rounds(&j))
    for (int64_t b = 0; b < r->batch; b++) put_row(&j, r->hidden, state_row(&j, 0, b, 0), h0 + b * r->hidden);
  const int64_t cost = r->batch * gates_of(r->kind) * j.units * r->hidden / 8;
  for (j.step = 0; j.step < r->steps && !j.failed; j.step++)
    ck_parallel(panels_of(j.units, r->hidden), ck_grain_for(cost), &j, forward_range);
  release(&j);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}

int32_t ck_recur_grad(const ck_recurrent *r, float *dx, float *dhidden, float *dh0, float *dc0, const float *dy,
                      const float *dc, const float *dgates, const float *y, const float *c, const float *gates,
                      const float *h0, const float *c0, const float *weight) {
  job j = {.r = *r, .units = WIDE, .dx = dx, .dhidden = dhidden ? dhidden : dx, .dh0 = dh0, .dc0 = dc0, .dy = dy, .dc = dc,
           .dgates = dgates, .y = y, .c = c, .gates = gates, .h0 = h0, .c0 = c0};
  const size_t size = (size_t)(r->batch * r->hidden) * sizeof(float);
  if (size == 0 || r->steps == 0) {
    memset(dh0, 0, size);
    if (dc0) memset(dc0, 0, size);
    return CK_OK;
  }
  j.carry = ck_alloc(size);
  const bool packed = j.carry && pack(&j, weight, true);
  const int64_t cost = r->batch * gates_of(r->kind) * r->hidden * WIDE / 8;
  for (j.step = r->steps - 1; j.step >= -1 && packed && !j.failed; j.step--)
    ck_parallel(panels_of(WIDE, r->hidden), ck_grain_for(cost), &j, backward_range);
  if (j.carry) ck_free(j.carry, size);
  release(&j);
  return j.failed || !packed ? CK_NO_MEMORY : CK_OK;
}
