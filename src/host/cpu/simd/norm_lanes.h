/* Part of norm_simd.c, included once for each LANES. */

/* ---- Forward ---- */

/* Adds what a run has summed; *lost is what the roundings of these additions have left out (Knuth's
 * two-sum), and makes up for it at the end. */
NL_INLINE void V(add_exactly)(VEC *sum, VEC *lost, VEC run) {
    const VEC total = *sum + run, added = total - *sum;
    *lost += (*sum - (total - added)) + (run - added);
    *sum = total;
}

/* Adds the sums of d = x - mean, and of d^2, over so many pixels. */
NL_INLINE void V(add_run)(VEC *sum, VEC *square, VEC *lost, const float *x, const VEC *mean,
                          int pixels, int cp, int vecs) {
    VEC run[BLOCK] = {0}, run_square[BLOCK] = {0};
    for (int p = 0; p < pixels; p++) NL_UNROLL for (int j = 0; j < vecs; j++) {
            const VEC d = V(load)(x + (ptrdiff_t)p * cp + LANES * j) - mean[j];
            run[j] += d;
            run_square[j] = V(fma)(d, d, run_square[j]);
        }
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        sum[j] += run[j]; /* nearly 0 */
        V(add_exactly)(&square[j], &lost[j], run_square[j]);
    }
}

NL_INLINE void V(cells_block)(nl_cells *cells, const float *x, int hw, int cp, int first,
                              int vecs) {
    VEC sum[BLOCK] = {0}, square[BLOCK] = {0}, lost[BLOCK] = {0}, mean[BLOCK];
    const float count =
        (float)hw; /* divided by, not multiplied with 1 / hw: exact where it can be */
    NL_UNROLL for (int j = 0; j < vecs; j++) mean[j] = V(load)(x + first + LANES * j);
    for (int p = 1; p < hw; p++)
        NL_UNROLL for (int j = 0; j < vecs; j++) sum[j] +=
            V(load)(x + (ptrdiff_t)p * cp + first + LANES * j) - mean[j];
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        mean[j] += sum[j] / count;
        sum[j] = (VEC){0};
    }
    for (int p = 0; p < hw; p += RUN) V(add_run)
    (sum, square, lost, x + (ptrdiff_t)p * cp + first, mean, hw - p < RUN ? hw - p : RUN, cp, vecs);
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        const VEC rest = sum[j] / count, m2 = V(fma)(-sum[j], rest, square[j] + lost[j]);
        V(store)(cells->mean + first + LANES * j, mean[j]);
        V(store)(cells->rest + first + LANES * j, rest);
        V(store)(cells->m2 + first + LANES * j, V(zero_where_negative)(m2)); /* NaN stays */
    }
}

NL_INLINE void V(apply_block)(float *y, const float *x, const nl_norm_map *map, int hw, int cp,
                              bool relu, int first, int vecs) {
    VEC m[BLOCK], c[BLOCK], scale[BLOCK], beta[BLOCK];
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        m[j] = V(load)(map->m + first + LANES * j);
        c[j] = V(load)(map->c + first + LANES * j);
        scale[j] = V(load)(map->scale + first + LANES * j);
        beta[j] = V(load)(map->beta + first + LANES * j);
    }
    for (int p = 0; p < hw; p++) NL_UNROLL for (int j = 0; j < vecs; j++) {
            const ptrdiff_t at = (ptrdiff_t)p * cp + first + LANES * j;
            const VEC v = V(fma)(V(load)(x + at) - m[j] - c[j], scale[j], beta[j]);
            V(store)(y + at, relu ? V(zero_where_negative)(v) : v);
        }
}

/* ---- Backward ---- */

/* What a pass needs of the map for its channels. */
typedef struct V(block_map) {
    VEC m[BLOCK], c[BLOCK], scale[BLOCK], beta[BLOCK];
} V(block_map);

NL_INLINE void V(load_map)(V(block_map) * b, const nl_norm_map *map, int first, int vecs) {
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        b->m[j] = V(load)(map->m + first + LANES * j);
        b->c[j] = V(load)(map->c + first + LANES * j);
        b->scale[j] = V(load)(map->scale + first + LANES * j);
        b->beta[j] = V(load)(map->beta + first + LANES * j);
    }
}

/* g where the output behind ReLU is above 0 (or NaN). */
NL_INLINE VEC V(masked)(VEC g, VEC xc, const V(block_map) * b, int j, bool relu) {
    return relu ? V(zero_where_not_above)(g, V(fma)(xc, b->scale[j], b->beta[j])) : g;
}

NL_INLINE void V(backward_block)(nl_cells *cells, const float *g, const float *x,
                                 const nl_norm_map *map, int hw, int cp, bool relu, int first,
                                 int vecs) {
    VEC dy[BLOCK] = {0}, dy_xc[BLOCK] = {0}, lost[BLOCK] = {0}, lost_xc[BLOCK] = {0};
    V(block_map) b;
    V(load_map)(&b, map, first, vecs);
    for (int p = 0; p < hw;) {
        VEC run[BLOCK] = {0}, run_xc[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            NL_UNROLL for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + LANES * j;
                const VEC xc = V(load)(x + at) - b.m[j] - b.c[j];
                const VEC d = V(masked)(V(load)(g + at), xc, &b, j, relu);
                run[j] += d;
                run_xc[j] = V(fma)(d, xc, run_xc[j]);
            }
        NL_UNROLL for (int j = 0; j < vecs; j++) {
            V(add_exactly)(&dy[j], &lost[j], run[j]);
            V(add_exactly)(&dy_xc[j], &lost_xc[j], run_xc[j]);
        }
    }
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        V(store)(cells->dy + first + LANES * j, dy[j] + lost[j]);
        V(store)(cells->dy_xc + first + LANES * j, dy_xc[j] + lost_xc[j]);
    }
}

NL_INLINE void V(apply_backward_block)(float *dz, float *dbias, const float *g, const float *x,
                                       const nl_norm_map *map, int hw, int cp, bool relu, int first,
                                       int vecs) {
    VEC by_x[BLOCK], shift[BLOCK], sum[BLOCK] = {0}, lost[BLOCK] = {0};
    V(block_map) b;
    V(load_map)(&b, map, first, vecs);
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        by_x[j] = V(load)(map->by_x + first + LANES * j);
        shift[j] = V(load)(map->shift + first + LANES * j);
    }
    for (int p = 0; p < hw;) {
        VEC run[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            NL_UNROLL for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + LANES * j;
                const VEC xc = V(load)(x + at) - b.m[j] - b.c[j];
                const VEC dy = V(masked)(V(load)(g + at), xc, &b, j, relu);
                const VEC d = V(fma)(dy, b.scale[j], V(fma)(xc, by_x[j], shift[j]));
                run[j] += d;
                V(store)(dz + at, d);
            }
        NL_UNROLL for (int j = 0; j < vecs; j++) V(add_exactly)(&sum[j], &lost[j], run[j]);
    }
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        float *to = dbias + first + LANES * j;
        V(store)(to, V(load)(to) + (sum[j] + lost[j]));
    }
}

NL_INLINE void V(relu_bias_block)(float *g, float *dbias, const float *y, int hw, int cp, bool relu,
                                  int first, int vecs) {
    VEC sum[BLOCK] = {0}, lost[BLOCK] = {0};
    for (int p = 0; p < hw;) {
        VEC run[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            NL_UNROLL for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + LANES * j;
                VEC d = V(load)(g + at);
                if (relu) {
                    d = V(zero_where_not_above)(d, V(load)(y + at));
                    V(store)(g + at, d);
                }
                run[j] += d;
            }
        NL_UNROLL for (int j = 0; j < vecs; j++) V(add_exactly)(&sum[j], &lost[j], run[j]);
    }
    NL_UNROLL for (int j = 0; j < vecs; j++) {
        float *to = dbias + first + LANES * j;
        V(store)(to, V(load)(to) + (sum[j] + lost[j]));
    }
}
#undef LANES
