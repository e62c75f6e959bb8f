/* The passes over pixels that all norms share, for one image; see simd.h.
 *
 * Statistics of a cell x[0 .. hw - 1], lane by lane: m = x[0] + mean(x - x[0]), exact for constant
 * data; then d = x - m gives rest = mean(d) and m2 = sum d^2 - hw rest^2. m + rest is the mean to
 * about twice a float's digits, and m2 has no cancellation (Chan, Golub, LeVeque 1983, the
 * corrected two-pass algorithm).
 *
 * Gradient of y = xhat gamma + beta, xhat = (x - mean) rstd, over the M values that share a mean
 * (Ioffe, Szegedy 2015, section 3): dx = rstd (dy gamma - mean(dy gamma) - xhat mean(dy gamma
 * xhat)), which is linear in dy and x for each channel: the map's scale, by_x and shift. */
#include "simd.h"

#include "vector.h" // load_8, store_8, fma_8

extern const nl_norm_passes NL_SIMD(norm);

/* Vectors that a pass sums at once: independent sums hide the adder's latency. */
enum { BLOCK = 4 };

/* Pixels that are summed by themselves before their sum joins the others': one running float sum
 * over hundreds of values would lose digits. */
enum { RUN = 16 };

#define LANES 8
#include "norm_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "norm_lanes.h"
#endif

/* Calls PASS(lanes, first channel, vectors) over all channels, lanes and vectors constants: blocks
 * of the widest vectors, and one of 8 where that is left over. */
#define FOR_BLOCKS(cp, PASS)                                                                       \
    for (int first_ = 0, left_; first_ < (cp); first_ += NL_MOST_LANES * BLOCK) {                  \
        left_ = ((cp)-first_) / NL_MOST_LANES;                                                     \
        if (left_ >= BLOCK)                                                                        \
            PASS(NL_MOST_LANES, first_, BLOCK);                                                    \
        else if (left_ == 3)                                                                       \
            PASS(NL_MOST_LANES, first_, 3);                                                        \
        else if (left_ == 2)                                                                       \
            PASS(NL_MOST_LANES, first_, 2);                                                        \
        else if (left_ == 1)                                                                       \
            PASS(NL_MOST_LANES, first_, 1);                                                        \
        if (left_ < BLOCK && (cp) % NL_MOST_LANES != 0) PASS(8, (cp)-8, 1);                        \
    }

static void cells(nl_cells *to, const float *x, int hw, int cp) {
#define PASS(lanes, first, vecs) NL_JOINED(cells_block, lanes)(to, x, hw, cp, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

static void apply(float *y, const float *x, const nl_norm_map *map, int hw, int cp, bool relu) {
#define PASS(lanes, first, vecs) NL_JOINED(apply_block, lanes)(y, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

static void cells_backward(nl_cells *cells, const float *g, const float *x, const nl_norm_map *map,
                           int hw, int cp, bool relu) {
#define PASS(lanes, first, vecs)                                                                   \
    NL_JOINED(backward_block, lanes)(cells, g, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

static void apply_backward(float *dz, float *dbias, const float *g, const float *x,
                           const nl_norm_map *map, int hw, int cp, bool relu) {
#define PASS(lanes, first, vecs)                                                                   \
    NL_JOINED(apply_backward_block, lanes)(dz, dbias, g, x, map, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

static void bias_backward(float *g, float *dbias, const float *y, int hw, int cp, bool relu) {
#define PASS(lanes, first, vecs)                                                                   \
    NL_JOINED(relu_bias_block, lanes)(g, dbias, y, hw, cp, relu, first, vecs)
    FOR_BLOCKS(cp, PASS)
#undef PASS
}

const nl_norm_passes NL_SIMD(norm) = {.cells = cells,
                                      .apply = apply,
                                      .cells_backward = cells_backward,
                                      .apply_backward = apply_backward,
                                      .bias_backward = bias_backward};
