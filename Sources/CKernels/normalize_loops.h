// Normalisation for the element type T; F(name) names its functions. Included once per level and type.
//
// Variances are of differences from a mean that is rounded to T, corrected by the mean of those differences: no
// cancellation, however large the mean is. Sums are over 64 bytes of running values, widened to double every 4096 elements.

typedef T F(vec) __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
enum { F(LANES) = 64 / sizeof(T) };
enum { F(TOTAL), F(MOMENTS), F(PRODUCTS) };

static inline double F(folded)(const F(vec) *s) {
  const F(vec) all = (s[0] + s[1]) + (s[2] + s[3]);
  T r[F(LANES)];
  memcpy(r, &all, sizeof r);
  for (int half = F(LANES) / 2; half; half /= 2)
    for (int i = 0; i < half; i++) r[i] += r[i + half];
  return (double)r[0];
}

// Over `parts` stretches of n elements, `step` apart. TOTAL: sum of x. MOMENTS: sums of x - m and of its square.
// PRODUCTS: sums of h and of h (x - m), with h = g, or g w where there is a weight for each element.
static inline __attribute__((always_inline)) void F(sums)(int kind, int64_t parts, int64_t step, int64_t n, const T *x,
                                                          const T *g, const T *w, T m, double *first, double *second) {
  F(vec) s[4] = {{0}}, q[4] = {{0}};
  double a = 0, b = 0;
  int64_t held = 0;
#define AT(p, i) (*(const F(vec) *)((p) + (i)))
#define TAKE(k, X, G, W) {                             \
    F(vec) d = X;                                      \
    if (kind != F(TOTAL)) d = d - m;                   \
    if (kind == F(PRODUCTS)) {                         \
      F(vec) h = G;                                    \
      if (w) h = h * W;                                \
      s[k] += h;                                       \
      q[k] = h * d + q[k];                             \
    } else {                                           \
      s[k] += d;                                       \
      if (kind == F(MOMENTS)) q[k] = d * d + q[k];     \
    }                                                  \
  }
  for (int64_t p = 0; p < parts; p++, x += step, g = g ? g + step : g)
    for (int64_t i = 0; i < n;) {
      const int64_t begin = i, end = ck_min64(n, i + BLOCK);
      for (; i + 4 * F(LANES) <= end; i += 4 * F(LANES))
        for (int k = 0; k < 4; k++)
          TAKE(k, AT(x, i + k * F(LANES)), AT(g, i + k * F(LANES)), AT(w, i + k * F(LANES)))
      for (; i + F(LANES) <= end; i += F(LANES)) TAKE(0, AT(x, i), AT(g, i), AT(w, i))
      if (i < end) {  // what adds nothing fills the last vector
        T tx[F(LANES)], tg[F(LANES)] = {0}, tw[F(LANES)] = {0};
        for (int64_t k = 0; k < F(LANES); k++) tx[k] = i + k < end ? x[i + k] : kind == F(TOTAL) ? 0 : m;
        for (int64_t k = 0; kind == F(PRODUCTS) && i + k < end; k++) tg[k] = g[i + k];
        for (int64_t k = 0; kind == F(PRODUCTS) && w && i + k < end; k++) tw[k] = w[i + k];
        TAKE(0, AT(tx, 0), AT(tg, 0), AT(tw, 0))
        i = end;
      }
      held += end - begin;
      if (held >= BLOCK) {
        a += F(folded)(s);
        b += F(folded)(q);
        for (int k = 0; k < 4; k++) s[k] = q[k] = (F(vec)){0};
        held = 0;
      }
    }
  *first = a + F(folded)(s);
  *second = b + F(folded)(q);
#undef AT
#undef TAKE
}

#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)

static void F(total)(int64_t parts, int64_t step, int64_t n, const T *x, double *sum) {
  double none;
  F(sums)(F(TOTAL), parts, step, n, x, NULL, NULL, 0, sum, &none);
}
static void F(moments)(int64_t parts, int64_t step, int64_t n, const T *x, T m, double *first, double *second) {
  F(sums)(F(MOMENTS), parts, step, n, x, NULL, NULL, m, first, second);
}
static void F(products)(int64_t parts, int64_t step, int64_t n, const T *x, const T *g, T m, double *first,
                        double *second) {
  F(sums)(F(PRODUCTS), parts, step, n, x, g, NULL, m, first, second);
}
static void F(weighted)(int64_t n, const T *x, const T *g, const T *w, T m, double *first, double *second) {
  F(sums)(F(PRODUCTS), 1, 0, n, x, g, w, m, first, second);
}

// (x - m) a + b
static void F(scale)(int64_t n, T *o, const T *x, T m, T a, T b) { LOOP(n) o[i] = (x[i] - m) * a + b; }
static void F(scale_each)(int64_t n, T *o, const T *x, T m, T a, T b, const T *w, const T *v) {
  if (v) LOOP(n) o[i] = ((x[i] - m) * a + b) * w[i] + v[i];
  else LOOP(n) o[i] = ((x[i] - m) * a + b) * w[i];
}
// g a + (x - m) b + c
static void F(slope)(int64_t n, T *o, const T *g, const T *x, T m, T a, T b, T c) {
  LOOP(n) o[i] = g[i] * a + ((x[i] - m) * b + c);
}
static void F(slope_each)(int64_t n, T *o, const T *g, const T *x, T m, T a, T b, T c, const T *w) {
  LOOP(n) o[i] = g[i] * w[i] * a + ((x[i] - m) * b + c);
}

// What a set's elements are scaled by: m is its mean rounded, the rest of it is `shift`.
typedef struct { T m; double shift, rate; } F(center);

static F(center) F(centered)(const job *j, int64_t set, double count, T m, double first, double second) {
  const double shift = j->centred ? first / count : 0, spread = second / count - shift * shift;
  const double variance = spread < 0 ? 0 : spread;
  ((T *)j->mean)[set] = shift == shift ? (T)((double)m + shift) : m;
  ((T *)j->variance)[set] = (T)variance;
  return (F(center)){m, shift, 1 / sqrt(variance + j->epsilon)};
}

static void F(sets)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight, *v = j->bias;
  const int64_t channels = j->groups ? j->c / j->groups : 1, size = channels * j->s;  // of a stretch
  const int64_t parts = j->groups ? 1 : j->n, step = j->c * j->s;
  for (int64_t set = begin; set < end; set++) {
    const T *x = (const T *)j->x + set * size;
    T *o = (T *)j->out + set * size;
    const double count = (double)(parts * size);
    double first = 0, second;
    if (j->centred) F(total)(parts, step, size, x, &first);
    const T m = (T)(j->centred ? first / count : 0);
    F(moments)(parts, step, size, x, m, &first, &second);
    const F(center) c = F(centered)(j, set, count, m, first, second);
    const int64_t channel = j->groups ? set % j->groups * channels : set;
    if (!w || (j->s == 1 && j->groups)) {
      for (int64_t p = 0; p < parts; p++) {
        const T a = (T)c.rate, b = (T)(-c.shift * c.rate);
        if (w) F(scale_each)(size, o + p * step, x + p * step, m, a, b, w + channel, v ? v + channel : NULL);
        else F(scale)(size, o + p * step, x + p * step, m, a, b);
      }
      continue;
    }
    for (int64_t k = 0; k < channels; k++) {
      const double a = c.rate * (double)w[channel + k];
      const T b = (T)((v ? (double)v[channel + k] : 0) - c.shift * a);
      for (int64_t p = 0; p < parts; p++)
        F(scale)(j->s, o + p * step + k * j->s, x + p * step + k * j->s, m, (T)a, b);
    }
  }
}

static void F(sets_back)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  const int64_t channels = j->groups ? j->c / j->groups : 1, size = channels * j->s;
  const int64_t parts = j->groups ? 1 : j->n, step = j->c * j->s;
  for (int64_t set = begin; set < end; set++) {
    const T *x = (const T *)j->x + set * size, *g = (const T *)j->g + set * size;
    T *o = (T *)j->out + set * size;
    const T m = ((const T *)j->mean)[set];
    const double count = (double)(parts * size);
    const double rate = 1 / sqrt((double)((const T *)j->variance)[set] + j->epsilon);
    const int64_t channel = j->groups ? set % j->groups * channels : set, row = j->groups ? set / j->groups * j->c : 0;
    double sum = 0, product = 0;  // of the cotangent of the normalised elements, and of that times these
    for (int64_t k = 0; k < channels; k++) {
      double first, second;
      F(products)(parts, step, j->s, x + k * j->s, g + k * j->s, m, &first, &second);
      if (j->weight_sums) {
        j->weight_sums[row + channel + k] = second * rate;
        j->bias_sums[row + channel + k] = first;
      }
      const double each = w ? (double)w[channel + k] : 1;
      sum += each * first;
      product += each * second * rate;
    }
    const T b = (T)(-rate * rate * product / count), c = (T)(j->centred ? -rate * sum / count : 0);
    for (int64_t k = 0; k < channels; k++) {
      const T a = (T)(w ? rate * (double)w[channel + k] : rate);
      for (int64_t p = 0; p < parts; p++) {
        const int64_t at = p * step + k * j->s;
        F(slope)(j->s, o + at, g + at, x + at, m, a, b, c);
      }
    }
  }
}

// Rows with a weight for each element, in pieces that share the sums for the weights.
static void F(rows_back)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  const int64_t size = j->c / j->groups, rows = j->n * j->groups;
  for (int64_t piece = begin; piece < end; piece++)
    for (int64_t set = piece * PIECE; set < ck_min64(rows, (piece + 1) * PIECE); set++) {
      const T *x = (const T *)j->x + set * size, *g = (const T *)j->g + set * size;
      const T m = ((const T *)j->mean)[set];
      const int64_t channel = set % j->groups * size;
      const double rate = 1 / sqrt((double)((const T *)j->variance)[set] + j->epsilon);
      double sum, product;
      if (w) F(weighted)(size, x, g, w + channel, m, &sum, &product);
      else F(products)(1, 0, size, x, g, m, &sum, &product);
      const T a = (T)rate, b = (T)(-rate * rate * rate * product / (double)size);
      const T c = (T)(j->centred ? -rate * sum / (double)size : 0);
      if (j->weight_sums) {
        double *ws = j->weight_sums + piece * j->c + channel, *bs = j->bias_sums + piece * j->c + channel;
        LOOP(size) {
          ws[i] += (double)(g[i] * ((x[i] - m) * a));
          bs[i] += (double)g[i];
        }
      }
      T *o = (T *)j->out + set * size;
      if (w) F(slope_each)(size, o, g, x, m, a, b, c, w + channel);
      else F(slope)(size, o, g, x, m, a, b, c);
    }
}

// Channels that lie side by side, over all rows: tiles of columns.
static void F(columns)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight, *v = j->bias;
  for (int64_t tile = begin; tile < end; tile++) {
    const int64_t at = tile * TILE, n = ck_min64(TILE, j->c - at);
    const T *x = (const T *)j->x + at;
    T *o = (T *)j->out + at;
    double first[TILE] = {0}, second[TILE] = {0};
    T m[TILE] = {0}, a[TILE], b[TILE];
    const double count = (double)j->n;
    if (j->centred) {
      for (int64_t r = 0; r < j->n; r++) LOOP(n) first[i] += (double)x[r * j->c + i];
      for (int64_t i = 0; i < n; i++) m[i] = (T)(first[i] / count), first[i] = 0;
    }
    for (int64_t r = 0; r < j->n; r++)
      LOOP(n) {
        const T d = x[r * j->c + i] - m[i];
        first[i] += (double)d;
        second[i] += (double)(d * d);
      }
    for (int64_t i = 0; i < n; i++) {
      const F(center) c = F(centered)(j, at + i, count, m[i], first[i], second[i]);
      const double by = w ? c.rate * (double)w[at + i] : c.rate;
      a[i] = (T)by;
      b[i] = (T)((v ? (double)v[at + i] : 0) - c.shift * by);
    }
    for (int64_t r = 0; r < j->n; r++) LOOP(n) o[r * j->c + i] = (x[r * j->c + i] - m[i]) * a[i] + b[i];
  }
}

static void F(columns_back)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  for (int64_t tile = begin; tile < end; tile++) {
    const int64_t at = tile * TILE, n = ck_min64(TILE, j->c - at);
    const T *x = (const T *)j->x + at, *g = (const T *)j->g + at, *m = (const T *)j->mean + at;
    T *o = (T *)j->out + at;
    double first[TILE] = {0}, second[TILE] = {0};
    T a[TILE], b[TILE], c[TILE];
    const double count = (double)j->n;
    for (int64_t r = 0; r < j->n; r++)
      LOOP(n) {
        first[i] += (double)g[r * j->c + i];
        second[i] += (double)(g[r * j->c + i] * (x[r * j->c + i] - m[i]));
      }
    for (int64_t i = 0; i < n; i++) {
      const double rate = 1 / sqrt((double)((const T *)j->variance)[at + i] + j->epsilon);
      const double each = w ? (double)w[at + i] : 1;
      if (j->weight_sums) {
        j->weight_sums[at + i] = second[i] * rate;
        j->bias_sums[at + i] = first[i];
      }
      a[i] = (T)(rate * each);
      b[i] = (T)(-rate * rate * rate * each * second[i] / count);
      c[i] = (T)(j->centred ? -rate * each * first[i] / count : 0);
    }
    for (int64_t r = 0; r < j->n; r++)
      LOOP(n) o[r * j->c + i] = g[r * j->c + i] * a[i] + ((x[r * j->c + i] - m[i]) * b[i] + c[i]);
  }
}
#undef LOOP
