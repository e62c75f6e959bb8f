/* The fused float operations of the CPU engine. They work on one image at a time, so that what lies
 * in the cache is finished before it leaves, and the result of an image never depends on its
 * neighbours in the batch.
 *
 * Layout: an image's activations are [pixel][channel] with the channels padded to a multiple of 8
 * (`cp`), the padding zero: a vector holds 8 channels of one pixel, every norm's statistics are
 * sums over pixels lane by lane, and all three directions of a convolution become the same register
 * tile (tile.h). The network's input, with few channels, is not padded.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint8_t

#include "normlab/ops.h" // nl_conv_shape, nl_dropout_spec

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));

static inline int nl_pad8(int channels) {
    return (channels + 7) / 8 * 8;
}

/* ---- Convolution (conv_fast.c) ---- */

typedef struct nl_conv_fast {
    int ci, cpi, h, w; /* input; cpi = ci for the network's input */
    int co, cpo, oh, ow;
    int k, pad;
    int *tap;      /* (k*k*ci) offset of each tap in the padded input */
    int *tap_back; /* (k*k*co) the same in the padded output gradient */
    float *filter; /* packed for the forward direction */
    float
        *filter_back; /* packed for the data gradient: flipped, channels exchanged; NULL if first */
    float *bias;      /* (cpo) */
} nl_conv_fast;

/* `first`: the layer reads the network's input, and needs no data gradient. */
void nl_conv_fast_init(nl_conv_fast *conv, nl_conv_shape shape, bool first);
void nl_conv_fast_free(nl_conv_fast *conv);

/* Floats of scratch that the functions below need. */
int64_t nl_conv_fast_scratch(const nl_conv_fast *conv);

/* Takes over filter (co,ci,k,k) and bias (co): once a step. */
void nl_conv_fast_pack(nl_conv_fast *conv, const float *filter, const float *bias);

/* z = conv(x) + bias. */
void nl_conv_fast_forward(float *z /* (oh*ow,cpo) */, const float *x /* (h*w,cpi) */,
                          const nl_conv_fast *conv, float *scratch);
void nl_conv_fast_backward_data(float *dx /* (h*w,cpi) */, const float *dz /* (oh*ow,cpo) */,
                                const nl_conv_fast *conv, float *scratch);

/* Adds to dw, which is laid out (k*k*ci, cpo). */
void nl_conv_fast_backward_filter(float *dw, const float *dz, const float *x,
                                  const nl_conv_fast *conv, float *scratch);

/* Sums the partial gradients dw[0 .. parts - 1], `stride` floats apart, in that order into
 * (co,ci,k,k). */
void nl_conv_fast_sum_filter(float *gradient, const float *dw, int64_t stride, int parts,
                             const nl_conv_fast *conv);

/* ---- Norms (norm_cells_fast.c, norm_batch_fast.c, norm_group_fast.c) ---- */

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

void nl_cells_forward(nl_cells *cells, const float *x /* (hw,cp) */, int hw, int cp);

/* y = relu(map(x)); in place allowed. */
void nl_norm_apply(float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu);

/* The sums dy and dy_xc of the cells, where dy is relu's gradient of g: the mask is computed again
 * from x. */
void nl_cells_backward(nl_cells *cells, const float *g, const float *x, const nl_norm_map *map,
                       int hw, int cp, bool relu);

/* dz from g and x, in place allowed; adds each channel's sum of dz to dbias (cp). */
void nl_norm_apply_backward(float *dz, float *dbias, const float *g, const float *x,
                            const nl_norm_map *map, int hw, int cp, bool relu);

/* Without a norm: relu's gradient and dbias alone. */
void nl_relu_bias_backward(float *g, float *dbias, const float *y, int hw, int cp, bool relu);

/* Group norm of one image. channels beyond c stay zero in the map. */
void nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                const float *beta, int c, int groups, int hw, double eps);
void nl_norm_group_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                                 int groups, int hw);

/* The same about zero: no mean is taken off, rstd is 1 / sqrt(mean(x^2) + eps). */
void nl_norm_rms_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                              const float *beta, int c, int groups, int hw, double eps);
void nl_norm_rms_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                               int groups, int hw);

/* Batch norm: cells of n images; one map for all. Running values (c) are updated. */
void nl_norm_batch_fast_forward(nl_norm_map *map, float *running_mean, float *running_var,
                                const nl_cells *cells /* (n) */, const float *gamma,
                                const float *beta, int n, int c, int hw, double eps,
                                double momentum);
void nl_norm_batch_fast_eval(nl_norm_map *map, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var, int c,
                             double eps);
void nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells /* (n) */,
                                 const float *gamma, int n, int c, int hw);

/* dgamma and dbeta (c) from the cells and maps of n images; a batch norm's images share one map,
 * whose `stride` is 0. */
void nl_norm_fast_affine(float *dgamma, float *dbeta, const nl_cells *cells,
                         const nl_norm_map *maps, int n, int map_stride, int c);

/* ---- Pool and dropout (pool_max_fast.c) ---- */

/* arg: which of the k * k inputs is the first largest (a NaN counts as largest). factor, as below,
 * or NULL. */
void nl_pool_max_fast_forward(float *y, int32_t *arg, const float *x, const float *factor, int h,
                              int w, int cp, int k);
void nl_pool_max_fast_backward(float *dx, const float *dy, const int32_t *arg, const float *factor,
                               int h, int w, int cp, int k);

/* factor (hw,cp): 0 where dropped, else the scale; of one image. What is dropped is 0, even if it
 * was NaN. */
void nl_dropout_fast_factors(float *factor, nl_dropout_spec d, uint32_t image, int c, int hw,
                             int cp);
