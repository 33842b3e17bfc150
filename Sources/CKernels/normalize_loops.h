// Normalisation for the element type T; F(name) names its functions. Included once per level and type.
//
// Variances are of differences from a mean that is rounded to T, corrected by the mean of those differences: no
// cancellation, however large the mean is. Sums are over 64 bytes of running values, widened to double every 4096 elements.
// 16-bit floats are widened and rounded stretch by stretch in the first cache.

typedef T F(vec) __attribute__((vector_size(64), aligned(sizeof(T)), may_alias));
typedef __typeof__((F(vec)){0} < (F(vec)){0}) F(mask);
typedef __typeof__(((F(mask)){0})[0]) F(bits);
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

// Where element i of memory lies; `half` is the dtype of 16-bit floats, or 0 for elements of type T.
static inline const void *F(at)(int32_t half, const void *p, int64_t i) {
  return (const char *)p + i * (half ? 2 : (int64_t)sizeof(T));
}
static inline void *F(to)(int32_t half, void *p, int64_t i) {
  return (char *)p + i * (half ? 2 : (int64_t)sizeof(T));
}
// n elements from `i` on: in place, or widened into a buffer.
static inline const T *F(read)(int32_t half, const void *p, int64_t i, int64_t n, T *buffer) {
  const void *from = F(at)(half, p, i);
  if (!half) return from;
  ck_widen(half, n, (float *)(void *)buffer, from);
  return buffer;
}
// Where results are made: in place, or in a buffer that `written` rounds.
static inline T *F(room)(int32_t half, void *p, int64_t i, T *buffer) { return half ? buffer : (T *)p + i; }
static inline void F(written)(int32_t half, void *p, int64_t i, int64_t n, const T *buffer) {
  if (half) ck_narrow(half, n, F(to)(half, p, i), (const float *)(const void *)buffer);
}

// A vector of elements; of 16 bits where F_DIRECT says that they are widened on the way.
#ifdef HALVES
#define F_DIRECT(half) ((half) == CK_BF16 || (CK_DIRECT_F16 && (half) == CK_F16))
static inline __attribute__((always_inline)) void F(load)(int32_t half, const void *p, int64_t i, F(vec) *v) {
  if (half == CK_BF16) {
    typedef uint16_t narrow __attribute__((vector_size(32), aligned(2), may_alias));
    typedef uint32_t wide __attribute__((vector_size(64)));
    *v = (F(vec))(__builtin_convertvector(*(const narrow *)((const uint16_t *)p + i), wide) << 16);
    return;
  }
#if CK_DIRECT_F16
  if (half == CK_F16) {
    typedef _Float16 narrow __attribute__((vector_size(32), aligned(2), may_alias));
    *v = __builtin_convertvector(*(const narrow *)((const _Float16 *)p + i), F(vec));
    return;
  }
#endif
  *v = *(const F(vec) *)((const T *)p + i);
}
static inline T F(one)(int32_t half, const void *p, int64_t i) {
  if (half == CK_BF16) return L(bf16_value)(((const uint16_t *)p)[i]);
#if CK_DIRECT_F16
  if (half == CK_F16) return (T)((const _Float16 *)p)[i];
#endif
  return ((const T *)p)[i];
}
#else
#define F_DIRECT(half) false
static inline void F(load)(int32_t half, const void *p, int64_t i, F(vec) *v) { *v = *(const F(vec) *)((const T *)p + i); }
static inline T F(one)(int32_t half, const void *p, int64_t i) { return ((const T *)p)[i]; }
#endif

// A rectifier of (x - m) a + b, which is stored as 0 up to `tiny`.
typedef struct { T m, a, b, tiny; } F(rectifier);

// y, rectified: `low` is the least that is stored as 0, or minus infinity. NaN stays.
static inline T F(raised)(T y, T low) { return y < low ? 0 : y; }
// The cotangent g of a rectified (x - m) a + b: 0 where that is none. It is computed as it was forward, to the last bit.
//
// `all` makes that all cotangents are read, also those that come to nothing: loads that wait for the comparison wait for the
// memory twice.
static inline T F(passed)(T g, T x, T m, T a, T b, T tiny, F(bits) *all) {
  F(bits) bits;
  memcpy(&bits, &g, sizeof bits);
  *all |= bits;
  return (x - m) * a + b <= tiny ? 0 : g;
}
static inline __attribute__((always_inline)) void F(pass)(F(vec) *g, const F(vec) *x, const F(rectifier) *r, F(mask) *all) {
  const F(vec) y = (*x - r->m) * r->a + r->b;
  *all |= (F(mask))*g;
  *g = (F(vec))((F(mask))*g & ~(y <= r->tiny));
}
#define ALL_READ(all) __asm__ volatile("" : : "m"(all))

// Over `parts` stretches of n elements, `step` apart. TOTAL: sum of x. MOMENTS: sums of x - m and of its square.
// PRODUCTS: sums of h and of h (x - m), with h = g, or g w where there is a weight for each element, or what of g passed
// the rectifier r where there is one.
static inline __attribute__((always_inline)) void F(sums)(int kind, int32_t half, int64_t parts, int64_t step, int64_t n,
                                                          const void *x, const void *g, const T *w, T m,
                                                          const F(rectifier) *r, double *first, double *second) {
  F(vec) s[4] = {{0}}, q[4] = {{0}};
  F(mask) all = {0};
  double a = 0, b = 0;
  int64_t held = 0;
  _Alignas(64) T wide_x[CHUNK], wide_g[CHUNK];
#define AT(p, i) (*(const F(vec) *)((p) + (i)))
#define TAKE(k, as, xs, gs, ws, i) {                   \
    F(vec) d, h;                                       \
    F(load)(as, xs, i, &d);                            \
    if (kind == F(PRODUCTS)) {                         \
      F(load)(as, gs, i, &h);                          \
      if (r) F(pass)(&h, &d, r, &all);                 \
    }                                                  \
    if (kind != F(TOTAL)) d = d - m;                   \
    if (kind == F(PRODUCTS)) {                         \
      if (w) h = h * AT(ws, i);                        \
      s[k] += h;                                       \
      q[k] = h * d + q[k];                             \
    } else {                                           \
      s[k] += d;                                       \
      if (kind == F(MOMENTS)) q[k] = d * d + q[k];     \
    }                                                  \
  }
  for (int64_t p = 0; p < parts; p++)
    for (int64_t begin = 0, end; begin < n; begin = end) {
      const int64_t at = p * step + begin;
      const int32_t as = F_DIRECT(half) ? half : 0;  // what is in the memory that is read below
      end = ck_min64(n, begin + (half && !as ? CHUNK : BLOCK));
      const int64_t count = end - begin;
      const T *ws = w ? w + begin : NULL;
      const void *xs = half == as ? F(at)(half, x, at) : F(read)(half, x, at, count, wide_x), *gs = NULL;
      if (kind == F(PRODUCTS)) gs = half == as ? F(at)(half, g, at) : F(read)(half, g, at, count, wide_g);
      int64_t i = 0;
      for (; i + 4 * F(LANES) <= count; i += 4 * F(LANES))
        for (int k = 0; k < 4; k++) TAKE(k, as, xs, gs, ws, i + k * F(LANES))
      for (; i + F(LANES) <= count; i += F(LANES)) TAKE(0, as, xs, gs, ws, i)
      if (i < count) {  // what adds nothing fills the last vector
        T tx[F(LANES)], tg[F(LANES)] = {0}, tw[F(LANES)] = {0};
        for (int64_t k = 0; k < F(LANES); k++) tx[k] = i + k < count ? F(one)(as, xs, i + k) : kind == F(TOTAL) ? 0 : m;
        for (int64_t k = 0; kind == F(PRODUCTS) && i + k < count; k++) tg[k] = F(one)(as, gs, i + k);
        for (int64_t k = 0; kind == F(PRODUCTS) && w && i + k < count; k++) tw[k] = ws[i + k];
        TAKE(0, 0, tx, tg, tw, 0)
      }
      held += count;
      if (held >= BLOCK) {
        a += F(folded)(s);
        b += F(folded)(q);
        for (int k = 0; k < 4; k++) s[k] = q[k] = (F(vec)){0};
        held = 0;
      }
    }
  if (r) ALL_READ(all);
  *first = a + F(folded)(s);
  *second = b + F(folded)(q);
#undef AT
#undef TAKE
}

#define LOOP(n) _Pragma("clang loop vectorize(assume_safety) interleave_count(2)") for (int64_t i = 0; i < (n); i++)

// One body for each kind of element.
#ifdef HALVES
#define KINDS(...) {                                                 \
    if (half == CK_BF16) F(sums)(__VA_ARGS__(CK_BF16));              \
    else if (half == CK_F16) F(sums)(__VA_ARGS__(CK_F16));           \
    else F(sums)(__VA_ARGS__(0));                                    \
  }
#else
#define KINDS(...) { F(sums)(__VA_ARGS__(0)); }
#endif
static void F(total)(int32_t half, int64_t parts, int64_t step, int64_t n, const void *x, double *sum) {
  double none;
#define ARGUMENTS(h) F(TOTAL), h, parts, step, n, x, NULL, NULL, 0, NULL, sum, &none
  KINDS(ARGUMENTS)
#undef ARGUMENTS
}
static void F(moments)(int32_t half, int64_t parts, int64_t step, int64_t n, const void *x, T m, double *first,
                       double *second) {
#define ARGUMENTS(h) F(MOMENTS), h, parts, step, n, x, NULL, NULL, m, NULL, first, second
  KINDS(ARGUMENTS)
#undef ARGUMENTS
}
static void F(products)(int32_t half, int64_t parts, int64_t step, int64_t n, const void *x, const void *g, T m,
                        const F(rectifier) *r, double *first, double *second) {
#define ARGUMENTS(h) F(PRODUCTS), h, parts, step, n, x, g, NULL, m, NULL, first, second
#define RECTIFIED(h) F(PRODUCTS), h, parts, step, n, x, g, NULL, m, r, first, second
  if (r) KINDS(RECTIFIED) else KINDS(ARGUMENTS)
#undef RECTIFIED
#undef ARGUMENTS
}
static void F(weighted)(int32_t half, int64_t n, const void *x, const void *g, const T *w, T m, double *first,
                        double *second) {
#define ARGUMENTS(h) F(PRODUCTS), h, 1, 0, n, x, g, w, m, NULL, first, second
  KINDS(ARGUMENTS)
#undef ARGUMENTS
}

// Runs loops over stretches of `count` elements from `at` on: all of them, or as many as are widened at once.
#define STRETCHES for (int64_t at = 0, count; count = half ? ck_min64(CHUNK, n - at) : n, at < n; at += count)

#undef KINDS

// (x - m) a + b, but 0 below `low`
static void F(scale)(int32_t half, int64_t n, void *out, const void *in, T m, T a, T b, T low) {
#ifdef HALVES
  if (half == CK_BF16) {
    const uint16_t *x = in;
    uint16_t *o = out;
    LOOP(n) o[i] = L(bf16_bits)(F(raised)((L(bf16_value)(x[i]) - m) * a + b, low));
    return;
  }
#if CK_DIRECT_F16
  if (half == CK_F16) {
    const _Float16 *x = in;
    _Float16 *o = out;
    LOOP(n) o[i] = (_Float16)F(raised)(((T)x[i] - m) * a + b, low);
    return;
  }
#endif
#endif
  _Alignas(64) T wide[CHUNK];
  STRETCHES {
    const T *x = F(read)(half, in, at, count, wide);
    T *o = F(room)(half, out, at, wide);
    LOOP(count) o[i] = F(raised)((x[i] - m) * a + b, low);
    F(written)(half, out, at, count, wide);
  }
}
static void F(scale_each)(int32_t half, int64_t n, void *out, const void *in, T m, T a, T b, const T *weight,
                          const T *bias) {
  _Alignas(64) T wide[CHUNK];
  STRETCHES {
    const T *x = F(read)(half, in, at, count, wide), *w = weight + at, *v = bias ? bias + at : NULL;
    T *o = F(room)(half, out, at, wide);
    if (v) LOOP(count) o[i] = ((x[i] - m) * a + b) * w[i] + v[i];
    else LOOP(count) o[i] = ((x[i] - m) * a + b) * w[i];
    F(written)(half, out, at, count, wide);
  }
}
// g a + (x - m) b + c, with what of g passed the rectifier r where there is one
static inline __attribute__((always_inline)) void F(slope_of)(int32_t half, int64_t n, void *out, const void *cotangent,
                                                              const void *in, T m, T a, T b, T c,
                                                              const F(rectifier) *r) {
  const F(rectifier) by = r ? *r : (F(rectifier)){0};
  F(bits) all = 0;
#define SLOPE(G, X) ((r ? F(passed)(G, X, by.m, by.a, by.b, by.tiny, &all) : (G)) * a + (((X) - m) * b + c))
#ifdef HALVES
  if (half == CK_BF16) {
    const uint16_t *x = in, *g = cotangent;
    uint16_t *o = out;
    LOOP(n) o[i] = L(bf16_bits)(SLOPE(L(bf16_value)(g[i]), L(bf16_value)(x[i])));
    ALL_READ(all);
    return;
  }
#if CK_DIRECT_F16
  if (half == CK_F16) {
    const _Float16 *x = in, *g = cotangent;
    _Float16 *o = out;
    LOOP(n) o[i] = (_Float16)SLOPE((T)g[i], (T)x[i]);
    ALL_READ(all);
    return;
  }
#endif
#endif
  _Alignas(64) T wide[CHUNK], wide_x[CHUNK];
  STRETCHES {
    const T *g = F(read)(half, cotangent, at, count, wide), *x = F(read)(half, in, at, count, wide_x);
    T *o = F(room)(half, out, at, wide);
    LOOP(count) o[i] = SLOPE(g[i], x[i]);
    F(written)(half, out, at, count, wide);
  }
  ALL_READ(all);
#undef SLOPE
}
static void F(slope)(int32_t half, int64_t n, void *out, const void *g, const void *x, T m, T a, T b, T c,
                     const F(rectifier) *r) {
  if (r) F(slope_of)(half, n, out, g, x, m, a, b, c, r);
  else F(slope_of)(half, n, out, g, x, m, a, b, c, NULL);
}
static void F(slope_each)(int32_t half, int64_t n, void *out, const void *cotangent, const void *in, T m, T a, T b, T c,
                          const T *weight) {
  _Alignas(64) T wide[CHUNK], wide_x[CHUNK];
  STRETCHES {
    const T *g = F(read)(half, cotangent, at, count, wide), *x = F(read)(half, in, at, count, wide_x);
    const T *w = weight + at;
    T *o = F(room)(half, out, at, wide);
    LOOP(count) o[i] = g[i] * w[i] * a + ((x[i] - m) * b + c);
    F(written)(half, out, at, count, wide);
  }
}
#undef STRETCHES

// What a set's elements are scaled by: m is its mean rounded, the rest of it is `shift`.
typedef struct { T m; double shift, rate; } F(center);

static F(center) F(centered)(const job *j, int64_t set, double count, T m, double first, double second) {
  const double shift = j->centred ? first / count : 0, spread = second / count - shift * shift;
  const double variance = spread < 0 ? 0 : spread;
  ((T *)j->mean)[set] = shift == shift ? (T)((double)m + shift) : m;
  ((T *)j->variance)[set] = (T)variance;
  return (F(center)){m, shift, 1 / sqrt(variance + j->epsilon)};
}

// Where the factors of a channel lie; the others follow at this distance.
static inline int64_t F(factor_step)(const job *j) { return j->groups ? j->n * j->c : j->c; }
static inline void F(keep)(const job *j, int64_t channel, T m, T a, T b) {
  if (!j->factors) return;
  T *f = (T *)j->factors + channel;
  f[0] = m;
  f[F(factor_step)(j)] = a;
  f[2 * F(factor_step)(j)] = b;
}
static inline F(rectifier) F(kept)(const job *j, int64_t channel) {
  if (!j->factors) return (F(rectifier)){0};
  const T *f = (const T *)j->factors + channel;
  return (F(rectifier)){f[0], f[F(factor_step)(j)], f[2 * F(factor_step)(j)], (T)j->tiny};
}

static void F(sets)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight, *v = j->bias;
  const int64_t channels = j->groups ? j->c / j->groups : 1, size = channels * j->s;  // of a stretch
  const int64_t parts = j->groups ? 1 : j->n, step = j->c * j->s;
  _Alignas(64) T row[ROW];
  const bool at_once = j->half && j->groups && size <= ROW;  // widened once for all passes
  const int32_t half = at_once ? 0 : j->half;
  for (int64_t set = begin; set < end; set++) {
    const void *x = at_once ? F(read)(j->half, j->x, set * size, size, row) : F(at)(half, j->x, set * size);
    void *o = at_once ? row : F(to)(half, j->out, set * size);
    const double count = (double)(parts * size);
    double first = 0, second;
    if (j->centred) F(total)(half, parts, step, size, x, &first);
    const T m = (T)(j->centred ? first / count : 0);
    F(moments)(half, parts, step, size, x, m, &first, &second);
    const F(center) c = F(centered)(j, set, count, m, first, second);
    const int64_t channel = j->groups ? set % j->groups * channels : set, start = j->groups ? set / j->groups * j->c : 0;
    if (!w || (j->s == 1 && j->groups)) {
      const T a = (T)c.rate, b = (T)(-c.shift * c.rate);
      for (int64_t k = 0; k < channels; k++) F(keep)(j, start + channel + k, m, a, b);
      for (int64_t p = 0; p < parts; p++) {
        void *to = F(to)(half, o, p * step);
        const void *from = F(at)(half, x, p * step);
        if (w) F(scale_each)(half, size, to, from, m, a, b, w + channel, v ? v + channel : NULL);
        else F(scale)(half, size, to, from, m, a, b, (T)j->low);
      }
    } else {
      for (int64_t k = 0; k < channels; k++) {
        const double a = c.rate * (double)w[channel + k];
        const T b = (T)((v ? (double)v[channel + k] : 0) - c.shift * a);
        F(keep)(j, start + channel + k, m, (T)a, b);
        for (int64_t p = 0; p < parts; p++) {
          const int64_t at = p * step + k * j->s;
          F(scale)(half, j->s, F(to)(half, o, at), F(at)(half, x, at), m, (T)a, b, (T)j->low);
        }
      }
    }
    if (at_once) F(written)(j->half, j->out, set * size, size, row);
  }
}

static void F(sets_back)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  const int64_t channels = j->groups ? j->c / j->groups : 1, size = channels * j->s;
  const int64_t parts = j->groups ? 1 : j->n, step = j->c * j->s;
  _Alignas(64) T row[ROW], row_x[ROW];
  const bool at_once = j->half && j->groups && size <= ROW;
  const int32_t half = at_once ? 0 : j->half;
  for (int64_t set = begin; set < end; set++) {
    const void *g = at_once ? F(read)(j->half, j->g, set * size, size, row) : F(at)(half, j->g, set * size);
    const void *x = at_once ? F(read)(j->half, j->x, set * size, size, row_x) : F(at)(half, j->x, set * size);
    void *o = at_once ? row : F(to)(half, j->out, set * size);
    const T m = ((const T *)j->mean)[set];
    const double count = (double)(parts * size);
    const double rate = 1 / sqrt((double)((const T *)j->variance)[set] + j->epsilon);
    const int64_t channel = j->groups ? set % j->groups * channels : set, start = j->groups ? set / j->groups * j->c : 0;
    double sum = 0, product = 0;  // of the cotangent of the normalised elements, and of that times these
    for (int64_t k = 0; k < channels; k++) {
      double first, second;
      const F(rectifier) r = F(kept)(j, start + channel + k);
      F(products)(half, parts, step, j->s, F(at)(half, x, k * j->s), F(at)(half, g, k * j->s), m,
                  j->factors ? &r : NULL, &first, &second);
      if (j->weight_sums) {
        j->weight_sums[start + channel + k] = second * rate;
        j->bias_sums[start + channel + k] = first;
      }
      const double each = w ? (double)w[channel + k] : 1;
      sum += each * first;
      product += each * second * rate;
    }
    const T b = (T)(-rate * rate * product / count), c = (T)(j->centred ? -rate * sum / count : 0);
    for (int64_t k = 0; k < channels; k++) {
      const T a = (T)(w ? rate * (double)w[channel + k] : rate);
      const F(rectifier) r = F(kept)(j, start + channel + k);
      for (int64_t p = 0; p < parts; p++) {
        const int64_t at = p * step + k * j->s;
        F(slope)(half, j->s, F(to)(half, o, at), F(at)(half, g, at), F(at)(half, x, at), m, a, b, c,
                 j->factors ? &r : NULL);
      }
    }
    if (at_once) F(written)(j->half, j->out, set * size, size, row);
  }
}

// Rows with a weight for each element, in pieces that share the sums for the weights.
static void F(rows_back)(void *context, int64_t begin, int64_t end) {
  const job *j = context;
  const T *w = j->weight;
  const int64_t size = j->c / j->groups, rows = j->n * j->groups;
  _Alignas(64) T row[ROW], row_x[ROW];
  const bool at_once = j->half && size <= ROW;
  const int32_t half = at_once ? 0 : j->half;
  for (int64_t piece = begin; piece < end; piece++)
    for (int64_t set = piece * PIECE; set < ck_min64(rows, (piece + 1) * PIECE); set++) {
      const void *g = at_once ? F(read)(j->half, j->g, set * size, size, row) : F(at)(half, j->g, set * size);
      const void *x = at_once ? F(read)(j->half, j->x, set * size, size, row_x) : F(at)(half, j->x, set * size);
      void *o = at_once ? row : F(to)(half, j->out, set * size);
      const T m = ((const T *)j->mean)[set];
      const int64_t channel = set % j->groups * size;
      const double rate = 1 / sqrt((double)((const T *)j->variance)[set] + j->epsilon);
      double sum, product;
      if (w) F(weighted)(half, size, x, g, w + channel, m, &sum, &product);
      else F(products)(half, 1, 0, size, x, g, m, NULL, &sum, &product);
      const T a = (T)rate, b = (T)(-rate * rate * rate * product / (double)size);
      const T c = (T)(j->centred ? -rate * sum / (double)size : 0);
      for (int64_t at = 0, count; j->weight_sums && at < size; at += count) {
        _Alignas(64) T wide_g[CHUNK], wide_x[CHUNK];
        count = half ? ck_min64(CHUNK, size - at) : size;
        const T *gs = F(read)(half, g, at, count, wide_g), *xs = F(read)(half, x, at, count, wide_x);
        double *ws = j->weight_sums + piece * j->c + channel + at, *bs = j->bias_sums + piece * j->c + channel + at;
        LOOP(count) {
          ws[i] += (double)(gs[i] * ((xs[i] - m) * a));
          bs[i] += (double)gs[i];
        }
      }
      if (w) F(slope_each)(half, size, o, g, x, m, a, b, c, w + channel);
      else F(slope)(half, size, o, g, x, m, a, b, c, NULL);
      if (at_once) F(written)(j->half, j->out, set * size, size, row);
    }
}
#undef LOOP
#undef F_DIRECT
