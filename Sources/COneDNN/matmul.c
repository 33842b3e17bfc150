#include "common.h"

#if defined(DN_HAVE)
struct dn_matmul {
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, bias, added, scratch;
  size_t scratch_bytes;
};

static dnnl_status_t describe(memory_desc *desc, int ndims, int64_t batch, int64_t rows, int64_t columns,
                              dnnl_data_type_t type, int64_t batch_stride, int64_t row, int64_t column) {
  const bool shared = batch_stride == 0 && batch > 1;
  const dnnl_dims_t dims3 = {shared ? 1 : batch, rows, columns}, dims2 = {rows, columns};
  const dnnl_dims_t strides3 = {shared || batch <= 1 ? rows * columns : batch_stride, row, column};
  const dnnl_dims_t strides2 = {row, column};
  return dn_strided(desc, ndims, ndims == 3 ? dims3 : dims2, type, ndims == 3 ? strides3 : strides2);
}

// What follows the sums: a tensor is added, then a function.
static dnnl_status_t follow(dnnl_primitive_attr_t attr, const dn_matmul_spec *spec, memory_desc c) {
  if (!spec->adds && !spec->function) return dnnl_success;
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t s = dnnl_post_ops_create(&ops);
  const dnnl_alg_kind_t kind = spec->function == DN_GELU ? dnnl_eltwise_gelu_erf
                               : spec->function == DN_GELU_TANH ? dnnl_eltwise_gelu_tanh : dnnl_eltwise_swish;
  const float a = spec->function == DN_SILU ? 1 : 0;
  if (!s && spec->adds) s = dnnl_post_ops_append_binary(ops, dnnl_binary_add, DESC(c));
#if DNNL_VERSION_MAJOR >= 3
  if (!s && spec->function) s = dnnl_post_ops_append_eltwise(ops, kind, a, 0);
#else
  if (!s && spec->function) s = dnnl_post_ops_append_eltwise(ops, 1, kind, a, 0);
#endif
  if (!s) s = dnnl_primitive_attr_set_post_ops(attr, ops);
  if (ops) dnnl_post_ops_destroy(ops);
  return s;
}

static dnnl_status_t build(dn_matmul *h, const dn_matmul_spec *spec, memory_desc a, memory_desc b, memory_desc bias,
                           memory_desc c) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_status_t s = dnnl_primitive_attr_create(&attr);
  if (!s) s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  if (!s) s = follow(attr, spec, c);
#if DNNL_VERSION_MAJOR >= 3
  if (!s) s = dnnl_matmul_primitive_desc_create(&pd, dn_engine(), a, b, spec->bias ? bias : NULL, c, attr);
#else
  dnnl_matmul_desc_t op;
  if (!s) s = dnnl_matmul_desc_init(&op, &a, &b, spec->bias ? &bias : NULL, &c);
  if (!s) s = dnnl_primitive_desc_create(&pd, &op, attr, dn_engine(), NULL);
#endif
  if (!s) s = dnnl_primitive_create(&h->primitive, pd);
  if (!s) s = dnnl_memory_create(&h->a, DESC(a), dn_engine(), DNNL_MEMORY_NONE);
  if (!s) s = dnnl_memory_create(&h->b, DESC(b), dn_engine(), DNNL_MEMORY_NONE);
  if (!s) s = dnnl_memory_create(&h->c, DESC(c), dn_engine(), DNNL_MEMORY_NONE);
  if (!s && spec->bias) s = dnnl_memory_create(&h->bias, DESC(bias), dn_engine(), DNNL_MEMORY_NONE);
  if (!s && spec->adds) s = dnnl_memory_create(&h->added, DESC(c), dn_engine(), DNNL_MEMORY_NONE);
  if (!s) {
    const_desc scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    h->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (h->scratch_bytes > 0) s = dnnl_memory_create(&h->scratch, scratch, dn_engine(), DNNL_MEMORY_NONE);
  }
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return s;
}

int32_t dn_matmul_create(const dn_matmul_spec *spec, dn_matmul **handle) {
  *handle = NULL;
  if (!dn_available()) return dn_refusal();
  const dnnl_data_type_t type = dn_type(spec->dtype);
  if (type == dnnl_data_type_undef || (spec->wide && spec->adds)) return dnnl_invalid_arguments;
  dn_matmul *h = calloc(1, sizeof *h);
  if (!h) return dnnl_out_of_memory;
  const int before = dn_set_threads(spec->threads);
  const int ndims = spec->batch > 1 ? 3 : 2;
  memory_desc a = {0}, b = {0}, c = {0}, bias = {0};
  dnnl_status_t s = describe(&a, ndims, spec->batch, spec->m, spec->k, type, spec->a_batch, spec->a_row, spec->a_column);
  if (!s) s = describe(&b, ndims, spec->batch, spec->k, spec->n, type, spec->b_batch, spec->b_row, spec->b_column);
  const dnnl_data_type_t result = spec->wide ? dnnl_f32 : type;
  if (!s) s = describe(&c, ndims, spec->batch, spec->m, spec->n, result, spec->c_batch, spec->c_row, 1);
  if (!s && spec->bias) s = describe(&bias, ndims, 1, 1, spec->n, type, 0, spec->n, 1);
  if (!s) s = build(h, spec, a, b, bias, c);
  dn_forget(bias);
  dn_forget(c);
  dn_forget(b);
  dn_forget(a);
  dn_restore_threads(spec->threads, before);
  if (s) dn_matmul_destroy(h);
  else *handle = h;
  return (int32_t)s;
}

size_t dn_matmul_scratchpad(const dn_matmul *handle) { return handle->scratch_bytes; }

int32_t dn_matmul_execute(dn_matmul *h, const void *a, const void *b, const void *bias, const void *added, void *c,
                          void *scratchpad) {
  const dnnl_stream_t stream = dn_stream();
  dnnl_status_t s = stream ? dnnl_success : dnnl_out_of_memory;
  if (!s) s = dnnl_memory_set_data_handle(h->a, (void *)(uintptr_t)a);
  if (!s) s = dnnl_memory_set_data_handle(h->b, (void *)(uintptr_t)b);
  if (!s) s = dnnl_memory_set_data_handle(h->c, c);
  if (!s && h->bias) s = bias ? dnnl_memory_set_data_handle(h->bias, (void *)(uintptr_t)bias) : dnnl_invalid_arguments;
  if (!s && h->added) s = added ? dnnl_memory_set_data_handle(h->added, (void *)(uintptr_t)added) : dnnl_invalid_arguments;
  if (!s && h->scratch) s = scratchpad ? dnnl_memory_set_data_handle(h->scratch, scratchpad) : dnnl_invalid_arguments;
  if (s) return (int32_t)s;
  dnnl_exec_arg_t args[6] = {{DNNL_ARG_SRC, h->a}, {DNNL_ARG_WEIGHTS, h->b}, {DNNL_ARG_DST, h->c}};
  int count = 3;
  if (h->bias) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, h->bias};
  if (h->added) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, h->added};
  if (h->scratch) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, h->scratch};
  s = dnnl_primitive_execute(h->primitive, stream, count, args);
  return (int32_t)(s ? s : dnnl_stream_wait(stream));
}

void dn_matmul_destroy(dn_matmul *h) {
  if (!h) return;
  if (h->primitive) dnnl_primitive_destroy(h->primitive);
  if (h->a) dnnl_memory_destroy(h->a);
  if (h->b) dnnl_memory_destroy(h->b);
  if (h->c) dnnl_memory_destroy(h->c);
  if (h->bias) dnnl_memory_destroy(h->bias);
  if (h->added) dnnl_memory_destroy(h->added);
  if (h->scratch) dnnl_memory_destroy(h->scratch);
  free(h);
}

#else  // built without oneDNN
int32_t dn_matmul_create(const dn_matmul_spec *spec, dn_matmul **handle) { (void)spec; *handle = NULL; return 3; }
size_t dn_matmul_scratchpad(const dn_matmul *handle) { (void)handle; return 0; }
int32_t dn_matmul_execute(dn_matmul *h, const void *a, const void *b, const void *bias, const void *added, void *c,
                          void *scratchpad) {
  (void)h; (void)a; (void)b; (void)bias; (void)added; (void)c; (void)scratchpad;
  return 3;
}
void dn_matmul_destroy(dn_matmul *h) { (void)h; }
#endif
