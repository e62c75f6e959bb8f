/* Batch norm: Ioffe, Szegedy, Batch Normalization, 2015, algorithm 1 (training) and 2 (inference).
 *
 * Per channel, over the M = n * hw values of the batch:
 *     xhat = (x - mean) * rstd,   rstd = 1 / sqrt(var + eps),   y = gamma * xhat + beta,
 * var the biased variance; the running variance takes the unbiased one, var * M / (M - 1).
 *
 * Gradient (the chain rule of section 3 there, contracted). The path through the mean takes the
 * mean off dy, the path through the variance takes off dy's part along xhat: dbeta  = sum(dy)
 *     dgamma = sum(dy * xhat)
 *     dx     = gamma * rstd * (dy - dbeta / M - xhat * dgamma / M)
 * The last term is exact with eps in it: d rstd / d var = -rstd^3 / 2 and d var / d x = 2 (x -
 * mean) / M give -rstd^2 (x - mean) sum(dy (x - mean) rstd) / M, which is xhat * dgamma / M times
 * rstd.
 *
 * How mean and variance are summed: sums.h. */
#include <tgmath.h> // sqrt

#include "normlab/error.h" // NL_ASSERT
#include "sums.h"

static rows channel(nl_norm_shape s) {
    return (rows){s.n, (int64_t)s.c * s.hw, s.hw};
}

static void apply(real *y, const real *x, rows r, moments v, real scale, real beta) {
    for (int64_t i = 0; i < r.rows; i++) {
        real *to = y + i * r.stride;
        const real *from = x + i * r.stride;
        for (int64_t j = 0; j < r.width; j++) to[j] = (from[j] - v.m - v.c) * scale + beta;
    }
}

void OP(norm_batch_forward)(real *y, real *mean, real *rstd, real *running_mean, real *running_var,
                            const real *x, const real *gamma, const real *beta, nl_norm_shape s,
                            double eps, double momentum) {
    const rows r = channel(s);
    const int64_t count = r.rows * r.width;
    NL_ASSERT(count > 1);
    const real keep = (real)(1 - momentum), take = (real)momentum;
    for (int c = 0; c < s.c; c++) {
        const int64_t at = (int64_t)c * s.hw;
        const moments v = moments_of(x + at, r);
        mean[c] = v.m + v.c;
        rstd[c] = 1 / sqrt(v.var + (real)eps);
        apply(y + at, x + at, r, v, rstd[c] * gamma[c], beta[c]);
        const real unbiased = v.var * ((real)count / (real)(count - 1));
        running_mean[c] = keep * running_mean[c] + take * mean[c];
        running_var[c] = keep * running_var[c] + take * unbiased;
    }
}

void OP(norm_batch_eval)(real *y, const real *x, const real *gamma, const real *beta,
                         const real *running_mean, const real *running_var, nl_norm_shape s,
                         double eps) {
    const rows r = channel(s);
    for (int c = 0; c < s.c; c++) {
        const int64_t at = (int64_t)c * s.hw;
        const moments v = {running_mean[c], 0, running_var[c]};
        apply(y + at, x + at, r, v, gamma[c] / sqrt(v.var + (real)eps), beta[c]);
    }
}

void OP(norm_batch_backward)(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                             const real *mean, const real *rstd, const real *gamma,
                             nl_norm_shape s) {
    const rows r = channel(s);
    const real count = (real)(r.rows * r.width);
    for (int ch = 0; ch < s.c; ch++) {
        const int64_t at = (int64_t)ch * s.hw;
        const real m = mean[ch], c = lost_mean(x + at, r, m);
        sums sum = {0, 0};
        for (int64_t i = 0; i < r.rows; i++) {
            const int64_t row = at + i * r.stride;
            const sums part = sum_products(dy + row, x + row, r.width, m, c);
            sum.a += part.a;
            sum.b += part.b;
        }
        dbeta[ch] = sum.a;
        dgamma[ch] = sum.b * rstd[ch];
        const real scale = gamma[ch] * rstd[ch], mean_dy = sum.a / count;
        const real slope = dgamma[ch] / count * rstd[ch]; /* of d - c, to give xhat * dgamma / M */
        for (int64_t i = 0; i < r.rows; i++) {
            const int64_t row = at + i * r.stride;
            for (int64_t j = row; j < row + r.width; j++)
                dx[j] = scale * (dy[j] - mean_dy - (x[j] - m - c) * slope);
        }
    }
}
