/* Pooling cells into one mean and variance: what a norm is, apart from which cells it pools. In
 * double. */
#pragma once

#include <math.h> // sqrt, fma

#include "fast.h" // nl_cells

/* Count, mean and sum of squared deviations of the values pooled so far. */
typedef struct nl_moments {
    double count, mean, m2;
} nl_moments;

/* Chan's formula (Chan, Golub, LeVeque 1983, equation 2.1): adds a cell of `count` values. */
static inline void nl_moments_add(nl_moments *all, const nl_cells *cells, int channel, int count) {
    const double mean = (double)cells->mean[channel] + cells->rest[channel];
    const double total = all->count + count, delta = mean - all->mean;
    all->m2 += fma(delta * delta, all->count * count / total, cells->m2[channel]);
    all->mean = fma(delta, count / total, all->mean);
    all->count = total;
}

/* 1 / sqrt(var + eps); NaN if the variance was too large for a float: 0 would make every value
 * beta, and a diverged run would go on. */
static inline double nl_moments_rstd(const nl_moments *all, double eps) {
    const double var = all->m2 / all->count;
    return 1 / sqrt(var + eps) + 0 * (double)(float)var;
}

/* The same moments about zero: the mean of x^2 is var + mean^2, which cancels nothing. */
static inline nl_moments nl_moments_about_zero(const nl_moments *all) {
    return (nl_moments){all->count, 0, fma(all->mean * all->mean, all->count, all->m2)};
}

/* The forward map of one channel: mean split in two floats. */
static inline void nl_map_forward(nl_norm_map *map, int channel, double mean, double rstd,
                                  float gamma, float beta) {
    map->m[channel] = (float)mean;
    map->c[channel] = (float)(mean - (double)map->m[channel]);
    map->rstd[channel] = (float)rstd;
    map->scale[channel] = (float)(rstd * gamma);
    map->beta[channel] = beta;
}

/* The backward map of one channel from the means over the pooled values of dy gamma and of dy gamma
 * (x - mean). Its three terms cancel, in a sum over pixels almost wholly, so they must not be
 * rounded apart: the two of the means carry the rounding of scale, which then is one factor of all.
 * A scale that has lost digits, or is 0, cannot tell it. */
static inline void nl_map_backward(nl_norm_map *map, int channel, float gamma, double mean_dy,
                                   double mean_dy_xc) {
    const double rstd = map->rstd[channel];
    const float scale = map->scale[channel];
    const double factor = isnormal(scale) ? scale / (double)gamma : rstd;
    map->by_x[channel] = (float)(-factor * rstd * rstd * mean_dy_xc);
    map->shift[channel] = (float)(-factor * mean_dy);
}
