/* From patch moments to the first norm's cells, and to the first layer's gradient; see first.h.
 *
 * With q = p - pbar and dc = mean_c - mean of the norm,
 *     var_c = w_c . M w_c / m                 sum g (z - mean) = w_c . sum g q + dc S1
 * and as the norm's gradient is dz = scale g + by_x (z - mean) + shift (simd.h),
 *     sum dz  = scale S1 + m (by_x dc + shift)
 *     dw_c    = sum dz p = scale sum g q + by_x M w_c + (sum dz) pbar. */
#include <math.h> // fma, isinf

#include "doubles.h"
#include "first.h"

extern const nl_patch_ops NL_SIMD(patches);

/* ---- Forward ---- */

/* What a channel's mean is where the centred patches' is 0; a number that two floats hold, so that
 * the map's mean less this is exactly 0 there. */
static double base_of(const double *centre, int channel, const nl_patches *p,
                      const nl_patch_filter *f) {
    double base = (double)f->bias[channel];
    for (int c = 0; c < p->c; c++) /* nothing was taken off, not even of an infinite weight */
        if (centre[c] != 0) base += centre[c] * f->sum[c * p->cp + channel];
    const float first = (float)base;
    return isinf(first) ? (double)first : (double)first + (double)(float)(base - (double)first);
}

/* M w and w . M w of a vector of channels. M's rows are its columns. */
NL_INLINE vecd quadratic_form(float *mw, const nl_patch_moments *m, const nl_patches *p,
                              const vecd *w) {
    const int taps = p->taps;
    vecd form = {0};
    for (int t = 0; t < taps; t += NL_PATCH_ROWS) {
        const double *at = m->m + t;
        vecd v[NL_PATCH_ROWS];
        NL_UNROLL for (int r = 0; r < NL_PATCH_ROWS; r++) v[r] = (vecd){0};
        for (int u = 0; u < taps; u++, at += taps) {
            NL_UNROLL for (int r = 0; r < NL_PATCH_ROWS; r++) v[r] =
                fma_d(splat_d(at[r]), w[u], v[r]);
        }
        NL_UNROLL for (int r = 0; r < NL_PATCH_ROWS; r++) {
            if (t + r >= taps) break;
            form = fma_d(w[t + r], v[r], form);
            narrow_d(mw + (t + r) * p->cp, v[r]);
        }
    }
    return form;
}

static void patch_cells(nl_cells *cells, float *mw, const nl_patch_moments *m, const nl_patches *p,
                        const nl_patch_filter *f) {
    for (int first = 0; first < p->cp; first += DOUBLES) {
        vecd w[NL_PATCH_TAPS], mean = {0};
        for (int t = 0; t < p->taps; t++) {
            w[t] = widen_d(f->w + t * p->cp + first);
            mean = fma_d(splat_d(m->mean[t]), w[t], mean);
        }
        const vecd m2 = quadratic_form(mw + first, m, p, w);
        for (int j = 0; j < DOUBLES; j++) {
            const double at = mean[j] + base_of(m->centre, first + j, p, f);
            cells->mean[first + j] = (float)at;
            cells->rest[first + j] = (float)(at - (double)(float)at);
            cells->m2[first + j] = (float)(m2[j] < 0 ? 0 : m2[j]); /* NaN stays */
        }
    }
}

static void patch_offset(float *scale, float *offset, const nl_norm_map *map, const double *centre,
                         const nl_patches *p, const nl_patch_filter *f) {
    for (int c = 0; c < p->cp; c++) {
        const double base = base_of(centre, c, p, f);
        scale[c] = map ? map->scale[c] : 1;
        offset[c] = (float)base;
        if (!map) continue;
        const double mean = (double)map->m[c] + (double)map->c[c];
        offset[c] = (float)fma(base - mean, (double)map->scale[c], (double)map->beta[c]);
    }
}

/* ---- Backward ---- */

/* A cell's mean less the mean in the norm's map. */
NL_INLINE vecd apart(const nl_cells *cells, const nl_norm_map *map, int first) {
    const vecd mean = widen_d(map->m + first) + widen_d(map->c + first);
    return widen_d(cells->mean + first) + widen_d(cells->rest + first) - mean;
}

static void patch_cells_backward(nl_cells *cells, const float *g, const double *s1,
                                 const nl_norm_map *map, const nl_patch_moments *m,
                                 const nl_patches *p, const nl_patch_filter *f) {
    for (int first = 0; first < p->cp; first += DOUBLES) {
        const vecd s = load_d(s1 + first);
        vecd sum = {0};
        for (int t = 0, at = first; t < p->taps; t++, at += p->cp)
            sum = fma_d(widen_d(f->w + at), widen_d(g + at) - splat_d(m->mean[t]) * s, sum);
        narrow_d(cells->dy + first, s);
        narrow_d(cells->dy_xc + first, fma_d(apart(cells, map, first), s, sum));
    }
}

static void patch_gradient(float *dw, float *dbias, const float *g, const double *s1,
                           const nl_cells *cells, const nl_norm_map *map, const float *mw,
                           const nl_patch_moments *m, const nl_patches *p) {
    for (int first = 0; first < p->cp; first += DOUBLES) {
        const vecd s = load_d(s1 + first), scale = widen_d(map->scale + first);
        const vecd by_x = widen_d(map->by_x + first), shift = widen_d(map->shift + first);
        const vecd terms = fma_d(by_x, apart(cells, map, first), shift);
        const vecd sum_dz = fma_d(splat_d(m->count), terms, scale * s);
        narrow_d(dbias + first, widen_d(dbias + first) + sum_dz);
        for (int t = 0, at = first; t < p->taps; t++, at += p->cp) {
            const vecd centred = widen_d(g + at) - splat_d(m->mean[t]) * s;
            const vecd patch = sum_dz * splat_d(m->mean[t] + m->centre[t % p->c]);
            const vecd d = fma_d(scale, centred, fma_d(by_x, widen_d(mw + at), patch));
            narrow_d(dw + at, widen_d(dw + at) + d);
        }
    }
}

const nl_patch_ops NL_SIMD(patches) = {.cells = patch_cells,
                                       .offset = patch_offset,
                                       .cells_backward = patch_cells_backward,
                                       .gradient = patch_gradient};
