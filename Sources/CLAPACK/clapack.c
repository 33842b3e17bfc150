#include "include/clapack.h"
#include <stdlib.h>
#include <string.h>

// Fortran passes all by reference, and the lengths of texts behind the other arguments.
#define ROUTINES(T, p)                                                                                                   \
  void p##gesv_(const int *, const int *, T *, const int *, int *, T *, const int *, int *);                            \
  void p##getrf_(const int *, const int *, T *, const int *, int *, int *);                                             \
  void p##potrf_(const char *, const int *, T *, const int *, int *, size_t);                                           \
  void p##trtrs_(const char *, const char *, const char *, const int *, const int *, const T *, const int *, T *,       \
                 const int *, int *, size_t, size_t, size_t);                                                           \
  void p##geqrf_(const int *, const int *, T *, const int *, T *, T *, const int *, int *);                             \
  void p##orgqr_(const int *, const int *, const int *, T *, const int *, const T *, T *, const int *, int *);          \
  void p##syevd_(const char *, const char *, const int *, T *, const int *, T *, T *, const int *, int *, const int *,  \
                 int *, size_t, size_t);                                                                                \
  void p##gesdd_(const char *, const int *, const int *, T *, const int *, T *, T *, const int *, T *, const int *,     \
                 T *, const int *, int *, int *, size_t);                                                               \
  static int32_t p##qr(int m, int n, T *a, T *r) {                                                                      \
    int info = 0, size = -1;                                                                                            \
    T want = 0, more = 0;                                                                                               \
    p##geqrf_(&m, &n, a, &m, a, &want, &size, &info);                                                                   \
    p##orgqr_(&m, &n, &n, a, &m, a, &more, &size, &info);                                                               \
    size = (int)(want > more ? want : more);                                                                            \
    T *tau = malloc(sizeof(T) * ((size_t)n + (size_t)size));                                                            \
    if (!tau) return CLAPACK_NO_MEMORY;                                                                                 \
    p##geqrf_(&m, &n, a, &m, tau, tau + n, &size, &info);                                                               \
    for (int c = 0; c < n && info == 0; c++)                                                                            \
      memcpy(r + (size_t)c * n, a + (size_t)c * m, sizeof(T) * (size_t)(c + 1));                                        \
    if (info == 0) p##orgqr_(&m, &n, &n, a, &m, tau, tau + n, &size, &info);                                            \
    free(tau);                                                                                                          \
    return info;                                                                                                        \
  }                                                                                                                     \
  static int32_t p##eigen(int n, T *a, T *values) {                                                                     \
    int info = 0, size = -1, places = -1, wanted = 0;                                                                   \
    T want = 0;                                                                                                         \
    p##syevd_("V", "L", &n, a, &n, values, &want, &size, &wanted, &places, &info, 1, 1);                                \
    size = (int)want;                                                                                                   \
    places = wanted;                                                                                                    \
    T *work = malloc(sizeof(T) * (size_t)size + sizeof(int) * (size_t)places);                                          \
    if (!work) return CLAPACK_NO_MEMORY;                                                                                \
    p##syevd_("V", "L", &n, a, &n, values, work, &size, (int *)(work + size), &places, &info, 1, 1);                    \
    free(work);                                                                                                         \
    return info;                                                                                                        \
  }                                                                                                                     \
  static int32_t p##svd(int m, int n, T *a, T *values, T *u, T *vt) {                                                   \
    int info = 0, size = -1, k = m < n ? m : n, none = 0;                                                               \
    T want = 0;                                                                                                         \
    p##gesdd_("S", &m, &n, a, &m, values, u, &m, vt, &k, &want, &size, &none, &info, 1);                                \
    size = (int)want;                                                                                                   \
    T *work = malloc(sizeof(T) * (size_t)size + sizeof(int) * 8 * (size_t)k);                                           \
    if (!work) return CLAPACK_NO_MEMORY;                                                                                \
    p##gesdd_("S", &m, &n, a, &m, values, u, &m, vt, &k, work, &size, (int *)(work + size), &info, 1);                  \
    free(work);                                                                                                         \
    return info;                                                                                                        \
  }
ROUTINES(float, s)
ROUTINES(double, d)

int32_t clapack_solve(bool wide, int32_t n, int32_t k, void *a, void *b, int32_t *pivots) {
  int info = 0;
  if (wide) dgesv_(&n, &k, a, &n, pivots, b, &n, &info);
  else sgesv_(&n, &k, a, &n, pivots, b, &n, &info);
  return info;
}

int32_t clapack_factor(bool wide, int32_t n, void *a, int32_t *pivots) {
  int info = 0;
  if (wide) dgetrf_(&n, &n, a, &n, pivots, &info);
  else sgetrf_(&n, &n, a, &n, pivots, &info);
  return info;
}

int32_t clapack_cholesky(bool wide, int32_t n, void *a) {
  int info = 0;
  if (wide) dpotrf_("L", &n, a, &n, &info, 1);
  else spotrf_("L", &n, a, &n, &info, 1);
  return info;
}

int32_t clapack_triangular(bool wide, bool upper, bool unit, int32_t n, int32_t k, const void *a, void *b) {
  int info = 0;
  const char *side = upper ? "U" : "L", *diagonal = unit ? "U" : "N";
  if (wide) dtrtrs_(side, "N", diagonal, &n, &k, a, &n, b, &n, &info, 1, 1, 1);
  else strtrs_(side, "N", diagonal, &n, &k, a, &n, b, &n, &info, 1, 1, 1);
  return info;
}

int32_t clapack_qr(bool wide, int32_t m, int32_t n, void *a, void *r) {
  return wide ? dqr(m, n, a, r) : sqr(m, n, a, r);
}
int32_t clapack_eigen(bool wide, int32_t n, void *a, void *values) {
  return wide ? deigen(n, a, values) : seigen(n, a, values);
}
int32_t clapack_svd(bool wide, int32_t m, int32_t n, void *a, void *values, void *u, void *vt) {
  return wide ? dsvd(m, n, a, values, u, vt) : ssvd(m, n, a, values, u, vt);
}
