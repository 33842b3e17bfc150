// Indexing, searching and sorting of rows against naive loops in double.
#include "check.h"

static void indexing(void) {
  for (int t = 0; t <= CK_F64; t++)
    for (int inner = 1; inner < 200; inner = inner * 5 + 1) {
      const int64_t outer = 3, axis = 7, count = 11;
      int64_t idx[20000], k[11];
      for (int64_t i = 0; i < outer * count * inner; i++) idx[i] = (int64_t)(uniform() * 7);
      for (int i = 0; i < count; i++) k[i] = (int64_t)(uniform() * 7);
      for (int64_t i = 0; i < outer * axis * inner; i++) set(t, A, i, floor(uniform() * 2));
      for (int64_t i = 0; i < outer * count * inner; i++) set(t, B, i, floor(uniform() * 4));
      CHECK(ck_gather(t, outer, axis, inner, count, O, A, CK_I64, idx).code == 0, "gather");
      for (int64_t i = 0; i < outer * count * inner; i++)
        CHECK(get(t, O, i) == get(t, A, (i / (count * inner) * axis + idx[i]) * inner + i % inner), "gather");
      CHECK(ck_take(t, outer, axis, inner, count, O, A, CK_I64, k).code == 0, "take");
      for (int64_t i = 0; i < outer * count * inner; i++)
        CHECK(get(t, O, i) == get(t, A, (i / (count * inner) * axis + k[i / inner % count]) * inner + i % inner), "take");
      for (int take = 0; take < 2; take++) {
        static double want[20000];
        for (int64_t i = 0; i < outer * axis * inner; i++) want[i] = get(t, A, i);
        for (int64_t i = 0; i < outer * count * inner; i++)
          want[(i / (count * inner) * axis + (take ? k[i / inner % count] : idx[i])) * inner + i % inner] += get(t, B, i);
        memcpy(O, A, sizeof A / 8);
        CHECK((take ? ck_take_add(t, outer, axis, inner, count, O, CK_I64, k, B) : ck_scatter_add(t, outer, axis, inner, count, O, CK_I64, idx, B)) == CK_OK, "add");
        for (int64_t i = 0; i < outer * axis * inner; i++)
          CHECK(get(t, O, i) == (t == CK_BOOL ? want[i] != 0 : want[i]), "add %d dtype %d: %g, not %g", take, t, get(t, O, i), want[i]);
      }
      k[5] = 7;
      CHECK(ck_take(t, outer, axis, inner, count, O, A, CK_I64, k).code == CK_BAD_INDEX, "bad");
    }
}

// The first bad index is reported, whichever thread finds one.
static void checks(void) {
  enum { N = 400001 };
  static int64_t wide[N];
  static int32_t narrow[N];
  for (int bad = 0; bad < 4; bad++) {
    for (int i = 0; i < N; i++) wide[i] = narrow[i] = i % 7;
    if (bad) wide[N - 5] = narrow[N - 5] = -3;
    if (bad > 1) wide[200000] = narrow[200000] = 7;
    if (bad > 2) wide[9] = narrow[9] = INT32_MIN;
    const int64_t first[] = {0, -3, 7, INT32_MIN};
    for (int type = 0; type < 2; type++) {
      const ck_status status = ck_check_indices(type ? CK_I32 : CK_I64, N, type ? (void *)narrow : (void *)wide, 7);
      CHECK(status.code == (bad ? CK_BAD_INDEX : CK_OK) && status.value == first[bad], "%ld", (long)status.value);
    }
  }
  wide[0] = (int64_t)1 << 40;
  CHECK(ck_check_indices(CK_I64, 1, wide, 7).value == (int64_t)1 << 40, "a large index");
  CHECK(ck_check_indices(CK_F32, 1, wide, 7).code == CK_UNSUPPORTED, "indices of floats");
}

// Places in sorted rows, counted one by one; NaN is the largest.
static bool less(double x, double y) { return isnan(x) ? false : isnan(y) || x < y; }
static void searching(void) {
  for (int t = 1; t <= CK_F64; t++)
    for (int n = 0; n < 40; n += n < 9 ? 1 : 10)
      for (int right = 0; right < 2; right++)
        for (int shared = 0; shared < 2; shared++) {
          const int rows = 5, m = 30;
          static int64_t at[150];
          for (int r = 0; r < rows; r++)
            for (int i = 0; i < n; i++) set(t, A, r * n + i, t >= CK_F16 && i > n - 3 && n > 5 ? NAN : floor(i / 2.0));
          for (int i = 0; i < rows * m; i++) set(t, B, i, t >= CK_F16 && i % 11 == 0 ? NAN : floor(uniform() * n));
          CHECK(ck_search_sorted(t, shared ? 1 : rows, n, shared ? rows * m : m, shared, right, at, A, B) == 0, "status");
          for (int i = 0; i < rows * m; i++) {
            const double v = get(t, B, i);
            int count = 0;
            for (int k = 0; k < n; k++) {
              const double x = get(t, A, shared ? k : i / m * n + k);
              count += isnan(v) || (right ? !less(v, x) : less(x, v));
            }
            CHECK(at[i] == count, "dtype %d n %d: %g at %ld, not %d", t, n, v, (long)at[i], count);
          }
        }
}

// Rows in lexicographic order, equal ones as they stand, and keys alike.
static void orders(void) {
  enum { N = 700 };
  static int64_t at[N];
  for (int t = CK_BOOL; t <= CK_F64; t++)
    for (int k = 0; k < 4; k++) {
      for (int i = 0; i < N * k; i++) set(t, A, i, t >= CK_F16 && i % 23 == 0 ? NAN : floor(uniform() * 4));
      CHECK(ck_sort_rows(t, N, k, at, A) == 0, "status");
      for (int i = 1; i < N; i++) {
        int c = 0;
        bool before = false, after = false;
        for (; c < k && !before && !after; c++) {
          const double x = get(t, A, at[i - 1] * k + c), y = get(t, A, at[i] * k + c);
          before = less(x, y);
          after = less(y, x);
        }
        CHECK(before || (!after && at[i - 1] < at[i]), "dtype %d of %d at %d", t, k, i);
      }
    }
  static int64_t keys[N];
  for (int i = 0; i < N; i++) keys[i] = (int64_t)(uniform() * 300) - 150 + (i % 5 == 0 ? (int64_t)1 << 33 : 0);
  CHECK(ck_sort_keys(N, at, keys) == 0, "status");
  for (int i = 1; i < N; i++)
    CHECK(keys[at[i - 1]] < keys[at[i]] || (keys[at[i - 1]] == keys[at[i]] && at[i - 1] < at[i]), "key at %d", i);
}

int main(void) {
  indexing(); checks(); searching(); orders();
  return report("indexing");
}
