#include "include/cpng.h"
#include <png.h>
#include <string.h>

static int fail(png_image *image, cpng_info *info) {
  strncpy(info->message, image->message, sizeof info->message - 1);
  png_image_free(image);
  return -1;
}

static int begin(const void *bytes, size_t count, png_image *image, cpng_info *info) {
  memset(image, 0, sizeof *image);
  memset(info, 0, sizeof *info);
  image->version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(image, bytes, count)) return fail(image, info);
  info->width = image->width;
  info->height = image->height;
  return 0;
}

int cpng_measure(const void *bytes, size_t count, cpng_info *info) {
  png_image image;
  if (begin(bytes, count, &image, info)) return -1;
  png_image_free(&image);
  return 0;
}

int cpng_read_gray(const void *bytes, size_t count, uint8_t *pixels, size_t capacity, cpng_info *info) {
  png_image image;
  if (begin(bytes, count, &image, info)) return -1;
  image.format = PNG_FORMAT_GRAY;
  if (PNG_IMAGE_SIZE(image) > capacity) {
    strncpy(info->message, "the image is larger than the memory given for it", sizeof info->message - 1);
    png_image_free(&image);
    return -1;
  }
  const png_color white = {255, 255, 255};
  if (!png_image_finish_read(&image, &white, pixels, 0, NULL)) return fail(&image, info);
  return 0;
}

int cpng_write_gray(uint32_t width, uint32_t height, const uint8_t *pixels, void *out, size_t *size, cpng_info *info) {
  png_image image;
  memset(&image, 0, sizeof image);
  memset(info, 0, sizeof *info);
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t bytes = *size;
  const int done = png_image_write_to_memory(&image, out, &bytes, 0, pixels, 0, NULL);
  *size = bytes;
  return done ? 0 : fail(&image, info);
}

const char *cpng_version(void) { return png_get_libpng_ver(NULL); }
