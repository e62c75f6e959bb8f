/* Max pooling over k x k windows that touch but do not overlap (Dumoulin, Visin, A guide to
 * convolution arithmetic for deep learning, 2016, chapter 3):
 *
 *     y[i][j] = max over u, v < k of x[k i + u][k j + v]
 *
 * Gradient: y follows the one input that won, so dx is dy there and 0 elsewhere. Of equal values
 * the first in reading order wins (a subgradient); a NaN beats every number, so that a diverged run
 * cannot hide it. */
#include <string.h> // memset

#include "real.h"

static int first_largest(const real *x, int at, int w, int k) {
    int best = at;
    for (int u = 0; u < k; u++) {
        for (int v = 0; v < k; v++) {
            const real a = x[at + u * w + v], b = x[best];
            if (a > b || (a != a && b == b)) best = at + u * w + v;
        }
    }
    return best;
}

void OP(pool_max_forward)(real *y, int32_t *arg, const real *x, nl_pool_shape s) {
    const int oh = s.h / s.k, ow = s.w / s.k;
    for (int64_t nc = 0; nc < (int64_t)s.n * s.c; nc++) {
        const real *plane = x + nc * s.h * s.w;
        for (int i = 0; i < oh; i++) {
            for (int j = 0; j < ow; j++) {
                const int best = first_largest(plane, i * s.k * s.w + j * s.k, s.w, s.k);
                *y++ = plane[best];
                *arg++ = best;
            }
        }
    }
}

void OP(pool_max_backward)(real *dx, const real *dy, const int32_t *arg, nl_pool_shape s) {
    const int64_t in = (int64_t)s.h * s.w, out = (int64_t)(s.h / s.k) * (s.w / s.k);
    for (int64_t nc = 0; nc < (int64_t)s.n * s.c; nc++) {
        real *plane = dx + nc * in;
        memset(plane, 0, (size_t)in * sizeof *plane);
        for (int64_t i = nc * out; i < (nc + 1) * out; i++) plane[arg[i]] = dy[i];
    }
}
