// Optimizer steps, one pass over memory; `from`: the gradient of the elements from `begin` on. Included once per level.
#define LOOP(n) _Pragma("clang loop vectorize(assume_safety)") for (int64_t i = 0; i < (n); i++)
#define STEP(t, T, SQRT)                                                                             \
  static void L(adam_##t)(const job *j, const ck_update *u, const void *from, int64_t begin, int64_t end) { \
    T *po = (T *)u->p_out + begin, *mo = (T *)u->m_out + begin, *vo = (T *)u->v_out + begin;         \
    const T *p = (const T *)u->p + begin, *g = (const T *)from;                                      \
    const T *m = (const T *)u->m + begin, *v = (const T *)u->v + begin;                              \
    const T b1 = (T)j->beta1, c1 = (T)(1 - j->beta1), b2 = (T)j->beta2, c2 = (T)(1 - j->beta2);      \
    const T keep = j->flag ? (T)(1 - u->rate * j->decay) : 1, decay = j->flag ? 0 : (T)j->decay;     \
    const T step = (T)(u->rate / u->bias1), root = (T)(1 / sqrt(u->bias2)), eps = (T)j->epsilon;     \
    const T *top = u->top ? (const T *)u->top + begin : 0;                                           \
    T *to = u->top_out ? (T *)u->top_out + begin : 0;                                                \
    if (!top) { LOOP(end - begin) {                                                                  \
      const T x = p[i], d = decay * x + g[i];                                                        \
      const T mi = b1 * m[i] + c1 * d, vi = b2 * v[i] + c2 * (d * d);                                \
      mo[i] = mi;                                                                                    \
      vo[i] = vi;                                                                                    \
      po[i] = x * keep - step * (mi / (SQRT(vi) * root + eps));                                      \
    } } else LOOP(end - begin) {                                                                     \
      const T x = p[i], d = decay * x + g[i];                                                        \
      const T mi = b1 * m[i] + c1 * d, vi = b2 * v[i] + c2 * (d * d);                                \
      const T ti = top[i] > vi || top[i] != top[i] ? top[i] : vi;                                    \
      mo[i] = mi;                                                                                    \
      vo[i] = vi;                                                                                    \
      to[i] = ti;                                                                                    \
      po[i] = x * keep - step * (mi / (SQRT(ti) * root + eps));                                      \
    }                                                                                                \
  }                                                                                                  \
  static void L(sgd_##t)(const job *j, const ck_update *u, const void *from, int64_t begin, int64_t end) { \
    T *po = (T *)u->p_out + begin, *bo = u->m_out ? (T *)u->m_out + begin : 0;                       \
    const T *p = (const T *)u->p + begin, *g = (const T *)from;                                      \
    const T *b = u->m ? (const T *)u->m + begin : 0;                                                 \
    const T rate = (T)u->rate, decay = (T)j->decay, mu = j->first ? 0 : (T)j->beta1;                 \
    const T damp = j->first ? 1 : (T)(1 - j->beta2), look = (T)j->beta1;                             \
    if (!bo) { LOOP(end - begin) { const T x = p[i]; po[i] = x - rate * (decay * x + g[i]); } }      \
    else LOOP(end - begin) {                                                                         \
      const T x = p[i], d = decay * x + g[i], old = b && !j->first ? b[i] : 0;                       \
      const T new = mu * old + damp * d;                                                             \
      bo[i] = new;                                                                                   \
      po[i] = x - rate * (j->flag ? look * new + d : new);                                           \
    }                                                                                                \
  }
STEP(f32, float, __builtin_elementwise_sqrt)  // sqrtf may set errno, which keeps a loop from being vectorised
STEP(f64, double, __builtin_elementwise_sqrt)
#undef STEP
#undef LOOP
