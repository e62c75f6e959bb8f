/* Part of pool_simd.c, included once for each LANES: the channels of one pixel of the output. */

/* v * factor, but 0 where factor is 0, even for a NaN. */
NL_INLINE VEC V(kept)(VEC v, const float *factor) {
    const VEC f = V(load)(factor);
    return V(zero_where_zero)(v * f, f);
}

NL_INLINE void V(pool)(float *y, int32_t *arg, const float *corner, const float *factor, int line,
                       int cp, int k) {
    VEC best = V(load)(corner);
    INTS which = {0};
    NL_UNROLL for (int i = 1; i < k * k; i++)
        V(take_larger)(&best, &which, V(load)(corner + (ptrdiff_t)(i / k) * line + i % k * cp), i);
    V(store)(y, factor ? V(kept)(best, factor) : best);
    V(store_ints)(arg, which);
}

NL_INLINE void V(unpool)(float *corner, const float *dy, const int32_t *arg, const float *factor,
                         int line, int cp, int k) {
    const VEC d = factor ? V(kept)(V(load)(dy), factor) : V(load)(dy);
    const INTS which = V(load_ints)(arg);
    NL_UNROLL for (int i = 0; i < k * k; i++)
        V(store)(corner + (ptrdiff_t)(i / k) * line + i % k * cp, V(zero_where_not)(d, which, i));
}
#undef LANES
