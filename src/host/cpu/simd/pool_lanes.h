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

/* nl_dropout_words of as many quads of elements. */
NL_INLINE void V(draw)(WORDS words[4], WORDS quads, const mask_of *m) {
    WORDS c0 = quads, c1 = {0}, c2 = {0}, c3 = {0}, high0, low0, high1, low1;
    uint32_t k0 = m->seed, k1 = NL_STREAM_DROPOUT;
    c1 += m->layer;
    c2 += m->image;
    c3 += m->epoch;
    NL_UNROLL for (int round = 0; round < 10; round++) {
        V(multiply)(&high0, &low0, c0, 0xD2511F53u);
        V(multiply)(&high1, &low1, c2, 0xCD9E8D57u);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

/* The factors of LANES channels from `first` on, at all pixels. A quad holds four pixels of one
 * channel; where the map is no multiple of four pixels, channels begin at other places of their
 * quads, `shift`, and four pixels lie in two of them. */
NL_INLINE void V(factors)(float *factor, const mask_of *m, int first) {
    WORDS quads, now[4], next[4];
    INTS shift;
    VEC scale;
    bool shifted = false;
    for (int i = 0; i < LANES; i++) {
        const uint32_t element = (uint32_t)(first + i) * (uint32_t)m->hw;
        quads[i] = element / 4;
        shift[i] = (int)(element % 4);
        shifted = shifted || shift[i] != 0;
        scale[i] = first + i < m->c ? m->scale : 0;
    }
    V(draw)(next, quads, m);
    for (int pixel = 0; pixel < m->hw; pixel += 4) {
        memcpy(now, next, sizeof now);
        quads += 1;
        if (shifted || pixel + 4 < m->hw) V(draw)(next, quads, m);
        for (int i = 0; i < 4 && pixel + i < m->hw; i++) {
            WORDS words = now[i];
            for (int k = 1; shifted && k < 4; k++)
                words = V(mix)(words, i + k < 4 ? now[i + k] : next[i + k - 4], shift, k);
            V(store)
            (factor + (ptrdiff_t)(pixel + i) * m->cp + first,
             V(where_at_least)(scale, words, m->threshold));
        }
    }
}
#undef LANES
