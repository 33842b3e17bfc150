// Steps of recurrent cells over one panel of hidden units. Included once per level.
#include "math_body.h"
#include "matmul_body.h"
#define LOOP _Pragma("clang loop vectorize(assume_safety)") for (int64_t i = 0; i < n; i++)

// What the state of a step, f32 [batch, rows], gives by panel p: made, [batch, width].
static void L(multiply)(const job *j, int64_t step, const float *state, int64_t p, float *made) {
  const float *panel = j->panels + (size_t)p * panel_size(j);
  if (j->pairs) {
    ck_multiply_pairs(false, j->r.batch, j->width, even(j->rows) / 2, (const ck_pair *)(void *)state_row(j, step, 0, 0),
                      even(j->rows) / 2, 1, (const ck_pair *)(const void *)panel, j->width, made, j->width);
    return;
  }
  int64_t row = j->rows;
  if (rounds(j)) state = (const float *)(void *)state_row(j, step, 0, 0), row = even(row);
  L(small)(j->r.batch, j->width, j->rows, state, row, 1, panel, j->width, made, j->width);
}

// The units of panel p at one step: the hidden state's share of their gates, then the cell.
static void L(step)(const job *j, int64_t step, int64_t p, float *made) {
  const ck_recurrent *r = &j->r;
  const int64_t h = r->hidden, t = time_of(r, step), u0 = p * j->units, n = ck_min64(j->units, h - u0);
  const int64_t gates = gates_of(r->kind), width = j->width;
  const float *before = step == 0 ? j->h0 : j->y + time_of(r, step - 1) * r->batch * h;
  L(multiply)(j, step, before, p, made);
  for (int64_t b = 0; b < r->batch; b++) {
    const int64_t row = t * r->batch + b;
    const float *m = made + b * width, *x = j->x + row * gates * h + u0, *past = before + b * h + u0;
    float *y = j->out + row * h + u0;
    switch (r->kind) {
    case CK_RNN_TANH:
      LOOP y[i] = L(tanh_)(x[i] + m[i]);
      break;
    case CK_RNN_RELU:
      LOOP { const float s = x[i] + m[i]; y[i] = s < 0 ? 0 : s; }
      break;
    case CK_LSTM: {
      const float *c = (step == 0 ? j->c0 + b * h : j->c + (time_of(r, step - 1) * r->batch + b) * h) + u0;
      float *cell = j->c_out + row * h + u0, *g = j->gates_out + row * 4 * h + u0;
      LOOP {
        const float in = L(sigmoid_)(x[i] + m[i]), forget = L(sigmoid_)(x[h + i] + m[UNITS + i]);
        const float new = L(tanh_)(x[2 * h + i] + m[2 * UNITS + i]);
        const float out = L(sigmoid_)(x[3 * h + i] + m[3 * UNITS + i]);
        const float s = forget * c[i] + in * new;
        g[i] = in, g[h + i] = forget, g[2 * h + i] = new, g[3 * h + i] = out;
        cell[i] = s;
        y[i] = out * L(tanh_)(s);
      }
      break;
    }
    default: {
      float *g = j->gates_out + row * 4 * h + u0;
      LOOP {
        const float reset = L(sigmoid_)(x[i] + m[i]), keep = L(sigmoid_)(x[h + i] + m[UNITS + i]);
        const float hidden = m[2 * UNITS + i] + j->bias[u0 + i];
        const float new = L(tanh_)(x[2 * h + i] + reset * hidden);
        g[i] = reset, g[h + i] = keep, g[2 * h + i] = new, g[3 * h + i] = hidden;
        y[i] = (1 - keep) * new + keep * past[i];
      }
    }
    }
    if (rounds(j)) put(j, n, state_row(j, step + 1, b, u0), y);
  }
}

// The cotangents of a panel's units at one step, from those of the gates at the step behind it; step -1 gives those of the
// initial state. carry: [batch, hidden], what reaches the step otherwise than through the gates.
static void L(step_back)(const job *j, int64_t step, int64_t p, float *made) {
  const ck_recurrent *r = &j->r;
  const int64_t h = r->hidden, u0 = p * WIDE, n = ck_min64(WIDE, h - u0), gates = gates_of(r->kind), size = gates * h;
  const bool is_last = step == r->steps - 1;
  if (is_last) {
    memset(made, 0, (size_t)(r->batch * WIDE) * sizeof *made);
  } else {
    const float *behind = j->dhidden + time_of(r, step + 1) * r->batch * size;
    L(multiply)(j, step + 1, behind, p, made);
  }
  for (int64_t b = 0; b < r->batch; b++) {
    float *d = made + b * WIDE, *carry = j->carry + b * h + u0;
    if (r->kind == CK_GRU && !is_last) LOOP d[i] += carry[i];
    if (step < 0) {
      memcpy(j->dh0 + b * h + u0, d, (size_t)n * sizeof *d);
      if (r->kind == CK_LSTM) memcpy(j->dc0 + b * h + u0, carry, (size_t)n * sizeof *carry);
      continue;
    }
    const int64_t row = time_of(r, step) * r->batch + b;
    const float *ct = j->dy + row * h + u0, *y = j->y + row * h + u0;
    const float *g = j->gates ? j->gates + row * 4 * h + u0 : NULL;
    const float *extra[4];
    for (int i = 0; i < 4; i++) extra[i] = j->dgates ? j->dgates + row * 4 * h + i * h + u0 : zeros;
    float *dx = j->dx + row * size + u0;
    LOOP d[i] += ct[i];
    switch (r->kind) {
    case CK_RNN_TANH:
      LOOP dx[i] = d[i] * (1 - y[i] * y[i]);
      break;
    case CK_RNN_RELU:
      LOOP dx[i] = y[i] > 0 ? d[i] : 0;
      break;
    case CK_LSTM: {
      const float *c = j->c + row * h + u0, *dc = j->dc ? j->dc + row * h + u0 : zeros;
      const float *passed = is_last ? zeros : carry;
      const float *past = (step == 0 ? j->c0 + b * h : j->c + (time_of(r, step - 1) * r->batch + b) * h) + u0;
      LOOP {
        const float in = g[i], forget = g[h + i], new = g[2 * h + i], out = g[3 * h + i], t = L(tanh_)(c[i]);
        const float s = passed[i] + d[i] * out * (1 - t * t) + dc[i];
        dx[i] = (s * new + extra[0][i]) * in * (1 - in);
        dx[h + i] = (s * past[i] + extra[1][i]) * forget * (1 - forget);
        dx[2 * h + i] = (s * in + extra[2][i]) * (1 - new * new);
        dx[3 * h + i] = (d[i] * t + extra[3][i]) * out * (1 - out);
        carry[i] = s * forget;
      }
      break;
    }
    default: {
      const float *past = (step == 0 ? j->h0 + b * h : j->y + (time_of(r, step - 1) * r->batch + b) * h) + u0;
      float *dh = j->dhidden + row * size + u0;
      LOOP {
        const float reset = g[i], keep = g[h + i], new = g[2 * h + i], hidden = g[3 * h + i];
        const float dn = (d[i] * (1 - keep) + extra[2][i]) * (1 - new * new);
        const float dr = (dn * hidden + extra[0][i]) * reset * (1 - reset);
        const float dz = (d[i] * (past[i] - new) + extra[1][i]) * keep * (1 - keep);
        dx[i] = dr, dx[h + i] = dz, dx[2 * h + i] = dn;
        dh[i] = dr, dh[h + i] = dz, dh[2 * h + i] = dn * reset + extra[3][i];
        carry[i] = d[i] * keep;
      }
    }
    }
    if (rounds(j)) {
      const float *share = j->dhidden + row * size + u0;
      for (int64_t g = 0; g < gates; g++) put(j, n, state_row(j, step, b, g * h + u0), share + g * h);
    }
  }
}
#undef LOOP
