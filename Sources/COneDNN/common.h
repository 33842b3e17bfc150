// What the faces share: the engine, the stream of the calling thread and the differences between API 2 and 3.
#ifndef CONEDNN_COMMON_H
#define CONEDNN_COMMON_H
#include "conednn.h"
#include <stdlib.h>
#if defined(__has_include)
#if __has_include(<oneapi/dnnl/dnnl.h>)
#include <oneapi/dnnl/dnnl.h>
#define DN_HAVE 1
#endif
#endif

#if defined(DN_HAVE)
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;            // an opaque pointer
typedef const_dnnl_memory_desc_t const_desc;
#define DESC(d) (d)
static inline void dn_forget(memory_desc d) { if (d) dnnl_memory_desc_destroy(d); }
#else
typedef dnnl_memory_desc_t memory_desc;            // a struct
typedef const dnnl_memory_desc_t *const_desc;
#define DESC(d) (&(d))
static inline void dn_forget(memory_desc d) { (void)d; }
#endif

dnnl_engine_t dn_engine(void);                     // after dn_available()
dnnl_stream_t dn_stream(void);                     // of the calling thread; null: out of memory
int32_t dn_refusal(void);                          // why dn_available() is false

// A primitive keeps the thread count of its creation: sets the calling thread's, and returns what to put back.
int dn_set_threads(int32_t threads);
void dn_restore_threads(int32_t threads, int before);

dnnl_data_type_t dn_type(int32_t dtype);
dnnl_status_t dn_strided(memory_desc *desc, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type,
                         const dnnl_dims_t strides);
dnnl_status_t dn_any(memory_desc *desc, int ndims, const dnnl_dims_t dims, dnnl_data_type_t type);
#endif
#endif
