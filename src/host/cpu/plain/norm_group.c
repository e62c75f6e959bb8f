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
 * Without centring (Zhang, Sennrich, Root Mean Square Layer Normalization, 2019, equation 4, over
 * c, h and w) xhat = x rstd, rstd = 1 / sqrt(mean(x^2) + eps). x reaches y directly and through
 * mean(x^2), d rstd / d x = -rstd^3 x / M, and through no mean:
 *     dx     = rstd * (g - xhat * mean(g * xhat))
 * A constant added to x changes y, so the bias in front has a gradient, and a group may be one
 * value.
 *
 * How mean and variance are summed: sums.h. */
#include <string.h> // memset
#include <tgmath.h> // sqrt

#include "normlab/error.h" // NL_ASSERT
#include "sums.h"

static inline void forward(real *y, real *mean, real *rstd, const real *x, const real *gamma,
                           const real *beta, nl_norm_shape s, double eps, bool centres) {
    NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
    const int channels = s.c / s.groups;
    const int64_t size = (int64_t)channels * s.hw;
    for (int64_t g = 0; g < (int64_t)s.n * s.groups; g++) {
        const rows r = {1, 0, size};
        const moments v =
            centres ? moments_of(x + g * size, r) : moments_about_zero(x + g * size, r);
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

static inline void backward(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                            const real *mean, const real *rstd, const real *gamma, nl_norm_shape s,
                            bool centres) {
    NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
    const int channels = s.c / s.groups;
    const int64_t size = (int64_t)channels * s.hw;
    memset(dgamma, 0, (size_t)s.c * sizeof *dgamma);
    memset(dbeta, 0, (size_t)s.c * sizeof *dbeta);
    for (int64_t g = 0; g < (int64_t)s.n * s.groups; g++) {
        const int64_t first = g % s.groups * channels;
        const real m = mean[g], c = centres ? lost_mean(x + g * size, (rows){1, 0, size}, m) : 0;
        sums sum = {0, 0}; /* of g, of g * (x - mean) */
        for (int64_t ch = 0; ch < channels; ch++) {
            const int64_t row = g * size + ch * s.hw;
            const sums part = sum_products(dy + row, x + row, s.hw, m, c);
            dbeta[first + ch] += part.a;
            dgamma[first + ch] += part.b * rstd[g];
            sum.a += part.a * gamma[first + ch];
            sum.b += part.b * gamma[first + ch];
        }
        const real mean_g = centres ? sum.a / (real)size : 0;
        const real slope = sum.b * rstd[g] / (real)size * rstd[g];
        for (int64_t ch = 0; ch < channels; ch++) {
            const int64_t row = g * size + ch * s.hw;
            const real scale = gamma[first + ch];
            for (int64_t j = row; j < row + s.hw; j++)
                dx[j] = rstd[g] * (dy[j] * scale - mean_g - (x[j] - m - c) * slope);
        }
    }
}

void OP(norm_group_forward)(real *y, real *mean, real *rstd, const real *x, const real *gamma,
                            const real *beta, nl_norm_shape s, double eps) {
    forward(y, mean, rstd, x, gamma, beta, s, eps, true);
}

void OP(norm_group_backward)(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                             const real *mean, const real *rstd, const real *gamma,
                             nl_norm_shape s) {
    backward(dx, dgamma, dbeta, dy, x, mean, rstd, gamma, s, true);
}

void OP(norm_rms_forward)(real *y, real *mean, real *rstd, const real *x, const real *gamma,
                          const real *beta, nl_norm_shape s, double eps) {
    forward(y, mean, rstd, x, gamma, beta, s, eps, false);
}

void OP(norm_rms_backward)(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                           const real *mean, const real *rstd, const real *gamma, nl_norm_shape s) {
    backward(dx, dgamma, dbeta, dy, x, mean, rstd, gamma, s, false);
}
