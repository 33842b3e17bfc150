#include "czlib.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

struct cz_stream {
  z_stream z;
  int deflates;
};

// 15: the largest window; 16 more: a gzip frame rather than a zlib one.
#define CZ_WINDOW (15 + 16)

cz_stream *cz_inflater(void) {
  cz_stream *s = calloc(1, sizeof *s);
  if (s && inflateInit2(&s->z, CZ_WINDOW) != Z_OK) {
    free(s);
    return NULL;
  }
  return s;
}

cz_stream *cz_deflater(int level) {
  cz_stream *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->deflates = 1;
  if (deflateInit2(&s->z, level, Z_DEFLATED, CZ_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    free(s);
    return NULL;
  }
  return s;
}

static uInt cz_clamped(size_t n) { return n > UINT_MAX ? UINT_MAX : (uInt)n; }

static void cz_place(cz_stream *s, const void *in, size_t in_count, void *out, size_t out_count) {
  s->z.next_in = (Bytef *)(uintptr_t)in;  // zlib does not write there; older headers lack the const
  s->z.avail_in = cz_clamped(in_count);
  s->z.next_out = out;
  s->z.avail_out = cz_clamped(out_count);
}

static cz_status cz_status_of(int code) {
  switch (code) {
  case Z_OK:
  case Z_BUF_ERROR: return CZ_MORE;
  case Z_STREAM_END: return CZ_END;
  case Z_MEM_ERROR: return CZ_NO_MEMORY;
  default: return CZ_DAMAGED;
  }
}

cz_status cz_inflate(
  cz_stream *s, const void *in, size_t in_count, void *out, size_t out_count, size_t *used, size_t *made) {
  cz_place(s, in, in_count, out, out_count);
  uInt in0 = s->z.avail_in, out0 = s->z.avail_out;
  int code = inflate(&s->z, Z_NO_FLUSH);
  *used = in0 - s->z.avail_in;
  *made = out0 - s->z.avail_out;
  return cz_status_of(code);
}

cz_status cz_deflate(
  cz_stream *s, const void *in, size_t in_count, int last, void *out, size_t out_count, size_t *used, size_t *made) {
  cz_place(s, in, in_count, out, out_count);
  uInt in0 = s->z.avail_in, out0 = s->z.avail_out;
  int code = deflate(&s->z, last && in0 == in_count ? Z_FINISH : Z_NO_FLUSH);
  *used = in0 - s->z.avail_in;
  *made = out0 - s->z.avail_out;
  return cz_status_of(code);
}

int cz_restart(cz_stream *s) { return inflateReset2(&s->z, CZ_WINDOW) == Z_OK; }

const char *cz_message(const cz_stream *s) { return s->z.msg; }

void cz_free(cz_stream *s) {
  if (!s) return;
  if (s->deflates) deflateEnd(&s->z);
  else inflateEnd(&s->z);
  free(s);
}

uint32_t cz_crc32(uint32_t before, const void *bytes, size_t count) {
  return (uint32_t)crc32_z(before, bytes, count);
}
