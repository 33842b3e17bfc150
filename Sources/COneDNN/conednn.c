// The face over oneDNN. API 2 and 3 differ in how a primitive is described and in how views are made.
#include "conednn.h"
#include <stdlib.h>
#if defined(__has_include)
#if __has_include(<oneapi/dnnl/dnnl.h>)
#include <oneapi/dnnl/dnnl.h>
#define DN_HAVE 1
#endif
#endif

#if defined(DN_HAVE)
#include <pthread.h>
#if defined(__linux__)
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int count);
#endif
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;            // an opaque pointer
typedef const_dnnl_memory_desc_t const_desc;
#define DESC(d) (d)
#else
typedef dnnl_memory_desc_t memory_desc;            // a struct
typedef const dnnl_memory_desc_t *const_desc;
#define DESC(d) (&(d))
#endif

struct dn_matmul {
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, scratch;
  size_t scratch_bytes;
};

static dnnl_engine_t engine;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_status_t engine_status;
static void make_engine(void) { engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0); }

// One stream per thread; it lives as long as the process.
static _Thread_local dnnl_stream_t stream;

dn_version_t dn_version(void) {
  const dnnl_version_t *v = dnnl_version();
  return (dn_version_t){v->major, v->minor, v->patch};
}
bool dn_available(void) {
  pthread_once(&once, make_engine);
  return engine_status == dnnl_success;
}

static dnnl_status_t describe(memory_desc *desc, int ndims, int64_t batch, int64_t rows, int64_t columns,
                              dnnl_data_type_t type, int64_t batch_stride, int64_t row, int64_t column) {
  const bool shared = batch_stride == 0 && batch > 1;
  const dnnl_dims_t dims3 = {shared ? 1 : batch, rows, columns}, dims2 = {rows, columns};
  const dnnl_dims_t strides3 = {shared || batch <= 1 ? rows * columns : batch_stride, row, column};
  const dnnl_dims_t strides2 = {row, column};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(desc, ndims, ndims == 3 ? dims3 : dims2, type,
                                              ndims == 3 ? strides3 : strides2);
#else
  return dnnl_memory_desc_init_by_strides(desc, ndims, ndims == 3 ? dims3 : dims2, type,
                                          ndims == 3 ? strides3 : strides2);
#endif
}

static dnnl_status_t build(dn_matmul *h, memory_desc a, memory_desc b, memory_desc c) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_status_t s = dnnl_primitive_attr_create(&attr);
  if (!s) s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
#if DNNL_VERSION_MAJOR >= 3
  if (!s) s = dnnl_matmul_primitive_desc_create(&pd, engine, a, b, NULL, c, attr);
#else
  dnnl_matmul_desc_t op;
  if (!s) s = dnnl_matmul_desc_init(&op, &a, &b, NULL, &c);
  if (!s) s = dnnl_primitive_desc_create(&pd, &op, attr, engine, NULL);
#endif
  if (!s) s = dnnl_primitive_create(&h->primitive, pd);
  if (!s) s = dnnl_memory_create(&h->a, DESC(a), engine, DNNL_MEMORY_NONE);
  if (!s) s = dnnl_memory_create(&h->b, DESC(b), engine, DNNL_MEMORY_NONE);
  if (!s) s = dnnl_memory_create(&h->c, DESC(c), engine, DNNL_MEMORY_NONE);
  if (!s) {
    const_desc scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    h->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (h->scratch_bytes > 0) s = dnnl_memory_create(&h->scratch, scratch, engine, DNNL_MEMORY_NONE);
  }
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return s;
}

int32_t dn_matmul_create(const dn_matmul_spec *spec, dn_matmul **handle) {
  static const dnnl_data_type_t types[] = {dnnl_f32, dnnl_bf16, dnnl_f16};
  *handle = NULL;
  if (!dn_available()) return (int32_t)engine_status;
  if (spec->dtype < DN_F32 || spec->dtype > DN_F16) return dnnl_invalid_arguments;
  dn_matmul *h = calloc(1, sizeof *h);
  if (!h) return dnnl_out_of_memory;
#if defined(__linux__)
  const int before = omp_get_max_threads();  // a primitive keeps the thread count of its creation
  if (spec->threads > 0 && spec->threads != before) omp_set_num_threads(spec->threads);
#endif
  const dnnl_data_type_t type = types[spec->dtype];
  const int ndims = spec->batch > 1 ? 3 : 2;
  memory_desc a, b, c;
  dnnl_status_t s = describe(&a, ndims, spec->batch, spec->m, spec->k, type, spec->a_batch, spec->a_row, spec->a_column);
  if (!s) {
    s = describe(&b, ndims, spec->batch, spec->k, spec->n, type, spec->b_batch, spec->b_row, spec->b_column);
    if (!s) {
      s = describe(&c, ndims, spec->batch, spec->m, spec->n, type, spec->c_batch, spec->c_row, 1);
      if (!s) {
        s = build(h, a, b, c);
#if DNNL_VERSION_MAJOR >= 3
        dnnl_memory_desc_destroy(c);
#endif
      }
#if DNNL_VERSION_MAJOR >= 3
      dnnl_memory_desc_destroy(b);
#endif
    }
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(a);
#endif
  }
#if defined(__linux__)
  if (spec->threads > 0 && spec->threads != before) omp_set_num_threads(before);
#endif
  if (s) dn_matmul_destroy(h);
  else *handle = h;
  return (int32_t)s;
}

size_t dn_matmul_scratchpad(const dn_matmul *handle) { return handle->scratch_bytes; }

int32_t dn_matmul_execute(dn_matmul *h, const void *a, const void *b, void *c, void *scratchpad) {
  dnnl_status_t s = stream ? dnnl_success : dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  if (!s) s = dnnl_memory_set_data_handle(h->a, (void *)(uintptr_t)a);
  if (!s) s = dnnl_memory_set_data_handle(h->b, (void *)(uintptr_t)b);
  if (!s) s = dnnl_memory_set_data_handle(h->c, c);
  if (!s && h->scratch) s = scratchpad ? dnnl_memory_set_data_handle(h->scratch, scratchpad) : dnnl_invalid_arguments;
  if (s) return (int32_t)s;
  const dnnl_exec_arg_t args[] = {
    {DNNL_ARG_SRC, h->a}, {DNNL_ARG_WEIGHTS, h->b}, {DNNL_ARG_DST, h->c}, {DNNL_ARG_SCRATCHPAD, h->scratch}};
  s = dnnl_primitive_execute(h->primitive, stream, h->scratch ? 4 : 3, args);
  return (int32_t)(s ? s : dnnl_stream_wait(stream));
}

void dn_matmul_destroy(dn_matmul *h) {
  if (!h) return;
  if (h->primitive) dnnl_primitive_destroy(h->primitive);
  if (h->a) dnnl_memory_destroy(h->a);
  if (h->b) dnnl_memory_destroy(h->b);
  if (h->c) dnnl_memory_destroy(h->c);
  if (h->scratch) dnnl_memory_destroy(h->scratch);
  free(h);
}

#else  // built without oneDNN
dn_version_t dn_version(void) { return (dn_version_t){0, 0, 0}; }
bool dn_available(void) { return false; }
int32_t dn_matmul_create(const dn_matmul_spec *spec, dn_matmul **handle) { (void)spec; *handle = NULL; return 3; }
size_t dn_matmul_scratchpad(const dn_matmul *handle) { (void)handle; return 0; }
int32_t dn_matmul_execute(dn_matmul *h, const void *a, const void *b, void *c, void *scratchpad) {
  (void)h; (void)a; (void)b; (void)c; (void)scratchpad;
  return 3;
}
void dn_matmul_destroy(dn_matmul *h) { (void)h; }
#endif
