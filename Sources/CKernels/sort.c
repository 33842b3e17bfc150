// Sorting rows by their bits: keys that order as unsigned integers, put in order byte by byte, from the lowest on.
#include "internal.h"

typedef struct { uint32_t key, at; } item32;
typedef struct { uint64_t key; int64_t at; } item64;

// The two halves of the buffer take turns. A byte that is the same in all keys needs no pass.
#define RADIX(bits, ITEM)                                                                    \
  static void radix_##bits(int64_t n, ITEM *items, ITEM *other, int64_t *positions) {        \
    int64_t counts[bits / 8][256] = {{0}};                                                   \
    for (int64_t i = 0; i < n; i++)                                                          \
      for (int b = 0; b < bits / 8; b++) counts[b][items[i].key >> 8 * b & 255]++;           \
    for (int b = 0; b < bits / 8; b++) {                                                     \
      int64_t *place = counts[b], sum = 0;                                                   \
      if (place[items[0].key >> 8 * b & 255] == n) continue;                                 \
      for (int v = 0; v < 256; v++) {                                                        \
        const int64_t count = place[v];                                                      \
        place[v] = sum;                                                                      \
        sum += count;                                                                        \
      }                                                                                      \
      for (int64_t i = 0; i < n; i++) other[place[items[i].key >> 8 * b & 255]++] = items[i]; \
      ITEM *swap = items;                                                                    \
      items = other;                                                                         \
      other = swap;                                                                          \
    }                                                                                        \
    for (int64_t i = 0; i < n; i++) positions[i] = (int64_t)items[i].at;                     \
  }
RADIX(32, item32)
RADIX(64, item64)

// Equal floats (also 0 and -0) get equal keys, and so do all NaN.
#define FLOAT_KEY(T, U)                                                                      \
  static inline U key_##T(T x) {                                                             \
    const U top = (U)1 << (sizeof(U) * 8 - 1);                                               \
    U u;                                                                                     \
    if (x != x) return (U)-1;                                                                \
    if (x == 0) return top;                                                                  \
    memcpy(&u, &x, sizeof u);                                                                \
    return u & top ? ~u : u | top;                                                           \
  }
FLOAT_KEY(float, uint32_t)
FLOAT_KEY(double, uint64_t)
static inline uint64_t key_int64_t(int64_t x) { return (uint64_t)x ^ (uint64_t)1 << 63; }

static bool is_narrow(int32_t wide, int64_t n) { return wide == CK_F32 && n <= UINT32_MAX; }

size_t ck_sort_bytes(int32_t wide, int64_t n) {
  return 2 * (size_t)n * (is_narrow(wide, n) ? sizeof(item32) : sizeof(item64));
}

void ck_sort_row(int32_t wide, int64_t n, bool descending, int64_t *positions, const void *row, void *buffer) {
  if (n == 0) return;
  const uint64_t turn = descending ? ~(uint64_t)0 : 0;
#define ITEMS(ITEM, T, U) for (int64_t i = 0; i < n; i++) items[i] = (ITEM){key_##T(((const T *)row)[i]) ^ (U)turn, (U)i}
  if (is_narrow(wide, n)) {
    item32 *items = buffer;
    ITEMS(item32, float, uint32_t);
    radix_32(n, items, items + n, positions);
    return;
  }
  item64 *items = buffer;
  if (wide == CK_F32) ITEMS(item64, float, int64_t);
  else if (wide == CK_F64) ITEMS(item64, double, int64_t);
  else ITEMS(item64, int64_t, int64_t);
  radix_64(n, items, items + n, positions);
}

int32_t ck_sort_keys(int64_t n, int64_t *order, const int64_t *keys) {
  if (n == 0) return CK_OK;
  const size_t bytes = ck_sort_bytes(CK_I64, n);
  void *buffer = ck_alloc(bytes);
  if (!buffer) return CK_NO_MEMORY;
  ck_sort_row(CK_I64, n, false, order, keys, buffer);
  ck_free(buffer, bytes);
  return CK_OK;
}
