/* The first two layers as one loop over lines of positions: convolution, norm, ReLU and a 1 x 1
 * convolution, whose tensors never leave the first-level cache; but for y, the first layer's
 * output, which is kept for the way back where it stays in the second-level cache until then, and
 * else made again.
 *
 * Statistics and gradients of the first layer come from the moments of its input patches. A patch p
 * holds the `taps` input values that one output position sees, zeros outside the image included:
 * z_c = w_c . p + b_c. So the mean and variance of every channel follow from the mean pbar of the
 * patches and M = sum (p - pbar) (p - pbar)^T, before the convolution has run, and with
 *     G_c = sum g p    S1_c = sum g
 * (g the gradient of the norm's output where ReLU has passed it) so do all gradients of the layer:
 * z and its gradient are never needed.
 *
 * A set is what shares these moments: one image, or, where a norm pools all images, the batch. Taps
 * are centred before anything is summed: the image's mean is taken off each, off the zeros of the
 * border too. */
#pragma once

#include "simd.h" // nl_cells, nl_norm_map, nl_conv_fast

enum {
    NL_PATCH_TAPS = 64,    /* k * k * c at most: M is taps x taps for each image */
    NL_PATCH_CHANNELS = 4, /* c at most */
    NL_PATCH_ROWS = 13     /* of M at once: 25 taps in two goes, sums that fit 16 registers */
};

/* The patches of an image (h*w,c): taps in the order of conv_simd.c, (ky,kx,c). */
typedef struct nl_patches {
    int c, h, w, k, pad, taps;
    int rows, columns; /* of the padded image */
    int oh, ow;        /* positions */
    int cp;            /* output channels, padded */
} nl_patches;

/* ---- Moments (moments_simd.c) ---- */

typedef struct nl_patch_moments {
    double count;                     /* positions */
    double centre[NL_PATCH_CHANNELS]; /* what was taken off, a float's value */
    double mean[NL_PATCH_TAPS];       /* of the centred taps */
    double m[NL_PATCH_TAPS * NL_PATCH_TAPS + NL_PATCH_ROWS]; /* (taps,taps); the last go reads on */
} nl_patch_moments;

typedef struct nl_moment_ops {
    /* Doubles of scratch that `take` needs. */
    int64_t (*scratch)(const nl_patches *p);

    void (*take)(nl_patch_moments *m, const float *x /* (h*w,c) */, const nl_patches *p,
                 double *scratch);

    /* The moments of all patches of n images. */
    void (*pool)(nl_patch_moments *all, const nl_patch_moments *images, int n, const nl_patches *p);
} nl_moment_ops;

/* ---- From moments to cells and gradients (patch_simd.c) ---- */

/* The first convolution's filter and bias, as the moments need them. */
typedef struct nl_patch_filter {
    float *w;    /* (taps,cp) */
    float *bias; /* (cp) */
    double *sum; /* (c,cp) over the taps of an input channel */
} nl_patch_filter;

typedef struct nl_patch_ops {
    /* mean, rest and m2 of the cells of a set, as nl_norm_passes.cells would find them in z; and M
     * w. */
    void (*cells)(nl_cells *cells, float *mw /* (taps,cp) */, const nl_patch_moments *m,
                  const nl_patches *p, const nl_patch_filter *filter);

    /* What the norm's map is to the centred convolution v = w . (p - centre): y = v * scale +
     * offset. map NULL: no norm. */
    void (*offset)(float *scale /* (cp) */, float *offset /* (cp) */, const nl_norm_map *map,
                   const double *centre, const nl_patches *p, const nl_patch_filter *filter);

    /* dy and dy_xc of the cells of a set from g (taps,cp), the sums of g times the centred taps,
     * and s1 (cp). */
    void (*cells_backward)(nl_cells *cells, const float *g, const double *s1,
                           const nl_norm_map *map, const nl_patch_moments *m, const nl_patches *p,
                           const nl_patch_filter *filter);

    /* Adds the filter's and the bias' gradient, with the map's backward half. */
    void (*gradient)(float *dw /* (taps,cp) */, float *dbias /* (cp) */, const float *g,
                     const double *s1, const nl_cells *cells, const nl_norm_map *map,
                     const float *mw, const nl_patch_moments *m, const nl_patches *p);
} nl_patch_ops;

/* ---- The loops (first_simd.c) ---- */

typedef struct nl_first_fast {
    nl_patches patches;
    nl_patch_filter filter;
} nl_first_fast;

/* How the first layer's output comes of its convolution: relu((w . (p - centre)) scale + offset).
 */
typedef struct nl_first_map {
    const double *centre;   /* (c) */
    const nl_norm_map *map; /* NULL: no norm */
    bool relu;
} nl_first_map;

typedef struct nl_first_ops {
    void (*init)(nl_first_fast *first, nl_conv_shape shape);
    void (*free)(nl_first_fast *first);

    /* Takes over filter (co,ci,k,k) and bias (co): once a step. */
    void (*pack)(nl_first_fast *first, const float *filter, const float *bias, int channels);

    /* Floats of scratch that the functions below need. */
    int64_t (*scratch)(const nl_first_fast *first);

    /* z2 = conv2(relu(norm(conv1(x)))) of one image. y: NULL where nobody needs it. */
    void (*forward)(float *z2 /* (oh*ow,cpo) */, float *y /* (oh*ow,cp) */,
                    const float *x /* (h*w,c) */, const nl_first_fast *first,
                    const nl_conv_fast *conv1, const nl_conv_fast *conv2, nl_first_map how,
                    float *scratch);

    /* Adds the gradient of conv2's filter to dw2; and, g being the gradient of the norm's output,
     * sum g to s1, and the sum of g times the centred taps to sums. y NULL: it is made again. */
    void (*backward)(float *dw2 /* (cp,cpo) */, float *sums /* (taps,cp) */, double *s1 /* (cp) */,
                     const float *dz2, const float *y, const float *x, const nl_first_fast *first,
                     const nl_conv_fast *conv1, const nl_conv_fast *conv2, nl_first_map how,
                     float *scratch);
} nl_first_ops;
