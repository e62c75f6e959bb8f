/* Max pool and dropout of one image in the layout of simd.h. Which input won is kept, so that the
 * way back needs no comparison. */
#include "simd.h"

#include <string.h> // memset

#include "normlab/rng.h" // NL_STREAM_DROPOUT
#include "vector.h"      // load_8, store_8

extern const nl_pool_ops NL_SIMD(pool);

/* What the dropout's mask of an image depends on. */
typedef struct mask_of {
    uint32_t seed, epoch, layer, image, threshold;
    float scale;
    int c, hw, cp;
} mask_of;

#define LANES 8
#include "pool_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "pool_lanes.h"
#endif

/* Calls PASS(lanes, channel) over all channels. */
#define FOR_CHANNELS(cp, PASS)                                                                     \
    for (int c_ = 0; c_ < (cp);) {                                                                 \
        if ((cp)-c_ >= NL_MOST_LANES) {                                                            \
            PASS(NL_MOST_LANES, c_);                                                               \
            c_ += NL_MOST_LANES;                                                                   \
        } else {                                                                                   \
            PASS(8, c_);                                                                           \
            c_ += 8;                                                                               \
        }                                                                                          \
    }

NL_INLINE void pool_image(float *y, int32_t *arg, const float *x, const float *factor, int h, int w,
                          int cp, int k) {
    const int oh = h / k, ow = w / k;
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++) {
            const float *corner = x + (ptrdiff_t)(oy * k * w + ox * k) * cp;
            const ptrdiff_t at = (ptrdiff_t)(oy * ow + ox) * cp;
#define PASS(lanes, c)                                                                             \
    NL_JOINED(pool, lanes)                                                                         \
    (y + at + (c), arg + at + (c), corner + (c), factor ? factor + at + (c) : NULL, w * cp, cp, k)
            FOR_CHANNELS(cp, PASS)
#undef PASS
        }
}

NL_INLINE void unpool_image(float *dx, const float *dy, const int32_t *arg, const float *factor,
                            int h, int w, int cp, int k) {
    const int oh = h / k, ow = w / k;
    if (h % k || w % k) memset(dx, 0, sizeof *dx * (size_t)(h * w * cp)); /* an edge is left over */
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++) {
            float *corner = dx + (ptrdiff_t)(oy * k * w + ox * k) * cp;
            const ptrdiff_t at = (ptrdiff_t)(oy * ow + ox) * cp;
#define PASS(lanes, c)                                                                             \
    NL_JOINED(unpool, lanes)                                                                       \
    (corner + (c), dy + at + (c), arg + at + (c), factor ? factor + at + (c) : NULL, w * cp, cp, k)
            FOR_CHANNELS(cp, PASS)
#undef PASS
        }
}

/* Almost every pool is one of 2 x 2: with the size as a constant its inner loop has no division. */
static void forward(float *y, int32_t *arg, const float *x, const float *factor, int h, int w,
                    int cp, int k) {
    if (k == 2)
        pool_image(y, arg, x, factor, h, w, cp, 2);
    else
        pool_image(y, arg, x, factor, h, w, cp, k);
}

static void backward(float *dx, const float *dy, const int32_t *arg, const float *factor, int h,
                     int w, int cp, int k) {
    if (k == 2)
        unpool_image(dx, dy, arg, factor, h, w, cp, 2);
    else
        unpool_image(dx, dy, arg, factor, h, w, cp, k);
}

static void dropout(float *factor, nl_dropout_spec d, uint32_t image, int c, int hw, int cp) {
    const mask_of mask = {.seed = d.seed,
                          .epoch = d.epoch,
                          .layer = d.layer,
                          .image = image,
                          .threshold = nl_dropout_threshold(d.p),
                          .scale = nl_dropout_scale(d.p),
                          .c = c,
                          .hw = hw,
                          .cp = cp};
#define PASS(lanes, first) NL_JOINED(factors, lanes)(factor, &mask, first);
    FOR_CHANNELS(cp, PASS)
#undef PASS
}

const nl_pool_ops NL_SIMD(pool) = {.forward = forward, .backward = backward, .dropout = dropout};
