// Fourier transforms in float32 and float64. Included once per level.
#define T float
#define F(name) L(name##_f32)
#define LANES (CK_VECTOR / 4)
#include "fft_loops.h"
#undef T
#undef F
#undef LANES
#define T double
#define F(name) L(name##_f64)
#define LANES (CK_VECTOR / 8)
#include "fft_loops.h"
#undef T
#undef F
#undef LANES
