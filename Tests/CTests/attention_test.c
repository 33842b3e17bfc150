// Attention and its gradients, in F32 and in pairs of BF16, against sums in double: blocks that are not whole, odd numbers of
// rows and columns, shared heads, causal with more rows than columns and fewer; and equal bits for any number of threads.
#include "check.h"

extern void omp_set_num_threads(int threads);

typedef struct { int64_t batch, heads, kv_heads, rows, columns, depth, value_depth; bool causal; } example;

enum { Q, K, V, CT, OPERANDS };

static void *numbers(int32_t dtype, int64_t count, double *wide) {
  void *p = malloc((size_t)(count + 1) * 4);
  for (int64_t i = 0; i < count; i++) {
    const float f = (float)(uniform() * 2 - 1);
    if (dtype == CK_F32) ((float *)p)[i] = f;
    else ((uint16_t *)p)[i] = (uint16_t)(*(const uint32_t *)(const void *)&f >> 16);
    wide[i] = get(dtype, p, i);
  }
  return p;
}

// The results out, dq, dk and dv of one head of the queries, added to those of the others.
static void head(const example *e, int64_t b, int64_t h, double scale, double *const in[], double *const want[], double *sums,
                 double *delta) {
  const int64_t g = b * e->kv_heads + h / (e->heads / e->kv_heads), d = e->depth, n = e->value_depth;
  const double *k = in[K] + g * e->columns * d, *v = in[V] + g * e->columns * n;
  double *dk = want[2] + g * e->columns * d, *dv = want[3] + g * e->columns * n;
  double *p = malloc(sizeof *p * (size_t)e->columns);
  for (int64_t r = 0; r < e->rows; r++) {
    const int64_t row = (b * e->heads + h) * e->rows + r, seen = e->causal ? (r + 1 < e->columns ? r + 1 : e->columns) : e->columns;
    const double *q = in[Q] + row * d, *ct = in[CT] + row * n;
    double *y = want[0] + row * n, *dq = want[1] + row * d, total = 0;
    for (int64_t c = 0; c < seen; c++) {
      double s = 0;
      for (int64_t i = 0; i < d; i++) s += q[i] * k[c * d + i];
      total += p[c] = exp(s * scale);
    }
    sums[row] = log(total);
    delta[row] = 0;
    for (int64_t c = 0; c < seen; c++)
      for (int64_t i = 0; i < n; i++) y[i] += (p[c] / total) * v[c * n + i];
    for (int64_t i = 0; i < n; i++) delta[row] += y[i] * ct[i];
    for (int64_t c = 0; c < seen; c++) {
      double dp = 0;
      for (int64_t i = 0; i < n; i++) dp += ct[i] * v[c * n + i], dv[c * n + i] += (p[c] / total) * ct[i];
      const double ds = (p[c] / total) * (dp - delta[row]) * scale;
      for (int64_t i = 0; i < d; i++) dq[i] += ds * k[c * d + i], dk[c * d + i] += ds * q[i];
    }
  }
  free(p);
}

static void agrees(const example *e, int32_t dtype) {
  const int64_t rows = e->batch * e->heads * e->rows, columns = e->batch * e->kv_heads * e->columns;
  const int64_t counts[OPERANDS] = {rows * e->depth, columns * e->depth, columns * e->value_depth, rows * e->value_depth};
  const int64_t results[4] = {counts[CT], counts[Q], counts[K], counts[V]};
  double *in[OPERANDS], *want[4], *sums = malloc(sizeof *sums * (size_t)rows), *delta = malloc(sizeof *delta * (size_t)rows);
  void *given[OPERANDS], *first[4] = {NULL};
  for (int i = 0; i < OPERANDS; i++) {
    in[i] = malloc(sizeof(double) * (size_t)(counts[i] + 1));
    given[i] = numbers(dtype, counts[i], in[i]);
    want[i] = calloc(sizeof(double), (size_t)(results[i] + 1));
  }
  const float scale = 0.3f;
  for (int64_t b = 0; b < e->batch; b++)
    for (int64_t h = 0; h < e->heads; h++) head(e, b, h, scale, in, want, sums, delta);
  ck_attention a = {.batch = e->batch, .heads = e->heads, .kv_heads = e->kv_heads, .rows = e->rows, .columns = e->columns,
                    .depth = e->depth, .value_depth = e->value_depth, .scale = scale, .causal = e->causal, .dtype = dtype};
  const int64_t d = e->depth, n = e->value_depth;
  const int64_t strides[4][3] = {{e->heads * e->rows * d, e->rows * d, d}, {e->kv_heads * e->columns * d, e->columns * d, d},
                                 {e->kv_heads * e->columns * n, e->columns * n, n}, {e->heads * e->rows * n, e->rows * n, n}};
  memcpy(a.q, strides[Q], sizeof a.q);
  memcpy(a.k, strides[K], sizeof a.k);
  memcpy(a.v, strides[V], sizeof a.v);
  memcpy(a.out, strides[CT], sizeof a.out);
  const size_t size = (size_t)ck_element_size(dtype);
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    void *found[4];
    for (int i = 0; i < 4; i++) {
      found[i] = malloc(size * (size_t)results[i]);
      memset(found[i], 0xff, size * (size_t)results[i]);
    }
    float *logs = malloc(sizeof *logs * (size_t)rows), *dots = malloc(sizeof *dots * (size_t)rows);
    CHECK(ck_attend(&a, found[0], logs, given[Q], given[K], given[V], NULL) == CK_OK, "forward");
    for (int64_t i = 0; i < rows; i++) {
      CHECK(fabs(logs[i] - sums[i]) < 1e-5 * (1 + fabs(sums[i])), "logarithm %ld: %g, not %g", (long)i, logs[i], sums[i]);
      dots[i] = (float)delta[i];
    }
    CHECK(ck_attend_grad(&a, found[1], found[2], found[3], given[Q], given[K], given[V], given[CT], logs, dots, NULL) == CK_OK,
          "backward");
    for (int i = 0; i < 4; i++) {
      double square = 0;
      for (int64_t k = 0; k < results[i]; k++) square += want[i][k] * want[i][k];
      // Weights and cotangents of scores are rounded to BF16 before they are summed up, and so is the result.
      const double bound = (dtype == CK_F32 ? 1e-5 : 2e-2) * (1e-6 + sqrt(square / (double)results[i]));
      for (int64_t k = 0; k < results[i]; k++) {
        const double got = get(dtype, found[i], k), slack = dtype == CK_F32 ? 1e-5 : 1e-2;
        CHECK(fabs(got - want[i][k]) <= bound + slack * fabs(want[i][k]), "result %d, %ld: %g, not %g", i, (long)k, got, want[i][k]);
      }
      if (first[i]) CHECK(!memcmp(first[i], found[i], size * (size_t)results[i]), "result %d: other bits by %d threads", i, threads);
      if (first[i]) free(found[i]);
      else first[i] = found[i];
    }
    free(logs);
    free(dots);
  }
  for (int i = 0; i < 4; i++) free(first[i]), free(in[i]), free(given[i]), free(want[i]);
  free(sums);
  free(delta);
}

int main(void) {
  const example examples[] = {
    {1, 1, 1, 1, 1, 2, 2, false}, {2, 4, 2, 5, 7, 4, 6, false}, {1, 2, 1, 97, 131, 64, 56, false}, {1, 2, 2, 97, 131, 64, 56, true},
    {1, 3, 1, 300, 141, 18, 80, true}, {2, 2, 2, 64, 259, 32, 16, true}, {1, 1, 1, 193, 256, 128, 66, false},
  };
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
    for (int k = 0; k < 2; k++) {
      const int32_t dtype = k ? CK_BF16 : CK_F32;
      if (ck_attends(dtype, examples[i].depth, examples[i].value_depth)) agrees(&examples[i], dtype);
    }
  return report("attention");
}
