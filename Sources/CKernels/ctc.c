// Connectionist temporal classification: the sums over all alignments, forward and backward in time, in logarithms.
#include "internal.h"

typedef struct {
  int32_t dtype;
  int failed;
  int64_t steps, batch, classes, width, blank;
  const void *x;
  const int64_t *labels, *times, *lengths;
  void *losses, *gradient;
} job;

static inline double log_sum(double a, double b, double c) {
  const double most = a > b ? (a > c ? a : c) : (b > c ? b : c);
  if (!(most > -INFINITY)) return a + b + c;  // no alignment, or NaN
  return most + log(exp(a - most) + exp(b - most) + exp(c - most));
}

// State s of the labels with blanks between and around them.
static inline int64_t label(const int64_t *labels, int64_t blank, int64_t s) { return s & 1 ? labels[s / 2] : blank; }
// Whether an alignment may come to s from s - 2, past a blank.
static inline bool skips(const int64_t *labels, int64_t s) {
  return (s & 1) && s >= 3 && labels[s / 2] != labels[s / 2 - 1];
}

static void examples(void *context, int64_t begin, int64_t end) {
  job *j = context;
  for (int64_t b = begin; b < end; b++) {
    const int64_t times = j->times[b], length = j->lengths[b], states = 2 * length + 1;
    const int64_t *labels = j->labels + b * j->width;
    const int64_t kept = j->gradient ? times + 1 : 2;  // rows of alpha; row 0 is the state before the first step
    const size_t bytes = (size_t)((kept + 2) * states) * sizeof(double);
    double *rows = ck_alloc(bytes);
    if (!rows) {
      __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
      return;
    }
#define AT(t, k)                                                                                        \
  (j->dtype == CK_F32 ? (double)((const float *)j->x)[((t) * j->batch + b) * j->classes + (k)]         \
                      : ((const double *)j->x)[((t) * j->batch + b) * j->classes + (k)])
    double *before = rows;
    before[0] = 0;
    for (int64_t s = 1; s < states; s++) before[s] = -INFINITY;
    for (int64_t t = 0; t < times; t++) {
      double *now = rows + (j->gradient ? t + 1 : (t + 1) % 2) * states;
      for (int64_t s = 0; s < states; s++)
        now[s] = AT(t, label(labels, j->blank, s)) +
                 log_sum(before[s], s > 0 ? before[s - 1] : -INFINITY, skips(labels, s) ? before[s - 2] : -INFINITY);
      before = now;
    }
    const double loss = -log_sum(before[states - 1], states > 1 ? before[states - 2] : -INFINITY, -INFINITY);
    if (j->losses) {
      if (j->dtype == CK_F32) ((float *)j->losses)[b] = (float)loss;
      else ((double *)j->losses)[b] = loss;
    }
    if (j->gradient) {
      const size_t size = j->dtype == CK_F32 ? sizeof(float) : sizeof(double);
      for (int64_t t = 0; t < j->steps; t++)
        memset((char *)j->gradient + (size_t)((t * j->batch + b) * j->classes) * size, 0, (size_t)j->classes * size);
      double *later = rows + kept * states, *now = later + states;
      for (int64_t t = times - 1; t >= 0 && loss != INFINITY; t--) {
        const double *alpha = rows + (t + 1) * states;
        for (int64_t s = 0; s < states; s++) {
          // beta, without the emission of its own step
          double rest;
          if (t == times - 1) rest = s >= states - 2 ? 0 : -INFINITY;
          else rest = log_sum(later[s], s + 1 < states ? later[s + 1] : -INFINITY,
                              s + 2 < states && skips(labels, s + 2) ? later[s + 2] : -INFINITY);
          const int64_t k = label(labels, j->blank, s), place = (t * j->batch + b) * j->classes + k;
          const double share = exp(alpha[s] + rest + loss);
          if (j->dtype == CK_F32) ((float *)j->gradient)[place] -= (float)share;
          else ((double *)j->gradient)[place] -= share;
          now[s] = rest + AT(t, k);
        }
        double *swap = later;
        later = now;
        now = swap;
      }
    }
    ck_free(rows, bytes);
  }
}

int32_t ck_ctc(int32_t dtype, int64_t steps, int64_t batch, int64_t classes, int64_t width, int64_t blank, const void *x,
               const int64_t *labels, const int64_t *times, const int64_t *lengths, void *losses, void *gradient) {
  if (dtype != CK_F32 && dtype != CK_F64) return CK_UNSUPPORTED;
  job j = {dtype, 0, steps, batch, classes, width, blank, x, labels, times, lengths, losses, gradient};
  ck_parallel(batch, ck_grain_for(steps * (2 * width + 1) * 64), &j, examples);
  return j.failed ? CK_NO_MEMORY : CK_OK;
}
