// Normalisation of channels that lie side by side, over all rows: [rows, c] for the element type T, with channels-last
// images as rows. Included once per level and type.
//
// Rows come in blocks that stay in the first cache while their mean, and then the moments around it, are found; the
// moments of blocks and of pieces of rows are joined in double, in an order that the number of threads does not change.

#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)

// Rows of n columns from `at` on: in place, or widened into a buffer of BLOCK_ROOM elements; `step` apart.
static inline const T *F(rows_of)(const job *j, const void *p, int64_t row, int64_t rows, int64_t at, int64_t n,
                                  T *buffer, int64_t *step) {
  *step = j->half ? n : j->c;
  if (!j->half || n == j->c) return F(read)(j->half, p, row * j->c + at, rows * n, buffer);
  for (int64_t r = 0; r < rows; r++) F(read)(j->half, p, (row + r) * j->c + at, n, buffer + r * n);
  return buffer;
}
static inline void F(rows_written)(const job *j, int64_t row, int64_t rows, int64_t at, int64_t n, const T *buffer) {
  if (!j->half) return;
  if (n == j->c) F(written)(j->half, j->out, row * j->c, rows * n, buffer);
  else for (int64_t r = 0; r < rows; r++) F(written)(j->half, j->out, (row + r) * j->c + at, n, buffer + r * n);
}

static void F(column_totals)(int64_t rows, int64_t n, const T *x, int64_t step, T *s) {
  LOOP(n) s[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * step) {
    const T *y = x + step, *z = y + step, *u = z + step;
    LOOP(n) s[i] += (x[i] + y[i]) + (z[i] + u[i]);
  }
  for (; r < rows; r++, x += step) LOOP(n) s[i] += x[i];
}

static void F(column_moments)(int64_t rows, int64_t n, const T *x, int64_t step, const T *m, T *s, T *q) {
  LOOP(n) s[i] = q[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * step) {
    const T *y = x + step, *z = y + step, *u = z + step;
    LOOP(n) {
      const T a = x[i] - m[i], b = y[i] - m[i], c = z[i] - m[i], d = u[i] - m[i];
      s[i] += (a + b) + (c + d);
      q[i] += (a * a + b * b) + (c * c + d * d);
    }
  }
  for (; r < rows; r++, x += step)
    LOOP(n) {
      const T a = x[i] - m[i];
      s[i] += a;
      q[i] += a * a;
    }
}

// With what of g passed the rectifiers, of which f holds m, a and b, `fs` apart, where there are any.
static inline __attribute__((always_inline)) void F(column_products)(int64_t rows, int64_t n, const T *x, int64_t xs,
                                                                     const T *g, int64_t gs, const T *m, const T *f,
                                                                     int64_t fs, T tiny, T *s, T *q) {
  const T *fa = f ? f + fs : NULL, *fb = f ? fa + fs : NULL;
  F(bits) all = 0;
#define H(G, X) (f ? F(passed)(G, X, f[i], fa[i], fb[i], tiny, &all) : (G))
  LOOP(n) s[i] = q[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * xs, g += 4 * gs) {
    const T *x1 = x + xs, *x2 = x1 + xs, *x3 = x2 + xs, *g1 = g + gs, *g2 = g1 + gs, *g3 = g2 + gs;
    LOOP(n) {
      const T h = H(g[i], x[i]), h1 = H(g1[i], x1[i]), h2 = H(g2[i], x2[i]), h3 = H(g3[i], x3[i]);
      s[i] += (h + h1) + (h2 + h3);
      q[i] += (h * (x[i] - m[i]) + h1 * (x1[i] - m[i])) + (h2 * (x2[i] - m[i]) + h3 * (x3[i] - m[i]));
    }
  }
  for (; r < rows; r++, x += xs, g += gs)
    LOOP(n) {
      const T h = H(g[i], x[i]);
      s[i] += h;
      q[i] += h * (x[i] - m[i]);
    }
  ALL_READ(all);
#undef H
}

// Joins the sum and the sum of squares around the mean of `more` rows, of which the mean is known, to those of `held`.
#define JOIN(S, M, MEAN, SQUARES) {                                  \
    const double mean = MEAN, delta = mean - S * inverse;            \
    S += more * mean;                                                \
    M += (SQUARES) + delta * delta * cross;                          \
  }

#define BLOCKS                                                                                        \
  for (int64_t row = piece * j->piece_rows, stop = ck_min64(j->n, row + j->piece_rows), rows;         \
       rows = ck_min64(j->block_rows, stop - row), row < stop; row += rows)                           \
    for (int64_t at = 0, n, step; n = ck_min64(WIDTH, j->c - at), at < j->c; at += n)

static void F(columns_moments)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  _Alignas(64) T wide[BLOCK_ROOM], m[WIDTH] = {0}, first[WIDTH], second[WIDTH];
  for (int64_t piece = begin; piece < end; piece++) {
    double *s = j->pieces + piece * 2 * j->c, *q = s + j->c;
    memset(s, 0, (size_t)(2 * j->c) * sizeof(double));
    BLOCKS {
      const T *x = F(rows_of)(j, j->x, row, rows, at, n, wide, &step);
      double *total = s + at, *squares = q + at;
      if (!j->centred) {
        F(column_moments)(rows, n, x, step, m, first, second);
        LOOP(n) squares[i] += (double)second[i];
        continue;
      }
      const double held = (double)(row - piece * j->piece_rows), more = (double)rows, share = 1 / more;
      const double inverse = held > 0 ? 1 / held : 0, cross = held * more / (held + more);
      F(column_totals)(rows, n, x, step, m);
      LOOP(n) m[i] = (T)((double)m[i] * share);
      F(column_moments)(rows, n, x, step, m, first, second);
      LOOP(n) {
        const double f = (double)first[i] * share;  // not a number after an infinite mean
        JOIN(total[i], squares[i], (double)m[i] + (f == f ? f : 0), (double)second[i] - f * (double)first[i])
      }
    }
  }
}

// Joins the pieces: mean, variance, and by what channels are scaled.
static void F(columns_factors)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight, *v = j->bias;
  const double rows = (double)j->n;
  double *s = j->pieces, *q = s + j->c;
  T *m = j->m, *a = j->a, *b = j->b;
  for (int64_t piece = 1; piece * j->piece_rows < j->n; piece++) {
    const int64_t before = piece * j->piece_rows;
    const double held = (double)before, more = (double)ck_min64(j->piece_rows, j->n - before), share = 1 / more;
    const double inverse = 1 / held, cross = held * more / (held + more);
    const double *ps = s + piece * 2 * j->c, *pq = ps + j->c;
    for (int64_t i = begin; i < end; i++) JOIN(s[i], q[i], ps[i] * share, pq[i])
  }
  for (int64_t i = begin; i < end; i++) {
    const double mean = j->n ? s[i] / rows : (double)NAN, spread = j->n ? q[i] / rows : (double)NAN;
    const double variance = spread < 0 ? 0 : spread;
    m[i] = j->centred ? (T)mean : 0;
    ((T *)j->mean)[i] = m[i];
    ((T *)j->variance)[i] = (T)variance;
    const double rate = 1 / __builtin_elementwise_sqrt(variance + j->epsilon), by = w ? rate * (double)w[i] : rate;
    a[i] = (T)by;
    b[i] = (T)((v ? (double)v[i] : 0) - (j->centred ? (mean - (double)m[i]) * by : 0));
    F(keep)(j, i, m[i], a[i], b[i]);
  }
}

#ifdef HALVES
// Whole rows of 16-bit floats, widened and rounded in registers.
#define DIRECT(E, VALUE, BITS, SCALE)                                                                          \
  for (int64_t piece = begin; piece < end; piece++)                                                            \
    for (int64_t row = piece * j->piece_rows; row < ck_min64(j->n, (piece + 1) * j->piece_rows); row++) {      \
      const E *x = (const E *)j->x + row * j->c, *g = j->g ? (const E *)j->g + row * j->c : NULL;              \
      E *o = (E *)j->out + row * j->c;                                                                         \
      if (SCALE && !rectified) LOOP(j->c) o[i] = BITS((VALUE(x[i]) - m[i]) * a[i] + b[i]);                     \
      else if (SCALE) LOOP(j->c) o[i] = BITS(F(raised)((VALUE(x[i]) - m[i]) * a[i] + b[i], low));              \
      else if (!f) LOOP(j->c) o[i] = BITS(VALUE(g[i]) * a[i] + ((VALUE(x[i]) - m[i]) * b[i] + c[i]));          \
      else LOOP(j->c) {                                                                                        \
        const T h = F(passed)(VALUE(g[i]), VALUE(x[i]), f[i], fa[i], fb[i], tiny, &all);                       \
        o[i] = BITS(h * a[i] + ((VALUE(x[i]) - m[i]) * b[i] + c[i]));                                          \
      }                                                                                                        \
    }
#define F16_VALUE(v) ((T)(v))
#define F16_BITS(v) ((_Float16)(v))
// False where this level has no such loop.
static bool F(columns_direct)(const job *j, int64_t begin, int64_t end, bool scale) {
  const T *m = scale ? j->m : j->mean, *a = j->a, *b = j->b, *c = j->m;
  F(bits) all = 0;
  const T *f = j->factors, *fa = f ? f + j->c : NULL, *fb = f ? fa + j->c : NULL, low = (T)j->low, tiny = (T)j->tiny;
  const bool rectified = j->low > -INFINITY;  // comparing takes time where rounding takes most of it
  if (j->half == CK_BF16) {
    if (scale) DIRECT(uint16_t, L(bf16_value), L(bf16_bits), true)
    else DIRECT(uint16_t, L(bf16_value), L(bf16_bits), false)
    ALL_READ(all);
    return true;
  }
#if CK_DIRECT_F16
  if (j->half == CK_F16) {
    if (scale) DIRECT(_Float16, F16_VALUE, F16_BITS, true)
    else DIRECT(_Float16, F16_VALUE, F16_BITS, false)
    ALL_READ(all);
    return true;
  }
#endif
  return false;
}
#undef DIRECT
#undef F16_VALUE
#undef F16_BITS
#else
static bool F(columns_direct)(const job *j, int64_t begin, int64_t end, bool scale) { return false; }
#endif

static void F(columns_scale)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  if (F(columns_direct)(j, begin, end, true)) return;
  _Alignas(64) T wide[BLOCK_ROOM];
  for (int64_t piece = begin; piece < end; piece++)
    BLOCKS {
      const T *x = F(rows_of)(j, j->x, row, rows, at, n, wide, &step);
      const T *m = (const T *)j->m + at, *a = (const T *)j->a + at, *b = (const T *)j->b + at;
      T *o = F(room)(j->half, j->out, row * j->c + at, wide);
      const T low = (T)j->low;
      for (int64_t r = 0; r < rows; r++, x += step, o += step)
        LOOP(n) o[i] = F(raised)((x[i] - m[i]) * a[i] + b[i], low);
      F(rows_written)(j, row, rows, at, n, wide);
    }
}

static void F(columns_products)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  _Alignas(64) T wide[BLOCK_ROOM], wide_g[BLOCK_ROOM], first[WIDTH], second[WIDTH];
  for (int64_t piece = begin; piece < end; piece++) {
    double *s = j->pieces + piece * 2 * j->c, *q = s + j->c;
    memset(s, 0, (size_t)(2 * j->c) * sizeof(double));
    BLOCKS {
      const T *x = F(rows_of)(j, j->x, row, rows, at, n, wide, &step);
      const T *g = F(rows_of)(j, j->g, row, rows, at, n, wide_g, &step);
      double *total = s + at, *product = q + at;
      const T *m = (const T *)j->mean + at, *f = (const T *)j->factors;
      if (f) F(column_products)(rows, n, x, step, g, step, m, f + at, j->c, (T)j->tiny, first, second);
      else F(column_products)(rows, n, x, step, g, step, m, NULL, 0, 0, first, second);
      LOOP(n) {
        total[i] += (double)first[i];
        product[i] += (double)second[i];
      }
    }
  }
}

static void F(columns_back_factors)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  const double rows = (double)j->n;
  double *s = j->pieces, *q = s + j->c;
  if (j->n == 0) memset(s, 0, (size_t)(2 * j->c) * sizeof(double));
  for (int64_t piece = 1; piece * j->piece_rows < j->n; piece++)
    for (int64_t i = begin; i < end; i++) {
      s[i] += s[piece * 2 * j->c + i];
      q[i] += q[piece * 2 * j->c + i];
    }
  for (int64_t i = begin; i < end; i++) {
    const double rate = 1 / __builtin_elementwise_sqrt((double)((const T *)j->variance)[i] + j->epsilon), each = w ? (double)w[i] : 1;
    if (j->weight_sums) {
      j->weight_sums[i] = q[i] * rate;
      j->bias_sums[i] = s[i];
    }
    ((T *)j->a)[i] = (T)(rate * each);
    ((T *)j->b)[i] = (T)(-rate * rate * rate * each * q[i] / rows);
    ((T *)j->m)[i] = (T)(j->centred ? -rate * each * s[i] / rows : 0);
  }
}

static void F(columns_slope)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  if (F(columns_direct)(j, begin, end, false)) return;
  _Alignas(64) T wide[BLOCK_ROOM], wide_x[BLOCK_ROOM];
  F(bits) all = 0;
  for (int64_t piece = begin; piece < end; piece++)
    BLOCKS {
      const T *x = F(rows_of)(j, j->x, row, rows, at, n, wide_x, &step);
      const T *g = F(rows_of)(j, j->g, row, rows, at, n, wide, &step);
      const T *m = (const T *)j->mean + at, *a = (const T *)j->a + at, *b = (const T *)j->b + at;
      const T *c = (const T *)j->m + at;
      T *o = F(room)(j->half, j->out, row * j->c + at, wide);
      const T *f = j->factors ? (const T *)j->factors + at : NULL, *fa = f ? f + j->c : NULL, *fb = f ? fa + j->c : NULL;
      const T tiny = (T)j->tiny;
      for (int64_t r = 0; r < rows; r++, x += step, g += step, o += step)
        if (!f) LOOP(n) o[i] = g[i] * a[i] + ((x[i] - m[i]) * b[i] + c[i]);
        else LOOP(n) {
          const T h = F(passed)(g[i], x[i], f[i], fa[i], fb[i], tiny, &all);
          o[i] = h * a[i] + ((x[i] - m[i]) * b[i] + c[i]);
        }
      F(rows_written)(j, row, rows, at, n, wide);
    }
  ALL_READ(all);
}
#undef BLOCKS
#undef JOIN
#undef LOOP
