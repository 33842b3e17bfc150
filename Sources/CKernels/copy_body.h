// Turning tiles of a matrix: out[c][r] = in[r][c], strides in elements. Included once per level.

// A tile of 16 by 16 numbers of 32 bits.
static inline void L(turn_tile)(uint32_t *out, int64_t os, const uint32_t *in, int64_t is) {
#if CK_LEVEL == 2
  __m512i r[16], t[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(in + i * is);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {  // r[4 k + i]: column i of each quarter, of rows 4 k ..< 4 k + 4
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    _mm512_storeu_si512(out + i * os, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_si512(out + (i + 8) * os, _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_si512(out + (i + 4) * os, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_si512(out + (i + 12) * os, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
#elif CK_LEVEL == 1
  for (int b = 0; b < 2; b++)
    for (int a = 0; a < 2; a++) {
      const float *from = (const float *)(const void *)(in + 8 * b * is + 8 * a);
      float *to = (float *)(void *)(out + 8 * a * os + 8 * b);
      __m256 r[8], t[8];
      for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(from + i * is);
      for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
      }
      for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
      }
      for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * os, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * os, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
      }
    }
#else
  for (int c = 0; c < 16; c++)
    for (int r = 0; r < 16; r++) out[c * os + r] = in[r * is + c];
#endif
}

// rows x columns of `in`; `out` has columns rows. Bands of 16 rows of `out` are gathered from long columns of `in` in a
// buffer of whole cache lines, so that rows whose distance is a power of two do not push each other out of the cache, and
// are then written past the cache where `streams`.
static void L(turn32)(int64_t rows, int64_t columns, uint32_t *out, int64_t os, const uint32_t *in, int64_t is,
                      bool streams) {
  enum { SIDE = 64 };
  _Alignas(64) uint32_t tile[16 * SIDE];
  int64_t r = 0;
  for (; r + 16 <= rows; ) {
    const int64_t height = ck_min64(SIDE, (rows - r) / 16 * 16);
    int64_t c = 0;
    for (; c + 16 <= columns; c += 16) {
      for (int64_t b = 0; b < height; b += 16) {
        L(turn_tile)(tile + b, SIDE, in + (r + b) * is + c, is);
#if CK_LEVEL > 0
        for (int i = 0; i < 16; i++) __builtin_prefetch(in + (r + b + i) * is + c + 32);
#endif
      }
      for (int i = 0; i < 16; i++) {
        uint32_t *to = out + (c + i) * os + r;
#if CK_LEVEL == 2
        if (streams && ((uintptr_t)to & 63) == 0) {
          for (int64_t b = 0; b < height; b += 16) _mm512_stream_si512((void *)(to + b), _mm512_load_si512(tile + i * SIDE + b));
          continue;
        }
#endif
        memcpy(to, tile + i * SIDE, (size_t)height * sizeof *to);
      }
    }
    for (; c < columns; c++)
      for (int64_t b = 0; b < height; b++) out[c * os + r + b] = in[(r + b) * is + c];
    r += height;
  }
  for (int64_t c = 0; c < columns; c++)
    for (int64_t b = r; b < rows; b++) out[c * os + b] = in[b * is + c];
#if CK_LEVEL == 2
  if (streams) _mm_sfence();
#endif
}

// The same for other sizes of elements: tiles by way of a buffer.
#define TURN(bits, T)                                                                                          \
  static void L(turn##bits)(int64_t rows, int64_t columns, T *out, int64_t os, const T *in, int64_t is,        \
                              bool streams) {                                                                  \
    enum { SIDE = 64 / sizeof(T) < 32 ? 32 : 64 / sizeof(T) };                                                 \
    T tile[SIDE * SIDE];                                                                                       \
    for (int64_t r = 0; r < rows; r += SIDE)                                                                   \
      for (int64_t c = 0; c < columns; c += SIDE) {                                                            \
        const int64_t height = ck_min64(SIDE, rows - r), width = ck_min64(SIDE, columns - c);                  \
        for (int64_t i = 0; i < height; i++)                                                                   \
          for (int64_t k = 0; k < width; k++) tile[k * SIDE + i] = in[(r + i) * is + c + k];                   \
        for (int64_t k = 0; k < width; k++)                                                                    \
          memcpy(out + (c + k) * os + r, tile + k * SIDE, (size_t)height * sizeof(T));                         \
      }                                                                                                        \
  }
TURN(8, uint8_t)
#if defined(__x86_64__)
// A tile of 8 by 8 numbers of 16 bits; all levels have these instructions.
static inline void L(turn_tile16)(uint16_t *out, int64_t os, const uint16_t *in, int64_t is) {
  __m128i r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = _mm_loadu_si128((const void *)(in + i * is));
  for (int i = 0; i < 4; i++) {  // rows i and i + 4, element by element
    t[2 * i] = _mm_unpacklo_epi16(r[i], r[i + 4]);
    t[2 * i + 1] = _mm_unpackhi_epi16(r[i], r[i + 4]);
  }
  for (int i = 0; i < 4; i++) {
    r[2 * i] = _mm_unpacklo_epi16(t[i], t[i + 4]);
    r[2 * i + 1] = _mm_unpackhi_epi16(t[i], t[i + 4]);
  }
  for (int i = 0; i < 4; i++) {
    _mm_storeu_si128((void *)(out + 2 * i * os), _mm_unpacklo_epi16(r[i], r[i + 4]));
    _mm_storeu_si128((void *)(out + (2 * i + 1) * os), _mm_unpackhi_epi16(r[i], r[i + 4]));
  }
}
static void L(turn16)(int64_t rows, int64_t columns, uint16_t *out, int64_t os, const uint16_t *in, int64_t is,
                      bool streams) {
  enum { SIDE = 64 };
  const int64_t high = rows / 8 * 8, wide = columns / 8 * 8;
  for (int64_t r0 = 0; r0 < high; r0 += SIDE)
    for (int64_t c0 = 0; c0 < wide; c0 += SIDE)
      for (int64_t c = c0; c < ck_min64(c0 + SIDE, wide); c += 8)
        for (int64_t r = r0; r < ck_min64(r0 + SIDE, high); r += 8)
          L(turn_tile16)(out + c * os + r, os, in + r * is + c, is);
  for (int64_t c = 0; c < columns; c++)
    for (int64_t r = c < wide ? high : 0; r < rows; r++) out[c * os + r] = in[r * is + c];
}
#else
TURN(16, uint16_t)
#endif
TURN(64, uint64_t)
TURN(128, ck_wide)
#undef TURN
