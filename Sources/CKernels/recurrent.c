// Recurrent layers: all steps of one layer and direction, with the weights packed once.
#include "internal.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
  UNITS = 16,  // hidden units of a panel where each has several gates, which stand side by side
  WIDE = 64,   // where each has one
};

typedef struct {
  ck_recurrent r;
  int64_t units, step;
  float *panels;  // the weights: [panel, row, column of the panel]
  const float *x, *h0, *c0, *bias, *y, *c, *gates, *dy, *dc, *dgates;
  float *out, *c_out, *gates_out, *dx, *dhidden, *dh0, *dc0, *carry;
  int32_t failed;
} job;

static int64_t gates_of(int32_t kind) { return kind == CK_LSTM ? 4 : kind == CK_GRU ? 3 : 1; }
static int64_t time_of(const ck_recurrent *r, int64_t step) { return r->reversed ? r->steps - 1 - step : step; }

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
  run(j, begin, end, gates_of(j->r.kind) * j->units, CK_PICK(step));
}
static void backward_range(void *context, int64_t begin, int64_t end) { run(context, begin, end, WIDE, CK_PICK(step_back)); }

static int64_t panels_of(int64_t units, int64_t hidden) { return (hidden + units - 1) / units; }

// weight: [gates * hidden, hidden]. A panel has the weights of its units for each element of the state, gate by gate.
static bool pack(job *j, const float *weight, bool backward) {
  const int64_t h = j->r.hidden, gates = gates_of(j->r.kind), units = j->units, width = backward ? WIDE : gates * units;
  const int64_t rows = backward ? gates * h : h;
  const size_t bytes = (size_t)(panels_of(units, h) * rows * width) * sizeof(float);
  j->panels = ck_alloc(bytes);
  if (!j->panels) return false;
  if (h % units) memset(j->panels, 0, bytes);
  for (int64_t p = 0; p < panels_of(units, h); p++) {
    const int64_t n = ck_min64(units, h - p * units);
    float *to = j->panels + p * rows * width;
    if (backward) {
      const ck_nd nd = {2, {rows, n}, {{width, 1}, {h, 1}, {0}, {0}}};
      ck_copy(CK_F32, &nd, to, weight + p * units);
    } else {
      for (int64_t g = 0; g < gates; g++) {
        const ck_nd nd = {2, {h, n}, {{width, 1}, {1, h}, {0}, {0}}};
        ck_copy(CK_F32, &nd, to + g * units, weight + (g * h + p * units) * h);
      }
    }
  }
  return true;
}
static void release(job *j, bool backward) {
  const int64_t h = j->r.hidden, gates = gates_of(j->r.kind), panels = panels_of(j->units, h);
  if (j->panels) ck_free(j->panels, (size_t)(panels * (backward ? gates * h * WIDE : h * gates * j->units)) * sizeof(float));
}

int32_t ck_recur(const ck_recurrent *r, float *y, float *c, float *gates, const float *x, const float *h0, const float *c0,
                 const float *weight, const float *bias) {
  job j = {.r = *r, .units = gates_of(r->kind) == 1 ? WIDE : UNITS, .x = x, .h0 = h0, .c0 = c0, .bias = bias, .y = y, .c = c,
           .out = y, .c_out = c, .gates_out = gates};
  if (r->steps * r->batch * r->hidden == 0) return CK_OK;
  if (!pack(&j, weight, false)) return CK_NO_MEMORY;
  const int64_t cost = r->batch * gates_of(r->kind) * j.units * r->hidden / 8;
  for (j.step = 0; j.step < r->steps && !j.failed; j.step++)
    ck_parallel(panels_of(j.units, r->hidden), ck_grain_for(cost), &j, forward_range);
  release(&j, false);
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
  release(&j, true);
  return j.failed || !packed ? CK_NO_MEMORY : CK_OK;
}
