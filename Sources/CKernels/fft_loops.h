// The passes of a Fourier transform for numbers of type T; F(name) names the functions. Included once per level and type.
//
// LANES rows are transformed at once, one in each lane of a vector, so that no pass shuffles anything: element e of the
// rows is the vectors x[2 e] (real parts) and x[2 e + 1] (imaginary parts). The passes are Stockham's: the result is in
// order without a permutation.

typedef T F(vec) __attribute__((vector_size(CK_VECTOR), may_alias));
#define VEC F(vec)
#define INLINE static inline __attribute__((always_inline))

// One butterfly of radix r: p is its place in the pass, s the distance of its results; w has r - 1 factors.
#define PASS(r)                                                                                                  \
  static void F(pass##r)(int64_t m, int64_t s, VEC *restrict y, const VEC *restrict x, const T *w) {             \
    for (int64_t p = 0; p < m; p++, w += 2 * (r - 1)) {                                                          \
      const VEC *a = x + 2 * s * p;                                                                              \
      VEC *o = y + 2 * s * r * p;                                                                                \
      if (p == 0) for (int64_t q = 0; q < s; q++) F(butterfly##r)(o + 2 * q, a + 2 * q, s, m, w, false);         \
      else for (int64_t q = 0; q < s; q++) F(butterfly##r)(o + 2 * q, a + 2 * q, s, m, w, true);                 \
    }                                                                                                            \
  }
#define TAKE(k) const VEC r##k = a[2 * s * m * k], i##k = a[2 * s * m * k + 1]
// Result k, turned by its factor.
#define GIVE(k, re, im) do {                                                           \
    const VEC x_ = re, y_ = im;                                                        \
    if (turns && k > 0) {                                                              \
      const T c_ = w[2 * (k) - 2], s_ = w[2 * (k) - 1];                                \
      o[2 * s * (k)] = x_ * c_ - y_ * s_;                                              \
      o[2 * s * (k) + 1] = x_ * s_ + y_ * c_;                                          \
    } else {                                                                           \
      o[2 * s * (k)] = x_;                                                             \
      o[2 * s * (k) + 1] = y_;                                                         \
    }                                                                                  \
  } while (0)
#define BUTTERFLY(r) INLINE void F(butterfly##r)(VEC *o, const VEC *a, int64_t s, int64_t m, const T *w, bool turns)

BUTTERFLY(2) {
  TAKE(0); TAKE(1);
  GIVE(0, r0 + r1, i0 + i1);
  GIVE(1, r0 - r1, i0 - i1);
}

BUTTERFLY(3) {
  TAKE(0); TAKE(1); TAKE(2);
  const T c = (T)0.86602540378443864676;
  const VEC tr = r1 + r2, ti = i1 + i2, ar = r0 - tr * (T)0.5, ai = i0 - ti * (T)0.5;
  const VEC br = (i1 - i2) * c, bi = (r2 - r1) * c;
  GIVE(0, r0 + tr, i0 + ti);
  GIVE(1, ar + br, ai + bi);
  GIVE(2, ar - br, ai - bi);
}

BUTTERFLY(4) {
  TAKE(0); TAKE(1); TAKE(2); TAKE(3);
  const VEC ar = r0 + r2, ai = i0 + i2, br = r0 - r2, bi = i0 - i2;
  const VEC cr = r1 + r3, ci = i1 + i3, dr = i1 - i3, di = r3 - r1;
  GIVE(0, ar + cr, ai + ci);
  GIVE(1, br + dr, bi + di);
  GIVE(2, ar - cr, ai - ci);
  GIVE(3, br - dr, bi - di);
}

BUTTERFLY(5) {
  TAKE(0); TAKE(1); TAKE(2); TAKE(3); TAKE(4);
  const T c1 = (T)0.30901699437494742410, c2 = (T)-0.80901699437494742410;
  const T s1 = (T)0.95105651629515357212, s2 = (T)0.58778525229247312917;
  const VEC pr = r1 + r4, pi = i1 + i4, qr = r2 + r3, qi = i2 + i3;
  const VEC ur = r1 - r4, ui = i1 - i4, vr = r2 - r3, vi = i2 - i3;
  const VEC ar = r0 + pr * c1 + qr * c2, ai = i0 + pi * c1 + qi * c2;
  const VEC br = r0 + pr * c2 + qr * c1, bi = i0 + pi * c2 + qi * c1;
  const VEC cr = ui * s1 + vi * s2, ci = -(ur * s1 + vr * s2);
  const VEC dr = ui * s2 - vi * s1, di = vr * s1 - ur * s2;
  GIVE(0, r0 + pr + qr, i0 + pi + qi);
  GIVE(1, ar + cr, ai + ci);
  GIVE(2, br + dr, bi + di);
  GIVE(3, br - dr, bi - di);
  GIVE(4, ar - cr, ai - ci);
}
PASS(2)
PASS(3)
PASS(4)
PASS(5)

// Radix 8 as two of radix 4.
BUTTERFLY(8) {
  TAKE(0); TAKE(1); TAKE(2); TAKE(3); TAKE(4); TAKE(5); TAKE(6); TAKE(7);
  const T h = (T)0.70710678118654752440;
  const VEC ar = r0 + r4, ai = i0 + i4, br = r0 - r4, bi = i0 - i4;
  const VEC cr = r2 + r6, ci = i2 + i6, dr = i2 - i6, di = r6 - r2;
  const VEC er = r1 + r5, ei = i1 + i5, fr = r1 - r5, fi = i1 - i5;
  const VEC gr = r3 + r7, gi = i3 + i7, kr = r3 - r7, ki = i3 - i7;
  const VEC e0r = ar + cr, e0i = ai + ci, e2r = ar - cr, e2i = ai - ci;
  const VEC e1r = br + dr, e1i = bi + di, e3r = br - dr, e3i = bi - di;
  const VEC o0r = er + gr, o0i = ei + gi, o2r = ei - gi, o2i = gr - er;
  // The odd ones, turned by an eighth and three eighths.
  const VEC ur = fr + ki, ui = fi - kr, vr = fr - ki, vi = fi + kr;
  const VEC o1r = (ur + ui) * h, o1i = (ui - ur) * h, o3r = (vi - vr) * h, o3i = -(vr + vi) * h;
  GIVE(0, e0r + o0r, e0i + o0i);
  GIVE(1, e1r + o1r, e1i + o1i);
  GIVE(2, e2r + o2r, e2i + o2i);
  GIVE(3, e3r + o3r, e3i + o3i);
  GIVE(4, e0r - o0r, e0i - o0i);
  GIVE(5, e1r - o1r, e1i - o1i);
  GIVE(6, e2r - o2r, e2i - o2i);
  GIVE(7, e3r - o3r, e3i - o3i);
}
PASS(8)

// Any odd radix: w begins with cosine and sine of the r-th parts of the circle.
static void F(pass_odd)(int64_t r, int64_t m, int64_t s, VEC *restrict o_, const VEC *restrict x, const T *w) {
  const T *turn = w;
  const int64_t half = r / 2;
  const bool turns = true;
  w += 2 * r;
  for (int64_t p = 0; p < m; p++, w += 2 * (r - 1))
    for (int64_t q = 0; q < s; q++) {
      const VEC *a = x + 2 * (s * p + q);
      VEC *o = o_ + 2 * (s * r * p + q);
      VEC plus[2 * CK_FFT_PRIME], minus[2 * CK_FFT_PRIME], sr = a[0], si = a[1];
      for (int64_t j = 1; j <= half; j++) {
        const VEC *b = a + 2 * s * m * j, *c = a + 2 * s * m * (r - j);
        sr += plus[2 * j] = b[0] + c[0];
        si += plus[2 * j + 1] = b[1] + c[1];
        minus[2 * j] = b[0] - c[0];
        minus[2 * j + 1] = b[1] - c[1];
      }
      GIVE(0, sr, si);
      for (int64_t k = 1; k <= half; k++) {
        VEC ar = a[0], ai = a[1], br = {0}, bi = {0};
        for (int64_t j = 1, t = k; j <= half; j++, t = t + k < r ? t + k : t + k - r) {
          ar += plus[2 * j] * turn[2 * t];
          ai += plus[2 * j + 1] * turn[2 * t];
          br += minus[2 * j] * turn[2 * t + 1];
          bi += minus[2 * j + 1] * turn[2 * t + 1];
        }
        GIVE(k, ar + bi, ai - br);
        GIVE(r - k, ar - bi, ai + br);
      }
    }
}

// The passes over x of plan->n elements, by way of y; the pointer to the one that has the result.
static VEC *F(passes)(const ck_fft_plan *plan, VEC *x, VEC *y) {
  int64_t length = plan->n, s = 1;
  const T *w = plan->turns;
  for (int32_t f = 0; f < plan->factors; f++) {
    const int64_t r = plan->factor[f], m = length / r;
    switch (r) {
      case 2: F(pass2)(m, s, y, x, w); break;
      case 3: F(pass3)(m, s, y, x, w); break;
      case 4: F(pass4)(m, s, y, x, w); break;
      case 5: F(pass5)(m, s, y, x, w); break;
      case 8: F(pass8)(m, s, y, x, w); break;
      default: F(pass_odd)(r, m, s, y, x, w); w += 2 * r; break;
    }
    w += 2 * m * (r - 1);
    length = m;
    s *= r;
    VEC *z = x;
    x = y;
    y = z;
  }
  return x;
}

// x *= pairs[j], or its conjugate times the conjugate of x.
INLINE void F(turned)(VEC *to, const VEC *x, const T *pair, bool conjugates) {
  const VEC re = x[0], im = x[1];
  to[0] = re * pair[0] - im * pair[1];
  const VEC turned = re * pair[1] + im * pair[0];
  to[1] = conjugates ? -turned : turned;
}

// The transform of x with plan->room elements of memory, as y has; where the result is.
static VEC *F(transform)(const ck_fft_plan *plan, VEC *x, VEC *y) {
  if (!plan->wider) return F(passes)(plan, x, y);
  // Bluestein: a convolution with a chirp, by transforms of a smooth length.
  const int64_t n = plan->n, m = plan->wider->n;
  const T *chirp = plan->chirp, *filter = plan->filter;
  for (int64_t j = 0; j < n; j++) F(turned)(x + 2 * j, x + 2 * j, chirp + 2 * j, false);
  memset(x + 2 * n, 0, (size_t)(m - n) * 2 * sizeof *x);
  VEC *u = F(passes)(plan->wider, x, y), *v = u == x ? y : x;
  for (int64_t j = 0; j < m; j++) F(turned)(u + 2 * j, u + 2 * j, filter + 2 * j, true);
  VEC *z = F(passes)(plan->wider, u, v);
  for (int64_t k = 0; k < n; k++) {
    z[2 * k + 1] = -z[2 * k + 1];
    F(turned)(z + 2 * k, z + 2 * k, chirp + 2 * k, false);
  }
  return z;
}

// MARK: between memory and lanes

#if LANES == 16
#define SHUFFLE_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SHUFFLE_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define SHUFFLE_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define SHUFFLE_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define SHUFFLE_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define SHUFFLE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define SHUFFLE_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define SHUFFLE_ODD 1, 3, 5, 7, 9, 11, 13, 15
#elif LANES == 4
#define SHUFFLE_LOW 0, 4, 1, 5
#define SHUFFLE_HIGH 2, 6, 3, 7
#define SHUFFLE_EVEN 0, 2, 4, 6
#define SHUFFLE_ODD 1, 3, 5, 7
#else
#define SHUFFLE_LOW 0, 2
#define SHUFFLE_HIGH 1, 3
#define SHUFFLE_EVEN 0, 2
#define SHUFFLE_ODD 1, 3
#endif

// Turns a square of LANES vectors, by rounds of interleaving those that are half of them apart.
INLINE void F(turn)(VEC *r) {
  VEC t[LANES];
  for (int half = 1; half < LANES; half *= 2) {
    for (int i = 0; i < LANES / 2; i++) {
      t[2 * i] = __builtin_shufflevector(r[i], r[i + LANES / 2], SHUFFLE_LOW);
      t[2 * i + 1] = __builtin_shufflevector(r[i], r[i + LANES / 2], SHUFFLE_HIGH);
    }
    for (int i = 0; i < LANES; i++) r[i] = t[i];
  }
}

// x from n elements of the rows. `swaps` exchanges real and imaginary parts: so a forward transform becomes an inverse one.
static void F(load)(const ck_fft_rows *from, int64_t n, VEC *x, bool swaps) {
  const T *const *row = (const T *const *)(const void *)from->row;
  const int64_t step = from->step, part = from->part;
  const int re = swaps ? 1 : 0, im = 1 - re;
  int64_t j = 0;
  if (from->lane == 1 && part != 0 && from->count == LANES) {  // neighbours, real and imaginary parts apart
    for (; j < n; j++) {
      memcpy(x + 2 * j + re, row[0] + j * step, sizeof *x);
      memcpy(x + 2 * j + im, row[0] + j * step + part, sizeof *x);
    }
  } else if (from->lane == 2 && part == 1 && from->count == LANES) {  // neighbours, in pairs
    for (; j < n; j++) {
      VEC a, b;
      memcpy(&a, row[0] + j * step, sizeof a);
      memcpy(&b, row[0] + j * step + LANES, sizeof b);
      x[2 * j + re] = __builtin_shufflevector(a, b, SHUFFLE_EVEN);
      x[2 * j + im] = __builtin_shufflevector(a, b, SHUFFLE_ODD);
    }
  } else if (step == 2 && part == 1) {  // whole rows of pairs
    for (; j + LANES / 2 <= n; j += LANES / 2) {
      VEC r[LANES];
      for (int l = 0; l < LANES; l++) memcpy(r + l, row[l] + 2 * j, sizeof *r);
      F(turn)(r);
      for (int i = 0; i < LANES / 2; i++) {
        x[2 * (j + i) + re] = r[2 * i];
        x[2 * (j + i) + im] = r[2 * i + 1];
      }
    }
  }
  for (; j < n; j++)
    for (int l = 0; l < LANES; l++) {
      x[2 * j + re][l] = row[l][j * step];
      x[2 * j + im][l] = part ? row[l][j * step + part] : 0;
    }
}

static void F(store)(const ck_fft_rows *to, int64_t n, const VEC *x, bool swaps, T scale) {
  T *const *row = (T *const *)(const void *)to->row;
  const int64_t step = to->step, part = to->part;
  const int re = swaps ? 1 : 0, im = 1 - re;
  int64_t j = 0;
  if (to->lane == 1 && part != 0 && to->count == LANES) {
    for (; j < n; j++) {
      const VEC a = x[2 * j + re] * scale, b = x[2 * j + im] * scale;
      memcpy(row[0] + j * step, &a, sizeof a);
      memcpy(row[0] + j * step + part, &b, sizeof b);
    }
  } else if (to->lane == 2 && part == 1 && to->count == LANES) {
    for (; j < n; j++) {
      const VEC a = x[2 * j + re] * scale, b = x[2 * j + im] * scale;
      const VEC low = __builtin_shufflevector(a, b, SHUFFLE_LOW), high = __builtin_shufflevector(a, b, SHUFFLE_HIGH);
      memcpy(row[0] + j * step, &low, sizeof low);
      memcpy(row[0] + j * step + LANES, &high, sizeof high);
    }
  } else if (step == 2 && part == 1) {
    for (; j + LANES / 2 <= n; j += LANES / 2) {
      VEC r[LANES];
      for (int i = 0; i < LANES / 2; i++) {
        r[2 * i] = x[2 * (j + i) + re] * scale;
        r[2 * i + 1] = x[2 * (j + i) + im] * scale;
      }
      F(turn)(r);
      for (int l = 0; l < to->count; l++) memcpy(row[l] + 2 * j, r + l, sizeof *r);
    }
  }
  for (; j < n; j++)
    for (int l = 0; l < to->count; l++) {
      row[l][j * step] = x[2 * j + re][l] * scale;
      if (part) row[l][j * step + part] = x[2 * j + im][l] * scale;
    }
}

// MARK: real rows

// The transform of 2 h real numbers from that of h pairs: z has h elements, y gets h + 1.
static void F(untangle)(int64_t h, const T *w, VEC *y, const VEC *z) {
  y[0] = z[0] + z[1];
  y[2 * h] = z[0] - z[1];
  y[1] = y[2 * h + 1] = (VEC){0};
  for (int64_t k = 1; k < h; k++) {
    const VEC *a = z + 2 * k, *b = z + 2 * (h - k);
    const VEC er = (a[0] + b[0]) * (T)0.5, ei = (a[1] - b[1]) * (T)0.5;
    const VEC dr = (a[1] + b[1]) * (T)0.5, di = (b[0] - a[0]) * (T)0.5;  // -i/2 (a - conj b)
    y[2 * k] = er + dr * w[2 * k] - di * w[2 * k + 1];
    y[2 * k + 1] = ei + dr * w[2 * k + 1] + di * w[2 * k];
  }
}

// The other way, for an inverse transform without a factor; real and imaginary parts of z are exchanged.
static void F(entangle)(int64_t h, const T *w, VEC *z, const VEC *y) {
  z[1] = y[0] + y[2 * h];
  z[0] = y[0] - y[2 * h];
  for (int64_t k = 1; k < h; k++) {
    const VEC *a = y + 2 * k, *b = y + 2 * (h - k);
    const VEC er = a[0] + b[0], ei = a[1] - b[1], dr = a[0] - b[0], di = a[1] + b[1];
    const VEC or_ = dr * w[2 * k] + di * w[2 * k + 1], oi = di * w[2 * k] - dr * w[2 * k + 1];  // d times conj w
    z[2 * k + 1] = er - oi;
    z[2 * k] = ei + or_;
  }
}

// MARK: rows

static void F(run_group)(const fft_job *j, const ck_fft_rows *from, const ck_fft_rows *to, VEC *x, VEC *y) {
  const ck_fft_plan *plan = j->plan;
  const int64_t n = plan->length, half = n / 2;
  const T scale = (T)j->scale;
  switch (j->kind) {
    case FFT_COMPLEX: {
      F(load)(from, n, x, j->inverse);
      F(store)(to, n, F(transform)(plan, x, y), j->inverse, scale);
      break;
    }
    case FFT_FROM_REAL: {
      F(load)(from, plan->n, x, false);
      VEC *z = F(transform)(plan, x, y);
      if (plan->halved) {
        VEC *result = z == x ? y : x;
        F(untangle)(half, plan->roots, result, z);
        z = result;
      }
      F(store)(to, half + 1, z, false, scale);
      break;
    }
    default: {
      if (plan->halved) {
        F(load)(from, half + 1, y, false);
        F(entangle)(half, plan->roots, x, y);
        F(store)(to, half, F(transform)(plan, x, y), true, scale);
        break;
      }
      F(load)(from, half + 1, x, true);
      x[0] = (VEC){0};
      for (int64_t k = 1; k <= half; k++) {  // exchanged parts: the conjugate changes the sign of the first
        x[2 * (n - k)] = -x[2 * k];
        x[2 * (n - k) + 1] = x[2 * k + 1];
      }
      F(store)(to, n, F(transform)(plan, x, y), true, scale);
    }
  }
}

static void F(fft_range)(void *context, int64_t begin, int64_t end) {
  fft_job *j = context;
  const size_t room = (size_t)(j->plan->room + 1) * 2 * sizeof(VEC);
  char *memory = ck_alloc(2 * room);
  if (!memory) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  VEC *x = (VEC *)(void *)memory, *y = (VEC *)(void *)(memory + room);
  for (int64_t group = begin; group < end; group++) {
    ck_fft_rows from, to;
    fft_rows(j, group, LANES, sizeof(T), &from, &to);
    F(run_group)(j, &from, &to, x, y);
  }
  ck_free(memory, 2 * room);
}

// MARK: one long row as a matrix of a rows and b columns: columns, factors, rows, turned

static void F(columns_range)(void *context, int64_t begin, int64_t end) {
  fft_job *j = context;
  const ck_fft_plan *plan = j->plan, *down = plan->down;
  const int64_t a = down->n, b = plan->across->n;
  const size_t room = (size_t)(down->room + 1) * 2 * sizeof(VEC);
  char *memory = ck_alloc(2 * room);
  if (!memory) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  VEC *x = (VEC *)(void *)memory, *y = (VEC *)(void *)(memory + room);
  for (int64_t group = begin; group < end; group++) {
    const int64_t first = group * LANES, count = ck_min64(LANES, b - first);
    ck_fft_rows from = {.step = 2 * b, .part = 1, .lane = 2, .count = (int)count}, to = from;
    for (int64_t l = 0; l < LANES; l++) {
      const int64_t place = 2 * (first + (l < count ? l : 0)) * (int64_t)sizeof(T);
      from.row[l] = (char *)(uintptr_t)j->in + place;
      to.row[l] = j->middle + place;
    }
    F(load)(&from, a, x, j->inverse);
    VEC *z = F(transform)(down, x, y);
    // exp(-2 pi i j k / n): a row of the table for each k, real and imaginary parts apart.
    const T *re = (const T *)plan->cross + first, *im = re + a * b;
    for (int64_t k = 0; k < a; k++, re += b, im += b) {
      VEC c, s;
      if (count == LANES) {
        memcpy(&c, re, sizeof c);
        memcpy(&s, im, sizeof s);
      } else {
        c = s = (VEC){0};
        memcpy(&c, re, (size_t)count * sizeof(T));
        memcpy(&s, im, (size_t)count * sizeof(T));
      }
      const VEC zr = z[2 * k], zi = z[2 * k + 1];
      z[2 * k] = zr * c - zi * s;
      z[2 * k + 1] = zr * s + zi * c;
    }
    F(store)(&to, a, z, false, 1);
  }
  ck_free(memory, 2 * room);
}

static void F(rows_range)(void *context, int64_t begin, int64_t end) {
  fft_job *j = context;
  const ck_fft_plan *plan = j->plan, *across = plan->across;
  const int64_t a = plan->down->n, b = across->n;
  const size_t room = (size_t)(across->room + 1) * 2 * sizeof(VEC);
  char *memory = ck_alloc(2 * room);
  if (!memory) {
    __atomic_store_n(&j->failed, 1, __ATOMIC_RELAXED);
    return;
  }
  VEC *x = (VEC *)(void *)memory, *y = (VEC *)(void *)(memory + room);
  for (int64_t group = begin; group < end; group++) {
    const int64_t first = group * LANES, count = ck_min64(LANES, a - first);
    ck_fft_rows from = {.step = 2, .part = 1, .lane = 0, .count = (int)count};
    ck_fft_rows to = {.step = 2 * a, .part = 1, .lane = 2, .count = (int)count};
    for (int64_t l = 0; l < LANES; l++) {
      const int64_t row = first + (l < count ? l : 0);
      from.row[l] = j->middle + 2 * row * b * (int64_t)sizeof(T);
      to.row[l] = j->out + 2 * row * (int64_t)sizeof(T);
    }
    F(load)(&from, b, x, false);
    F(store)(&to, b, F(transform)(across, x, y), j->inverse, (T)j->scale);
  }
  ck_free(memory, 2 * room);
}

#undef PASS
#undef TAKE
#undef GIVE
#undef BUTTERFLY
#undef SHUFFLE_LOW
#undef SHUFFLE_HIGH
#undef SHUFFLE_EVEN
#undef SHUFFLE_ODD
#undef INLINE
#undef VEC
