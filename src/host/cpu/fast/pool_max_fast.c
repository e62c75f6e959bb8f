/* Max pool and dropout of one image in the layout of fast.h. Which input won is kept, so that the
 * way back needs no comparison. */
#include <string.h> // memset

#include "fast.h"
#include "normlab/rng.h" // nl_dropout_words
#include "tile.h"        // nl_load

NL_INLINE v8i load_int(const int32_t *p) {
    v8i v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/* v * factor, but 0 where factor is 0, even for a NaN. */
NL_INLINE v8 kept(v8 v, const float *factor) {
    const v8 f = nl_load(factor);
    return nl_zero_where(f == 0, v * f);
}

void nl_pool_max_fast_forward(float *y, int32_t *arg, const float *x, const float *factor, int h,
                              int w, int cp, int k) {
    const int oh = h / k, ow = w / k;
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++)
            for (int c = 0; c < cp; c += 8) {
                const float *corner = x + (int64_t)(oy * k * w + ox * k) * cp + c;
                const int64_t at = (int64_t)(oy * ow + ox) * cp + c;
                v8 best = nl_load(corner);
                v8i which = {0};
                for (int i = 1; i < k * k; i++) {
                    const v8 other = nl_load(corner + (int64_t)(i / k * w + i % k) * cp);
                    const v8i wins = ~(other <= best) & (best == best); /* the first NaN stays */
                    best = (v8)(((v8i)other & wins) | ((v8i)best & ~wins));
                    which = (which & ~wins) | (wins & i);
                }
                nl_store(y + at, factor ? kept(best, factor + at) : best);
                __builtin_memcpy(arg + at, &which, sizeof which);
            }
}

void nl_pool_max_fast_backward(float *dx, const float *dy, const int32_t *arg, const float *factor,
                               int h, int w, int cp, int k) {
    const int oh = h / k, ow = w / k;
    if (h % k || w % k) memset(dx, 0, sizeof *dx * (size_t)(h * w * cp)); /* an edge is left over */
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++)
            for (int c = 0; c < cp; c += 8) {
                const int64_t at = (int64_t)(oy * ow + ox) * cp + c;
                const v8 d = factor ? kept(nl_load(dy + at), factor + at) : nl_load(dy + at);
                const v8i which = load_int(arg + at);
                float *corner = dx + (int64_t)(oy * k * w + ox * k) * cp + c;
                for (int i = 0; i < k * k; i++)
                    nl_store(corner + (int64_t)(i / k * w + i % k) * cp,
                             nl_zero_where(which != i, d));
            }
}

void nl_dropout_fast_factors(float *factor, nl_dropout_spec d, uint32_t image, int c, int hw,
                             int cp) {
    const uint32_t threshold = nl_dropout_threshold(d.p);
    const float scale = nl_dropout_scale(d.p);
    if (cp != c) memset(factor, 0, sizeof *factor * (size_t)(hw * cp));
    int channel = 0, pixel = 0;
    for (int e = 0; e < c * hw;) {
        const nl_philox words = nl_dropout_words(d.seed, d.epoch, image, d.layer, (uint32_t)e / 4);
        for (int i = 0; i < 4 && e < c * hw; i++, e++) {
            factor[pixel * cp + channel] = words.v[i] >= threshold ? scale : 0;
            if (++pixel == hw) {
                pixel = 0;
                channel++;
            }
        }
    }
}
