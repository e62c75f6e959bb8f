/* Max pool and dropout of one image in the layout of fast.h. A pool of 2 looks at 4 pixels; which
 * one won is kept in a byte. */
#include <string.h> // memset

#include "fast.h"
#include "normlab/error.h" // NL_ASSERT
#include "normlab/rng.h"   // nl_dropout_words

void nl_pool_max_fast_forward(float *y, uint8_t *arg, const float *x, int h, int w, int cp, int k) {
    NL_ASSERT(k * k <= 256);
    const int oh = h / k, ow = w / k;
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++, y += cp, arg += cp) {
            const float *corner = x + (int64_t)(oy * k * w + ox * k) * cp;
            memcpy(y, corner, (size_t)cp * sizeof *y);
            memset(arg, 0, (size_t)cp);
            for (int i = 1; i < k * k; i++) {
                const float *other = corner + (int64_t)(i / k * w + i % k) * cp;
                for (int c = 0; c < cp; c++) {
                    const bool wins = !(other[c] <= y[c]) && y[c] == y[c]; /* the first NaN stays */
                    y[c] = wins ? other[c] : y[c];
                    arg[c] = wins ? (uint8_t)i : arg[c];
                }
            }
        }
}

void nl_pool_max_fast_backward(float *dx, const float *dy, const uint8_t *arg, int h, int w, int cp,
                               int k) {
    const int oh = h / k, ow = w / k;
    if (h % k || w % k) memset(dx, 0, sizeof *dx * (size_t)(h * w * cp)); /* an edge is left over */
    for (int oy = 0; oy < oh; oy++)
        for (int ox = 0; ox < ow; ox++, dy += cp, arg += cp)
            for (int i = 0; i < k * k; i++) {
                float *to = dx + (int64_t)((oy * k + i / k) * w + ox * k + i % k) * cp;
                for (int c = 0; c < cp; c++) to[c] = arg[c] == i ? dy[c] : 0;
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

void nl_dropout_fast_apply(float *y, const float *factor, int64_t count) {
    for (int64_t i = 0; i < count; i++) y[i] = factor[i] == 0 ? 0 : y[i] * factor[i];
}
