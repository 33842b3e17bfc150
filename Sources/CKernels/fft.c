// Fourier transforms of rows: by passes of radix 2, 3, 4, 5, 8 and other small primes, by Bluestein's convolution where the
// length has a large prime factor. Real rows of even length are transformed as half as many pairs.
#include "internal.h"

enum { CK_FFT_PRIME = 31, CK_FFT_LANES = 16, MOST_FACTORS = 64, CROSS = 4096, TALL = 16384 };
enum { FFT_COMPLEX, FFT_FROM_REAL, FFT_TO_REAL };

struct ck_fft_plan {
  int32_t dtype;                // CK_F32 or CK_F64: what the tables hold
  int32_t factors, factor[MOST_FACTORS];
  int64_t length, n, room;      // of the rows, of the complex transform, elements of work memory
  bool halved;                  // real rows of even length: n is half of it
  size_t bytes;
  void *turns, *roots;          // factors of the passes; exp(-2 pi i k / length)
  void *chirp, *filter;         // Bluestein: the chirp and the transform of its conjugate, divided by its length
  void *cross;                  // a long row as a matrix: exp(-2 pi i j k / n), real parts, then imaginary parts
  ck_fft_plan *wider, *down, *across;
};

// Where the rows of a group begin, and in numbers: the distance of elements, of a real and its imaginary part (0: there is
// none), and of neighbouring rows where that is the same for all (else 0).
typedef struct { char *row[CK_FFT_LANES]; int64_t step, part, lane; int count; } ck_fft_rows;

typedef struct {
  const ck_fft_plan *plan;
  int32_t kind;
  bool inverse, across;  // across: groups are of neighbours in the inner axis
  double scale;
  int64_t outer, inner, in_size, out_size;  // elements of a row as it is read and written
  const char *in;
  char *out, *middle;
  int32_t failed;
} fft_job;

static void fft_rows(const fft_job *j, int64_t group, int lanes, int64_t size, ck_fft_rows *from, ck_fft_rows *to) {
  const int64_t inner = j->inner, rows = j->outer * inner, width = (inner + lanes - 1) / lanes;
  const int64_t first = j->across ? group / width * inner + group % width * lanes : group * lanes;
  const int64_t last = j->across ? ck_min64(first + lanes, (group / width + 1) * inner) : ck_min64(first + lanes, rows);
  from->count = to->count = (int)(last - first);
  const bool pairs[2] = {j->kind != FFT_FROM_REAL, j->kind != FFT_TO_REAL};
  for (int side = 0; side < 2; side++) {
    ck_fft_rows *r = side ? to : from;
    const int64_t unit = pairs[side] ? 2 : 1, count = side ? j->out_size : j->in_size;
    const bool two = !pairs[side] && j->plan->halved;  // neighbours of a real row as real and imaginary part
    r->step = unit * inner * (two ? 2 : 1);
    r->part = pairs[side] ? 1 : two ? inner : 0;
    r->lane = inner > 1 && j->across ? unit : 0;
    for (int l = 0; l < lanes; l++) {
      const int64_t at = l < r->count ? first + l : first;
      const char *base = side ? j->out : j->in;
      r->row[l] = (char *)(uintptr_t)base + (at / inner * count * inner + at % inner) * unit * size;
    }
  }
}

#define CK_BODY "fft_body.h"
#include "levels.h"

// MARK: plans

static double turn(int64_t k, int64_t n, double *sine) {
  // exp(-2 pi i k / n), from an angle of at most an eighth of the circle.
  k %= n;
  const int64_t eighths = 8 * (k % n) / n;
  const double tau = 6.283185307179586476925;
  int64_t part = 8 * k - eighths * n;  // of 8 n: the angle beyond the last eighth
  double c, s;
  if (eighths & 1) part = n - part;
  const double angle = tau * (double)part / (8.0 * (double)n);
  c = cos(angle);
  s = sin(angle);
  double x, y;
  switch (eighths) {
    case 0: x = c, y = s; break;
    case 1: x = s, y = c; break;
    case 2: x = -s, y = c; break;
    case 3: x = -c, y = s; break;
    case 4: x = -c, y = -s; break;
    case 5: x = -s, y = -c; break;
    case 6: x = s, y = -c; break;
    default: x = c, y = -s; break;
  }
  *sine = -y;
  return x;
}

static void put(const ck_fft_plan *p, void *table, int64_t i, double x) {
  if (p->dtype == CK_F64) ((double *)table)[i] = x;
  else ((float *)table)[i] = (float)x;
}

static void *table(ck_fft_plan *p, int64_t numbers) {
  const size_t bytes = (size_t)numbers * (p->dtype == CK_F64 ? 8 : 4);
  p->bytes += bytes;
  return malloc(bytes ? bytes : 1);
}

static void put_turn(const ck_fft_plan *p, void *to, int64_t i, int64_t k, int64_t n) {
  double s;
  const double c = turn(k, n, &s);
  put(p, to, 2 * i, c);
  put(p, to, 2 * i + 1, s);
}

void ck_fft_free(ck_fft_plan *p) {
  if (!p) return;
  free(p->turns);
  free(p->roots);
  free(p->chirp);
  free(p->filter);
  free(p->cross);
  ck_fft_free(p->wider);
  ck_fft_free(p->down);
  ck_fft_free(p->across);
  free(p);
}

int64_t ck_fft_bytes(const ck_fft_plan *p) {
  if (!p) return 0;
  return (int64_t)(p->bytes + sizeof *p) + ck_fft_bytes(p->wider) + ck_fft_bytes(p->down) + ck_fft_bytes(p->across);
}

// The factors of n; false where a prime is too large for a pass.
static bool factor(ck_fft_plan *p, int64_t n) {
  int64_t twos = 0;
  for (; n % 2 == 0; n /= 2) twos++;
  p->factors = 0;
  for (; twos >= 3 && twos != 4; twos -= 3) p->factor[p->factors++] = 8;
  for (; twos >= 2; twos -= 2) p->factor[p->factors++] = 4;
  if (twos) p->factor[p->factors++] = 2;
  for (int64_t d = 3; d <= CK_FFT_PRIME; d += 2)
    for (; n % d == 0; n /= d) p->factor[p->factors++] = (int32_t)d;
  return n == 1;
}

static bool make_passes(ck_fft_plan *p) {
  int64_t numbers = 0, length = p->n;
  for (int32_t f = 0; f < p->factors; f++) {
    const int64_t r = p->factor[f], m = length / r;
    numbers += 2 * m * (r - 1) + (r > 5 && r != 8 ? 2 * r : 0);
    length = m;
  }
  if (!(p->turns = table(p, numbers))) return false;
  int64_t at = 0;
  length = p->n;
  for (int32_t f = 0; f < p->factors; f++) {
    const int64_t r = p->factor[f], m = length / r;
    if (r > 5 && r != 8)
      for (int64_t t = 0; t < r; t++) {
        double s;
        put(p, p->turns, 2 * at, turn(t, r, &s));
        put(p, p->turns, 2 * at++ + 1, -s);
      }
    for (int64_t q = 0; q < m; q++)
      for (int64_t k = 1; k < r; k++) put_turn(p, p->turns, at++, q * k, length);
    length = m;
  }
  return true;
}

// The smallest product of twos, threes and fives that is not below n.
static int64_t smooth(int64_t n) {
  int64_t best = INT64_MAX;
  for (int64_t five = 1; five < best; five *= 5) {
    for (int64_t three = five; three < best; three *= 3) {
      int64_t x = three;
      while (x < n) x *= 2;
      if (x < best) best = x;
      if (three >= n) break;
    }
    if (five >= n) break;
  }
  return best;
}

static ck_fft_plan *make(int32_t dtype, int64_t n, bool splits);

static bool make_chirp(ck_fft_plan *p) {
  const int64_t n = p->n;
  p->wider = make(CK_F64, smooth(2 * n - 1), false);
  ck_fft_plan *wide = p->wider;  // in double, for the filter
  if (!wide) return false;
  const int64_t m = wide->n;
  double *conjugate = calloc((size_t)(2 * m), sizeof *conjugate);
  p->chirp = table(p, 2 * n);
  p->filter = table(p, 2 * m);
  bool done = conjugate && p->chirp && p->filter;
  for (int64_t j = 0, square = 0; done && j < n; j++) {
    put_turn(p, p->chirp, j, square, 2 * n);
    double s;
    const double c = turn(square, 2 * n, &s);
    const int64_t other = j ? m - j : 0;
    conjugate[2 * j] = conjugate[2 * other] = c;
    conjugate[2 * j + 1] = conjugate[2 * other + 1] = -s;
    square = (square + 2 * j + 1) % (2 * n);
  }
  if (done) done = ck_fft(wide, false, 1.0 / (double)m, 1, 1, conjugate, conjugate) == CK_OK;
  for (int64_t j = 0; done && j < 2 * m; j++) put(p, p->filter, j, conjugate[j]);
  free(conjugate);
  if (p->dtype != CK_F64) {
    p->wider = make(p->dtype, m, false);
    ck_fft_free(wide);
  }
  p->room = m;
  return done && p->wider;
}

// The rows of the matrix that a row of n elements is; 0 where it is none.
static int64_t height(int64_t n) {
  int64_t a = 1;
  for (int64_t d = 1; d * d <= n; d++)
    if (n % d == 0) a = d;
  return n < CROSS || a < 16 ? 0 : a;
}

static bool make_matrix(ck_fft_plan *p, int64_t a) {
  const int64_t b = p->n / a;
  p->down = make(p->dtype, a, false);
  p->across = make(p->dtype, b, false);
  p->cross = table(p, 2 * a * b);
  if (!p->down || !p->across || !p->cross) return false;
  for (int64_t k = 0; k < a; k++)
    for (int64_t j = 0; j < b; j++) {
      double s;
      put(p, p->cross, k * b + j, turn(j * k, p->n, &s));
      put(p, p->cross, a * b + k * b + j, s);
    }
  return true;
}

static ck_fft_plan *make(int32_t dtype, int64_t n, bool splits) {
  ck_fft_plan *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->dtype = dtype;
  p->length = p->n = p->room = n;
  const int64_t a = splits ? height(n) : 0;
  if (a ? make_matrix(p, a) : factor(p, n) ? make_passes(p) : make_chirp(p)) return p;
  ck_fft_free(p);
  return NULL;
}

ck_fft_plan *ck_fft_make(int32_t dtype, int64_t n, bool real, bool splits) {
  if ((dtype != CK_F32 && dtype != CK_F64) || n < 1 || n > INT64_MAX / 64) return NULL;
  const bool halved = real && n % 2 == 0;
  ck_fft_plan *p = make(dtype, halved ? n / 2 : n, splits && !real);
  if (!p) return NULL;
  p->length = n;
  p->halved = halved;
  if (halved) {
    p->roots = table(p, n + 2);
    if (!p->roots) {
      ck_fft_free(p);
      return NULL;
    }
    for (int64_t k = 0; k <= n / 2; k++) put_turn(p, p->roots, k, k, n);
  }
  return p;
}

// MARK: entry points

static int64_t lanes(int32_t dtype) {
  const int64_t bytes = ck_level == CK_AVX512 ? 64 : ck_level == CK_AVX2 ? 32 : 16;
  return bytes / (dtype == CK_F64 ? 8 : 4);
}

bool ck_fft_splits(int32_t dtype, int64_t n, int64_t outer, int64_t inner) {
  return inner == 1 && n >= CROSS && (outer * 2 <= lanes(dtype) || n >= TALL);
}

static int32_t run(fft_job *j) {
  const ck_fft_plan *p = j->plan;
  const int64_t width = lanes(p->dtype);
  j->across = j->inner >= width || j->outer == 1;
  const int64_t groups = j->across ? j->outer * ((j->inner + width - 1) / width)
                                   : (j->outer * j->inner + width - 1) / width;
  ck_parallel(groups, ck_grain_for(p->room * width * 8), j,
              p->dtype == CK_F64 ? CK_PICK(fft_range_f64) : CK_PICK(fft_range_f32));
  return j->failed ? CK_NO_MEMORY : CK_OK;
}

// Long rows, one after the other, each as a matrix.
static int32_t run_matrices(fft_job *j) {
  const ck_fft_plan *p = j->plan;
  const bool f64 = p->dtype == CK_F64;
  const int64_t width = lanes(p->dtype), bytes = p->n * (f64 ? 16 : 8), a = p->down->n, b = p->across->n;
  j->middle = ck_alloc((size_t)bytes);
  if (!j->middle) return CK_NO_MEMORY;
  const char *in = j->in;
  char *out = j->out;
  for (int64_t row = 0; row < j->outer; row++) {
    j->in = in + row * bytes;
    j->out = out + row * bytes;
    ck_parallel((b + width - 1) / width, ck_grain_for(p->down->room * width * 8), j,
                f64 ? CK_PICK(columns_range_f64) : CK_PICK(columns_range_f32));
    ck_parallel((a + width - 1) / width, ck_grain_for(p->across->room * width * 8), j,
                f64 ? CK_PICK(rows_range_f64) : CK_PICK(rows_range_f32));
  }
  ck_free(j->middle, (size_t)bytes);
  return j->failed ? CK_NO_MEMORY : CK_OK;
}

int32_t ck_fft(const ck_fft_plan *plan, bool inverse, double scale, int64_t outer, int64_t inner, void *out,
               const void *in) {
  const int64_t n = plan->n;
  fft_job j = {.plan = plan, .kind = FFT_COMPLEX, .inverse = inverse, .scale = scale, .outer = outer, .inner = inner,
               .in_size = n, .out_size = n, .in = in, .out = out};
  if (outer * inner == 0) return CK_OK;
  return plan->down ? run_matrices(&j) : run(&j);
}

int32_t ck_fft_of_real(const ck_fft_plan *plan, double scale, int64_t outer, int64_t inner, void *out, const void *in) {
  const int64_t n = plan->length;
  fft_job j = {.plan = plan, .kind = FFT_FROM_REAL, .scale = scale, .outer = outer, .inner = inner, .in_size = n,
               .out_size = n / 2 + 1, .in = in, .out = out};
  return outer * inner == 0 ? CK_OK : run(&j);
}

int32_t ck_fft_to_real(const ck_fft_plan *plan, double scale, int64_t outer, int64_t inner, void *out, const void *in) {
  const int64_t n = plan->length;
  fft_job j = {.plan = plan, .kind = FFT_TO_REAL, .inverse = true, .scale = scale, .outer = outer, .inner = inner,
               .in_size = n / 2 + 1, .out_size = n, .in = in, .out = out};
  return outer * inner == 0 ? CK_OK : run(&j);
}
