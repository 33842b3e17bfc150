// bfloat16 as bits. Included once per level.

static inline float L(bf16_value)(uint16_t a) {
  const uint32_t bits = (uint32_t)a << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
// The bits of what is a bfloat16.
static inline uint16_t L(bf16_of)(float a) {
  uint32_t u;
  memcpy(&u, &a, sizeof u);
  return (uint16_t)(u >> 16);
}
// Rounded to the nearest, ties to even; NaN stays one.
static inline uint16_t L(bf16_bits)(float a) {
  uint32_t u;
  memcpy(&u, &a, sizeof u);
  return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
