/* The passes over pixels that all norms share, for one image; see fast.h.
 *
 * Statistics of a cell x[0 .. hw - 1], lane by lane: m = x[0] + mean(x - x[0]), exact for constant
 * data; then d = x - m gives rest = mean(d) and m2 = sum d^2 - hw rest^2. m + rest is the mean to
 * about twice a float's digits, and m2 has no cancellation (Chan, Golub, LeVeque 1983, the
 * corrected two-pass algorithm).
 *
 * Gradient of y = xhat gamma + beta, xhat = (x - mean) rstd, over the M values that share a mean
 * (Ioffe, Szegedy 2015, section 3): dx = rstd (dy gamma - mean(dy gamma) - xhat mean(dy gamma
 * xhat)), which is linear in dy and x for each channel: the map's scale, by_x and shift. */
#include "fast.h"

#include "tile.h" // nl_load, nl_store, nl_fma

/* Vectors that a pass sums at once: four independent sums hide the adder's latency. */
enum { BLOCK = 4 };

/* Calls PASS(first channel, vectors) over all channels, the vectors a constant. */
#define FOR_BLOCKS(cp, PASS)                                                                       \
    for (int first_ = 0; first_ < (cp); first_ += 8 * BLOCK) {                                     \
        const int left_ = ((cp)-first_) / 8;                                                       \
        if (left_ >= BLOCK)                                                                        \
            PASS(first_, BLOCK);                                                                   \
        else if (left_ == 3)                                                                       \
            PASS(first_, 3);                                                                       \
        else if (left_ == 2)                                                                       \
            PASS(first_, 2);                                                                       \
        else                                                                                       \
            PASS(first_, 1);                                                                       \
    }

/* ---- Forward ---- */

/* Pixels that are summed by themselves before their sum joins the others': one running float sum
 * over hundreds of values would lose digits. */
enum { RUN = 16 };

/* Adds what a run has summed; *lost is what the roundings of these additions have left out (Knuth's
 * two-sum), and makes up for it at the end. */
NL_INLINE void add_exactly(v8 *sum, v8 *lost, v8 run) {
    const v8 total = *sum + run, added = total - *sum;
    *lost += (*sum - (total - added)) + (run - added);
    *sum = total;
}

/* Adds the sums of d = x - mean, and of d^2, over so many pixels. */
NL_INLINE void add_run(v8 *sum, v8 *square, v8 *lost, const float *x, const v8 *mean, int pixels,
                       int cp, int vecs) {
    v8 run[BLOCK] = {0}, run_square[BLOCK] = {0};
    for (int p = 0; p < pixels; p++)
        for (int j = 0; j < vecs; j++) {
            const v8 d = nl_load(x + (ptrdiff_t)p * cp + 8 * j) - mean[j];
            run[j] += d;
            run_square[j] = nl_fma(d, d, run_square[j]);
        }
    for (int j = 0; j < vecs; j++) {
        sum[j] += run[j]; /* nearly 0 */
        add_exactly(&square[j], &lost[j], run_square[j]);
    }
}

NL_INLINE void cells_block(nl_cells *cells, const float *x, int hw, int cp, int first, int vecs) {
    v8 sum[BLOCK] = {0}, square[BLOCK] = {0}, lost[BLOCK] = {0}, mean[BLOCK];
    const float count =
        (float)hw; /* divided by, not multiplied with 1 / hw: exact where it can be */
    for (int j = 0; j < vecs; j++) mean[j] = nl_load(x + first + 8 * j);
    for (int p = 1; p < hw; p++)
        for (int j = 0; j < vecs; j++)
            sum[j] += nl_load(x + (ptrdiff_t)p * cp + first + 8 * j) - mean[j];
    for (int j = 0; j < vecs; j++) {
        mean[j] += sum[j] / count;
        sum[j] = (v8){0};
    }
    for (int p = 0; p < hw; p += RUN)
        add_run(sum, square, lost, x + (ptrdiff_t)p * cp + first, mean, hw - p < RUN ? hw - p : RUN,
                cp, vecs);
    for (int j = 0; j < vecs; j++) {
        const v8 rest = sum[j] / count, m2 = nl_fma(-sum[j], rest, square[j] + lost[j]);
        nl_store(cells->mean + first + 8 * j, mean[j]);
        nl_store(cells->rest + first + 8 * j, rest);
        nl_store(cells->m2 + first + 8 * j, nl_zero_where(m2 < 0, m2)); /* NaN stays */
    }
}

void nl_cells_forward(nl_cells *cells, const float *x, int hw, int cp){
#define PASS(first, vecs) cells_block(cells, x, hw, cp, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

NL_INLINE void apply_block(float *y, const float *x, const nl_norm_map *map, int hw, int cp,
                           bool relu, int first, int vecs) {
    v8 m[BLOCK], c[BLOCK], scale[BLOCK], beta[BLOCK];
    for (int j = 0; j < vecs; j++) {
        m[j] = nl_load(map->m + first + 8 * j);
        c[j] = nl_load(map->c + first + 8 * j);
        scale[j] = nl_load(map->scale + first + 8 * j);
        beta[j] = nl_load(map->beta + first + 8 * j);
    }
    for (int p = 0; p < hw; p++)
        for (int j = 0; j < vecs; j++) {
            const ptrdiff_t at = (ptrdiff_t)p * cp + first + 8 * j;
            const v8 v = nl_fma(nl_load(x + at) - m[j] - c[j], scale[j], beta[j]);
            nl_store(y + at, relu ? nl_zero_where(v < 0, v) : v);
        }
}

void nl_norm_apply(float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu) {
#define PASS(first, vecs) apply_block(y, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

/* ---- Backward ---- */

/* What a pass needs of the map for its channels. */
typedef struct block_map {
    v8 m[BLOCK], c[BLOCK], scale[BLOCK], beta[BLOCK];
} block_map;

NL_INLINE void load_map(block_map *b, const nl_norm_map *map, int first, int vecs) {
    for (int j = 0; j < vecs; j++) {
        b->m[j] = nl_load(map->m + first + 8 * j);
        b->c[j] = nl_load(map->c + first + 8 * j);
        b->scale[j] = nl_load(map->scale + first + 8 * j);
        b->beta[j] = nl_load(map->beta + first + 8 * j);
    }
}

/* g where the output behind ReLU is above 0 (or NaN). */
NL_INLINE v8 masked(v8 g, v8 xc, const block_map *b, int j, bool relu) {
    return relu ? nl_zero_where(nl_fma(xc, b->scale[j], b->beta[j]) <= 0, g) : g;
}

NL_INLINE void backward_block(nl_cells *cells, const float *g, const float *x,
                              const nl_norm_map *map, int hw, int cp, bool relu, int first,
                              int vecs) {
    v8 dy[BLOCK] = {0}, dy_xc[BLOCK] = {0}, lost[BLOCK] = {0}, lost_xc[BLOCK] = {0};
    block_map b;
    load_map(&b, map, first, vecs);
    for (int p = 0; p < hw;) {
        v8 run[BLOCK] = {0}, run_xc[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + 8 * j;
                const v8 xc = nl_load(x + at) - b.m[j] - b.c[j];
                const v8 d = masked(nl_load(g + at), xc, &b, j, relu);
                run[j] += d;
                run_xc[j] = nl_fma(d, xc, run_xc[j]);
            }
        for (int j = 0; j < vecs; j++) {
            add_exactly(&dy[j], &lost[j], run[j]);
            add_exactly(&dy_xc[j], &lost_xc[j], run_xc[j]);
        }
    }
    for (int j = 0; j < vecs; j++) {
        nl_store(cells->dy + first + 8 * j, dy[j] + lost[j]);
        nl_store(cells->dy_xc + first + 8 * j, dy_xc[j] + lost_xc[j]);
    }
}

void nl_cells_backward(nl_cells *cells, const float *g, const float *x, const nl_norm_map *map,
                       int hw, int cp, bool relu){
#define PASS(first, vecs) backward_block(cells, g, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

NL_INLINE void apply_backward_block(float *dz, float *dbias, const float *g, const float *x,
                                    const nl_norm_map *map, int hw, int cp, bool relu, int first,
                                    int vecs) {
    v8 by_x[BLOCK], shift[BLOCK], sum[BLOCK] = {0}, lost[BLOCK] = {0};
    block_map b;
    load_map(&b, map, first, vecs);
    for (int j = 0; j < vecs; j++) {
        by_x[j] = nl_load(map->by_x + first + 8 * j);
        shift[j] = nl_load(map->shift + first + 8 * j);
    }
    for (int p = 0; p < hw;) {
        v8 run[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + 8 * j;
                const v8 xc = nl_load(x + at) - b.m[j] - b.c[j];
                const v8 dy = masked(nl_load(g + at), xc, &b, j, relu);
                const v8 d = nl_fma(dy, b.scale[j], nl_fma(xc, by_x[j], shift[j]));
                run[j] += d;
                nl_store(dz + at, d);
            }
        for (int j = 0; j < vecs; j++) add_exactly(&sum[j], &lost[j], run[j]);
    }
    for (int j = 0; j < vecs; j++) {
        float *to = dbias + first + 8 * j;
        nl_store(to, nl_load(to) + (sum[j] + lost[j]));
    }
}

void nl_norm_apply_backward(float *dz, float *dbias, const float *g, const float *x,
                            const nl_norm_map *map, int hw, int cp, bool relu){
#define PASS(first, vecs) apply_backward_block(dz, dbias, g, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

NL_INLINE void relu_bias_block(float *g, float *dbias, const float *y, int hw, int cp, bool relu,
                               int first, int vecs) {
    v8 sum[BLOCK] = {0}, lost[BLOCK] = {0};
    for (int p = 0; p < hw;) {
        v8 run[BLOCK] = {0};
        for (const int end = hw - p < RUN ? hw : p + RUN; p < end; p++)
            for (int j = 0; j < vecs; j++) {
                const ptrdiff_t at = (ptrdiff_t)p * cp + first + 8 * j;
                v8 d = nl_load(g + at);
                if (relu) {
                    d = nl_zero_where(nl_load(y + at) <= 0, d);
                    nl_store(g + at, d);
                }
                run[j] += d;
            }
        for (int j = 0; j < vecs; j++) add_exactly(&sum[j], &lost[j], run[j]);
    }
    for (int j = 0; j < vecs; j++) {
        float *to = dbias + first + 8 * j;
        nl_store(to, nl_load(to) + (sum[j] + lost[j]));
    }
}

void nl_relu_bias_backward(float *g, float *dbias, const float *y, int hw, int cp, bool relu) {
#define PASS(first, vecs) relu_bias_block(g, dbias, y, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

void nl_norm_fast_affine(float *dgamma, float *dbeta, const nl_cells *cells,
                         const nl_norm_map *maps, int n, int map_stride, int c) {
    for (int i = 0; i < c; i++) {
        double sum = 0, sum_xhat = 0;
        for (int image = 0; image < n; image++) {
            sum += cells[image].dy[i];
            sum_xhat += (double)cells[image].dy_xc[i] * maps[image * map_stride].rstd[i];
        }
        dgamma[i] = (float)sum_xhat;
        dbeta[i] = (float)sum;
    }
}
