// The Fourier transforms against sums in double: lengths of every kind, rows, columns, long rows as matrices.
#include "CKernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static uint64_t state = 1;
static double uniform(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-52 - 1;
}
static double get(int t, const void *p, int64_t i) { return t == CK_F64 ? ((const double *)p)[i] : ((const float *)p)[i]; }

// y[k] = sum over j of x[j] exp(-+ 2 pi i j k / n), of pairs, for every so many k.
static void naive(int64_t n, bool inverse, int64_t every, const double *x, double *y) {
  double *turns = malloc((size_t)n * 16);
  for (int64_t k = 0; k < n; k++) {
    turns[2 * k] = cos(2 * M_PI * (double)k / (double)n);
    turns[2 * k + 1] = (inverse ? 1 : -1) * sin(2 * M_PI * (double)k / (double)n);
  }
  for (int64_t k = 0; k < n; k += every) {
    y[2 * k] = y[2 * k + 1] = 0;
    for (int64_t j = 0; j < n; j++) {
      const double c = turns[2 * (j * k % n)], s = turns[2 * (j * k % n) + 1];
      y[2 * k] += x[2 * j] * c - x[2 * j + 1] * s;
      y[2 * k + 1] += x[2 * j] * s + x[2 * j + 1] * c;
    }
  }
  free(turns);
}

enum { COMPLEX, INVERSE, OF_REAL, TO_REAL };

static void check(int t, int kind, int64_t n, int64_t outer, int64_t inner) {
  const int64_t half = n / 2 + 1, in_n = kind == TO_REAL ? half : n, out_n = kind == OF_REAL ? half : n;
  const bool real_in = kind == OF_REAL, real_out = kind == TO_REAL;
  const size_t size = t == CK_F64 ? 8 : 4;
  // Exactly as large as they have to be, for the address sanitizer.
  void *in = malloc((size_t)(outer * in_n * inner * (real_in ? 1 : 2)) * size);
  void *out = malloc((size_t)(outer * out_n * inner * (real_out ? 1 : 2)) * size);
  for (int64_t i = 0; i < outer * in_n * inner * (real_in ? 1 : 2); i++) {
    if (t == CK_F64) ((double *)in)[i] = uniform();
    else ((float *)in)[i] = (float)uniform();
  }
  ck_fft_plan *plan = ck_fft_make(t, n, kind >= OF_REAL, ck_fft_splits(t, n, outer, inner));
  const int64_t every = n * n * outer * inner > 1 << 28 ? 61 : 1;
  const int32_t code = kind == OF_REAL ? ck_fft_of_real(plan, 0.5, outer, inner, out, in)
                       : kind == TO_REAL ? ck_fft_to_real(plan, 0.5, outer, inner, out, in)
                                         : ck_fft(plan, kind == INVERSE, 0.5, outer, inner, out, in);
  double *x = calloc((size_t)n, 16), *y = malloc((size_t)n * 16), worst = code == CK_OK ? 0 : INFINITY;
  for (int64_t o = 0; o < outer; o++)
    for (int64_t i = 0; i < inner; i++) {
      for (int64_t j = 0; j < in_n; j++) {
        const int64_t at = (o * in_n + j) * inner + i;
        x[2 * j] = get(t, in, real_in ? at : 2 * at);
        x[2 * j + 1] = real_in || (kind == TO_REAL && (j == 0 || 2 * j == n)) ? 0 : get(t, in, 2 * at + 1);
        if (kind == TO_REAL && j > 0) {
          x[2 * (n - j)] = x[2 * j];
          x[2 * (n - j) + 1] = 2 * j == n ? 0 : -x[2 * j + 1];
        }
      }
      naive(n, kind == INVERSE || kind == TO_REAL, every, x, y);
      double error = 0, norm = 0;
      for (int64_t k = 0; k < out_n; k += every) {
        const int64_t at = (o * out_n + k) * inner + i;
        const double re = 2 * get(t, out, real_out ? at : 2 * at) - y[2 * k];
        const double im = real_out ? 0 : 2 * get(t, out, 2 * at + 1) - y[2 * k + 1];
        error += re * re + im * im;
        norm += y[2 * k] * y[2 * k] + y[2 * k + 1] * y[2 * k + 1];
      }
      worst = fmax(worst, sqrt(error / norm));
    }
  const double bound = (t == CK_F64 ? 6e-16 : 3e-7) * (1 + log2((double)n));
  if (!(worst <= bound) && failures++ < 40)
    printf("type %d, kind %d, n %ld, [%ld, n, %ld]: error %g\n", t, kind, (long)n, (long)outer, (long)inner, worst);
  ck_fft_free(plan);
  free(in);
  free(out);
  free(x);
  free(y);
}

// The result in the place of the rows is that beside them.
static void check_in_place(int t, bool inverse, int64_t n, int64_t outer) {
  const size_t numbers = (size_t)(2 * outer * n), bytes = numbers * (t == CK_F64 ? 8 : 4);
  void *rows = malloc(bytes), *out = malloc(bytes);
  for (size_t i = 0; i < numbers; i++) {
    if (t == CK_F64) ((double *)rows)[i] = uniform();
    else ((float *)rows)[i] = (float)uniform();
  }
  ck_fft_plan *plan = ck_fft_make(t, n, false, ck_fft_splits(t, n, outer, 1));
  const bool failed = ck_fft(plan, inverse, 0.5, outer, 1, out, rows) || ck_fft(plan, inverse, 0.5, outer, 1, rows, rows);
  if ((failed || memcmp(rows, out, bytes)) && failures++ < 40)
    printf("type %d, n %ld, [%ld, n, 1]: in place the result is another\n", t, (long)n, (long)outer);
  ck_fft_free(plan);
  free(rows);
  free(out);
}

// Only the tables that are used are made: of a matrix the factors, of real rows those of half their length.
static void check_tables(int64_t n) {
  ck_fft_plan *matrix = ck_fft_make(CK_F32, n, false, true), *real = ck_fft_make(CK_F32, n, true, true);
  if ((ck_fft_bytes(matrix) > 8 * n + n || ck_fft_bytes(real) > 4 * n + 4 * n + n) && failures++ < 40)
    printf("n %ld: tables of %ld and %ld bytes\n", (long)n, (long)ck_fft_bytes(matrix), (long)ck_fft_bytes(real));
  ck_fft_free(matrix);
  ck_fft_free(real);
}

int main(void) {
  check_tables(1 << 14);
  check_tables(1 << 16);
  for (int t = CK_F32; t <= CK_F64; t++)
    for (int kind = COMPLEX; kind <= TO_REAL; kind++) {
      for (int64_t n = 1; n <= 130; n++) {
        check(t, kind, n, 1, 1);
        check(t, kind, n, 19, 1);
        check(t, kind, n, 2, 3);
        check(t, kind, n, 1, 37);
      }
      const int64_t more[] = {169, 243, 256, 400, 480, 512, 625, 961, 997, 1000, 1024, 1994};
      for (int i = 0; i < 12; i++) check(t, kind, more[i], 2, 1);
      const int64_t tall[] = {4096, 4100, 4800, 8192, 9999};
      for (int i = 0; i < 5; i++) check(t, kind, tall[i], 1, 1);
      if (kind >= OF_REAL) continue;
      // Several rows as matrices, one after the other.
      check(t, kind, 4096, 3, 1);
      check(t, kind, 16384, 20, 1);
      check_in_place(t, kind == INVERSE, 100, 20);
      check_in_place(t, kind == INVERSE, 4096, 3);
      check_in_place(t, kind == INVERSE, 16384, 20);
    }
  printf("fft: level %d, %d failures\n", ck_cpu_level(), failures);
  return failures > 0;
}
