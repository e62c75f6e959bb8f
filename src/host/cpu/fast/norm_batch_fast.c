/* Batch norm over the cells of norm_cells_fast.c: a channel's cells of all images are pooled
 * (Ioffe, Szegedy 2015, algorithm 1). */
#include <math.h> // sqrt, fma

#include "norm_pool_fast.h" // nl_moments

void nl_norm_batch_fast_forward(nl_norm_map *map, float *running_mean, float *running_var,
                                const nl_cells *cells, const float *gamma, const float *beta, int n,
                                int c, int hw, double eps, double momentum) {
    for (int i = 0; i < c; i++) {
        nl_moments all = {0};
        for (int image = 0; image < n; image++) nl_moments_add(&all, &cells[image], i, hw);
        nl_map_forward(map, i, all.mean, nl_moments_rstd(&all, eps), gamma[i], beta[i]);
        const double unbiased = all.m2 / (all.count - 1);
        running_mean[i] = (float)fma(1 - momentum, running_mean[i], momentum * all.mean);
        running_var[i] = (float)fma(1 - momentum, running_var[i], momentum * unbiased);
    }
}

void nl_norm_batch_fast_eval(nl_norm_map *map, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var, int c,
                             double eps) {
    for (int i = 0; i < c; i++)
        nl_map_forward(map, i, running_mean[i], 1 / sqrt(running_var[i] + eps), gamma[i], beta[i]);
}

void nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int n,
                                 int c, int hw) {
    const double count = (double)n * hw;
    for (int i = 0; i < c; i++) {
        double dy = 0, dy_xc = 0;
        for (int image = 0; image < n; image++) {
            dy += cells[image].dy[i];
            dy_xc += cells[image].dy_xc[i];
        }
        nl_map_backward(map, i, gamma[i], gamma[i] * dy / count, gamma[i] * dy_xc / count);
    }
}
