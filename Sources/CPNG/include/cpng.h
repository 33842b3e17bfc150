#ifndef CPNG_H
#define CPNG_H

// A small face over libpng's simplified interface: gray images only.

#include <stddef.h>
#include <stdint.h>

typedef struct { uint32_t width, height; char message[96]; } cpng_info;

/// Reads width and height; 0, or -1 with a message.
int cpng_measure(const void *bytes, size_t count, cpng_info *info);

/// Reads the pixels, `width * height` bytes row by row, 0 black; transparent parts are white. 0, or -1 with a message.
int cpng_read_gray(const void *bytes, size_t count, uint8_t *pixels, size_t capacity, cpng_info *info);

/// Writes a gray image into `out`, of which `*size` bytes are free and then used; 0, or -1 with a message and the size needed.
int cpng_write_gray(uint32_t width, uint32_t height, const uint8_t *pixels, void *out, size_t *size, cpng_info *info);

const char *cpng_version(void);

#endif
