#ifndef CLAPACK_H
#define CLAPACK_H

// A small face over LAPACK: one matrix by columns at a time, float64 when `wide`, else float32. Each returns LAPACK's info:
// 0; more: what was found at that place (from 1); CLAPACK_NO_MEMORY. Sizes are 1 or more.

#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#endif

enum { CLAPACK_NO_MEMORY = -1000 };

/// a [n, n] becomes its factors and b [n, k] the solution; pivots [n].
int32_t clapack_solve(bool wide, int32_t n, int32_t k, void *a, void *b, int32_t *pivots);
/// a [n, n] becomes its factors, with pivots [n] counted from 1.
int32_t clapack_factor(bool wide, int32_t n, void *a, int32_t *pivots);
/// The lower triangle of a [n, n] becomes the factor; the upper one is not read.
int32_t clapack_cholesky(bool wide, int32_t n, void *a);
/// b [n, k] becomes the solution for a triangle of a [n, n].
int32_t clapack_triangular(bool wide, bool upper, bool unit, int32_t n, int32_t k, const void *a, void *b);
/// a [m, n], m >= n, becomes Q; the upper triangle of r [n, n] is set, the lower one left.
int32_t clapack_qr(bool wide, int32_t m, int32_t n, void *a, void *r);
/// a [n, n], of which the lower triangle is read, becomes the vectors; values [n] ascend.
int32_t clapack_eigen(bool wide, int32_t n, void *a, void *values);
/// a [m, n] is lost; values [k] descend, u [m, k] and vt [k, n], where k = min(m, n).
int32_t clapack_svd(bool wide, int32_t m, int32_t n, void *a, void *values, void *u, void *vt);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
