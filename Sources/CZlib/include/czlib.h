#ifndef CZLIB_H
#define CZLIB_H

// A small face over zlib: gzip streams only, lengths as size_t, and no macro that Swift cannot import.

#include <stddef.h>
#include <stdint.h>

typedef struct cz_stream cz_stream;

typedef enum cz_status {
  CZ_MORE = 0,      // room in the output or input is used up; call again with more
  CZ_END = 1,       // the end of a gzip member
  CZ_DAMAGED = 2,   // the bytes are no gzip stream, or its check sum is wrong
  CZ_NO_MEMORY = 3,
} cz_status;

/// A stream that inflates, or NULL without memory.
cz_stream *cz_inflater(void);

/// A stream that deflates at a level 0...9, or NULL without memory.
cz_stream *cz_deflater(int level);

/// Inflates from `in` to `out`; says in `used` and `made` how many bytes of each are done.
cz_status cz_inflate(
  cz_stream *s, const void *in, size_t in_count, void *out, size_t out_count, size_t *used, size_t *made);

/// Deflates likewise; `last` says that no input follows `in`.
cz_status cz_deflate(
  cz_stream *s, const void *in, size_t in_count, int last, void *out, size_t out_count, size_t *used, size_t *made);

/// Prepares an inflater for the next gzip member.
int cz_restart(cz_stream *s);

/// What zlib said about the last failure, or NULL.
const char *cz_message(const cz_stream *s);

void cz_free(cz_stream *s);

/// CRC-32 of bytes, going on from that of the bytes before them; 0 at first.
uint32_t cz_crc32(uint32_t before, const void *bytes, size_t count);

#endif
