/* The operations of the CPU engine in vectors, one image at a time: compiled once for each
 * instruction set, each time into a table of functions. All tables give the same bits: the order
 * of every sum is that of the source, and does not depend on how many floats a vector holds.
 *
 * Layout: an image's activations are [pixel][channel] with the channels padded to a multiple of 8
 * (`cp`), the padding zero: a vector holds channels of one pixel, every norm's statistics are sums
 * over pixels lane by lane, and all three directions of a convolution become the same register tile
 * (tile.h). The network's input, with one channel, is not padded. Tensors begin at a cache line,
 * which is what nl_alloc gives: elsewhere everything takes a quarter longer.
 *
 * A file of this folder defines static functions and one table of them, named by NL_SIMD: what is
 * compiled for AVX-512 must not be found by the linker when the rest of the program calls. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t

#include "normlab/error.h" // nl_error
#include "normlab/ops.h"   // nl_conv_shape, nl_dropout_spec

static inline int nl_pad8(int channels) {
    return (channels + 7) / 8 * 8;
}

/* ---- Convolution (conv_simd.c) ---- */

typedef struct nl_conv_fast {
    int ci, cpi, h, w; /* input; cpi = ci = 1 for the network's input */
    int co, cpo, oh, ow;
    int k, pad;
    int *tap;      /* (k*k*ci) offset of each tap in the padded input */
    int *tap_back; /* (k*k*co) the same in the padded output gradient */
    float *filter; /* packed for the forward direction */
    float
        *filter_back; /* packed for the data gradient: flipped, channels exchanged; NULL if first */
    float *bias;      /* (cpo) */
} nl_conv_fast;

/* What becomes of a sum before it is stored: relu(sum * scale + offset). */
typedef struct nl_finish {
    const float *scale, *offset; /* (cpo) */
    bool relu;
} nl_finish;

typedef struct nl_conv_ops {
    /* `first`: the layer reads the network's input, and needs no data gradient. A convolution
     * belongs to the table whose init made it. */
    void (*init)(nl_conv_fast *conv, nl_conv_shape shape, bool first);
    void (*free)(nl_conv_fast *conv);

    /* Floats of scratch that the functions below need. */
    int64_t (*scratch)(const nl_conv_fast *conv);

    /* Takes over filter (co,ci,k,k) and bias (co): once a step. */
    void (*pack)(nl_conv_fast *conv, const float *filter, const float *bias);

    /* z = conv(x) + bias. */
    void (*forward)(float *z /* (oh*ow,cpo) */, const float *x /* (h*w,cpi) */,
                    const nl_conv_fast *conv, float *scratch);
    void (*backward_data)(float *dx /* (h*w,cpi) */, const float *dz /* (oh*ow,cpo) */,
                          const nl_conv_fast *conv, float *scratch);

    /* Adds to dw, which is laid out (k*k*ci, cpo). */
    void (*backward_filter)(float *dw, const float *dz, const float *x, const nl_conv_fast *conv,
                            float *scratch);

    /* The same for a piece of an image, which the caller keeps in the cache: `in` is where the
     * first output pixel's first tap lies in the padded input. A run of neighbours, begun with init
     * (cpo), or 0 where that is NULL, and finished where that is not NULL; a run's data gradient,
     * of a convolution of 1 x 1 without padding; whole lines (or a part of one), to be short,
     * because they are summed in one go. */
    void (*forward_run)(float *z /* (pixels,cpo) */, const float *in, const nl_conv_fast *conv,
                        const float *init, const nl_finish *finish, int pixels);
    void (*backward_data_run)(float *dx /* (pixels,cpi) */, const float *dz /* (pixels,cpo) */,
                              const nl_conv_fast *conv, int pixels);
    void (*backward_filter_run)(float *dw, const float *dz /* (lines*width,cpo) */, const float *in,
                                const nl_conv_fast *conv, int lines, int width);

    /* Sums the partial gradients dw[0 .. parts - 1], `stride` floats apart, in that order into
     * (co,ci,k,k). */
    void (*sum_filter)(float *gradient, const float *dw, int64_t stride, int parts,
                       const nl_conv_fast *conv);
} nl_conv_ops;

/* ---- Norms and ReLU (norm_simd.c) ---- */

/* A cell is one channel of one image. Every norm pools cells: batch norm a channel's over all
 * images, group norm those of a group of channels of one image. So the passes over pixels are the
 * same for all of them, and a norm is what its combination of cells says. Sums over cells are taken
 * in double. */
typedef struct nl_cells {
    float *mean, *rest; /* (cp) a cell's mean is mean + rest, to more digits than a float has */
    float *m2;          /* (cp) sum of (x - mean)^2 */
    float *dy;          /* (cp) sum of dy */
    float *dy_xc;       /* (cp) sum of dy * (x - m - c), with m, c of the norm */
} nl_cells;

/* What a norm does to a channel of an image: y = ((x - m) - c) * scale + beta, where m + c is the
 * mean to more digits than a float has, and scale = rstd * gamma. Backward: dx = scale * dy + by_x
 * * ((x - m) - c) + shift. */
typedef struct nl_norm_map {
    float *m, *c, *scale, *beta, *by_x, *shift; /* (cp) */
    float *rstd;                                /* (cp) */
} nl_norm_map;

typedef struct nl_norm_passes {
    void (*cells)(nl_cells *cells, const float *x /* (hw,cp) */, int hw, int cp);

    /* y = relu(map(x)); in place allowed. */
    void (*apply)(float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu);

    /* The sums dy and dy_xc of the cells, where dy is relu's gradient of g: the mask is computed
     * again from x. */
    void (*cells_backward)(nl_cells *cells, const float *g, const float *x, const nl_norm_map *map,
                           int hw, int cp, bool relu);

    /* dz from g and x, in place allowed; adds each channel's sum of dz to dbias (cp). */
    void (*apply_backward)(float *dz, float *dbias, const float *g, const float *x,
                           const nl_norm_map *map, int hw, int cp, bool relu);

    /* Without a norm: relu's gradient and dbias alone. */
    void (*bias_backward)(float *g, float *dbias, const float *y, int hw, int cp, bool relu);
} nl_norm_passes;

/* ---- Pool and dropout (pool_simd.c) ---- */

typedef struct nl_pool_ops {
    /* arg: which of the k * k inputs is the first largest (a NaN counts as largest). factor, as
     * below, or NULL. */
    void (*forward)(float *y, int32_t *arg, const float *x, const float *factor, int h, int w,
                    int cp, int k);
    void (*backward)(float *dx, const float *dy, const int32_t *arg, const float *factor, int h,
                     int w, int cp, int k);

    /* factor (hw,cp): 0 where dropped, else the scale; of one image. What is dropped is 0, even if
     * it was NaN. */
    void (*dropout)(float *factor, nl_dropout_spec d, uint32_t image, int c, int hw, int cp);
} nl_pool_ops;

/* ---- All of them (table_simd.c) ---- */

typedef struct nl_simd {
    const char *name; /* as NORMLAB_ISA has it */
    int lanes;        /* floats of its widest vectors */
    const nl_conv_ops *conv;
    const nl_norm_passes *norm;
    const nl_pool_ops *pool;
    const struct nl_moment_ops *moments; /* first.h, and the two below */
    const struct nl_patch_ops *patches;
    const struct nl_first_ops *first;
} nl_simd;

/* On another processor than x86-64 there is one table, the last. */
extern const nl_simd nl_simd_avx2, nl_simd_avx512, nl_simd_portable;

/* The name of a table: NL_SIMD(x) is nl_x_avx2 or nl_x_avx512. */
#define NL_SIMD_JOIN(name, isa) nl_##name##_##isa
#define NL_SIMD_NAME(name, isa) NL_SIMD_JOIN(name, isa)
#define NL_SIMD(name) NL_SIMD_NAME(name, NL_ISA)
