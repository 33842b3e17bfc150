#include "common.h"

#if defined(DN_HAVE)
#include <pthread.h>
#if defined(__linux__)
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int count);
#endif

static dnnl_engine_t engine;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_status_t engine_status;
static void make_engine(void) { engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0); }

// One stream per thread, until dn_thread_end.
static _Thread_local dnnl_stream_t stream;

dn_version_t dn_version(void) {
  const dnnl_version_t *v = dnnl_version();
  return (dn_version_t){v->major, v->minor, v->patch};
}
bool dn_available(void) {
  pthread_once(&once, make_engine);
  return engine_status == dnnl_success;
}
int32_t dn_refusal(void) { return (int32_t)engine_status; }
dnnl_engine_t dn_engine(void) { return engine; }
dnnl_stream_t dn_stream(void) {
  if (!stream && dnnl_stream_create(&stream, engine, dnnl_stream_default_flags)) stream = NULL;
  return stream;
}

void dn_thread_end(void) {
  if (stream) dnnl_stream_destroy(stream);
  stream = NULL;
}

int dn_set_threads(int32_t threads) {
#if defined(__linux__)
  const int before = omp_get_max_threads();
  if (threads > 0 && threads != before) omp_set_num_threads(threads);
  return before;
#else
  (void)threads;
  return 0;
#endif
}
void dn_restore_threads(int32_t threads, int before) {
#if defined(__linux__)
  if (threads > 0 && threads != before) omp_set_num_threads(before);
#else
  (void)threads, (void)before;
#endif
}

dnnl_data_type_t dn_type(int32_t dtype) {
  static const dnnl_data_type_t types[] = {dnnl_f32, dnnl_bf16, dnnl_f16};
  return dtype < DN_F32 || dtype > DN_F16 ? dnnl_data_type_undef : types[dtype];
}

dnnl_status_t dn_strided(memory_desc *desc, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type,
                         const dnnl_dims_t strides) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(desc, ndims, dims, type, strides);
#else
  return dnnl_memory_desc_init_by_strides(desc, ndims, dims, type, strides);
#endif
}

dnnl_status_t dn_any(memory_desc *desc, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(desc, ndims, dims, type, dnnl_format_tag_any);
#else
  return dnnl_memory_desc_init_by_tag(desc, ndims, dims, type, dnnl_format_tag_any);
#endif
}

#else  // built without oneDNN
dn_version_t dn_version(void) { return (dn_version_t){0, 0, 0}; }
bool dn_available(void) { return false; }
void dn_thread_end(void) {}
#endif
