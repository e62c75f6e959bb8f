/* Group norm: Wu, He, Group Normalization, 2018, equations 1, 2 and 7. One group is layer norm over
 * (c, h, w) of an image (gamma and beta stay per channel); c groups are instance norm.
 *
 * Per image and group, over its M = (c / groups) * hw values, which lie in one piece:
 *     xhat = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps),   y = gamma_c * xhat + beta_c,
 * var the biased variance. The same in training and evaluation.
 *
 * Gradient: as in norm_batch.c, but gamma varies within a group, so it is g = dy * gamma_c that
 * reaches xhat:
 *     dx     = rstd * (g - mean(g) - xhat * mean(g * xhat)),   means over the group
 *     dbeta  = sum(dy),   dgamma = sum(dy * xhat),   sums over n and hw of a channel
 * Both come from the sums of dy and dy * xhat over one channel of one image.
 *
 * How mean and variance are summed: sums.h. */
#include <string.h> // memset
#include <tgmath.h> // sqrt

#include "normlab/error.h" // NL_ASSERT
#include "sums.h"

void OP(norm_group_forward)(real *y, real *mean, real *rstd, const real *x, const real *gamma,
                            const real *beta, nl_norm_shape s, double eps) {
    NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
    const int channels = s.c / s.groups;
    const int64_t size = (int64_t)channels * s.hw;
    for (int64_t g = 0; g < (int64_t)s.n * s.groups; g++) {
        const moments v = moments_of(x + g * size, (rows){1, 0, size});
        mean[g] = v.m + v.c;
        rstd[g] = 1 / sqrt(v.var + (real)eps);
        const int64_t first = g % s.groups * channels;
        for (int64_t c = 0; c < channels; c++) {
            const real scale = rstd[g] * gamma[first + c], shift = beta[first + c];
            const int64_t row = g * size + c * s.hw;
            for (int64_t j = row; j < row + s.hw; j++) y[j] = (x[j] - v.m - v.c) * scale + shift;
        }
    }
}

void OP(norm_group_backward)(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                             const real *mean, const real *rstd, const real *gamma,
                             nl_norm_shape s) {
    NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
    const int channels = s.c / s.groups;
    const int64_t size = (int64_t)channels * s.hw;
    memset(dgamma, 0, (size_t)s.c * sizeof *dgamma);
    memset(dbeta, 0, (size_t)s.c * sizeof *dbeta);
    for (int64_t g = 0; g < (int64_t)s.n * s.groups; g++) {
        const int64_t first = g % s.groups * channels;
        const real m = mean[g], c = lost_mean(x + g * size, (rows){1, 0, size}, m);
        sums sum = {0, 0}; /* of g, of g * (x - mean) */
        for (int64_t ch = 0; ch < channels; ch++) {
            const int64_t row = g * size + ch * s.hw;
            const sums part = sum_products(dy + row, x + row, s.hw, m, c);
            dbeta[first + ch] += part.a;
            dgamma[first + ch] += part.b * rstd[g];
            sum.a += part.a * gamma[first + ch];
            sum.b += part.b * gamma[first + ch];
        }
        const real mean_g = sum.a / (real)size;
        const real slope = sum.b * rstd[g] / (real)size * rstd[g];
        for (int64_t ch = 0; ch < channels; ch++) {
            const int64_t row = g * size + ch * s.hw;
            const real scale = gamma[first + ch];
            for (int64_t j = row; j < row + s.hw; j++)
                dx[j] = rstd[g] * (dy[j] * scale - mean_g - (x[j] - m - c) * slope);
        }
    }
}
