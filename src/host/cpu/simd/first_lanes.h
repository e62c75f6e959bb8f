/* Part of first_simd.c, included once for each LANES. */
/* Of a vector of channels. */
NL_INLINE void V(mask)(float *g, double *s1, const float *y, int positions, int cp, bool relu,
                       int first) {
    for (int q = 0; q < positions;) {
        VEC sum = {0};
        for (const int end = positions - q < RUN ? positions : q + RUN; q < end; q++) {
            const int64_t at = (int64_t)q * cp + first;
            VEC d = V(load)(g + at);
            if (relu) {
                d = V(zero_where_not_above)(d, V(load)(y + at));
                V(store)(g + at, d);
            }
            sum += d;
        }
        for (int j = 0; j < LANES; j++) s1[first + j] += (double)sum[j];
    }
}
#undef LANES
