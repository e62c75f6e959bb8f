/* Group norm over the cells of norm_cells_fast.c: the cells of a group of channels of one image are
 * pooled (Wu, He 2018, equation 7). One group is layer norm, one channel a group instance norm.
 *
 * Without centring (Zhang, Sennrich 2019, equation 4) the mean in the map is 0, and the gradient
 * has no term of it. The sums over pixels are the same. */
#include <stdbool.h> // bool

#include "norm_pool_fast.h" // nl_moments

static inline void forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                           const float *beta, int c, int groups, int hw, double eps, bool centres) {
    const int size = c / groups;
    for (int first = 0; first < c; first += size) {
        nl_moments all = {0};
        for (int i = first; i < first + size; i++) nl_moments_add(&all, cells, i, hw);
        if (!centres) all = nl_moments_about_zero(&all);
        const double rstd = nl_moments_rstd(&all, eps);
        for (int i = first; i < first + size; i++)
            nl_map_forward(map, i, all.mean, rstd, gamma[i], beta[i]);
    }
}

static inline void backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                            int groups, int hw, bool centres) {
    const int size = c / groups;
    const double count = (double)size * hw;
    for (int first = 0; first < c; first += size) {
        double dy = 0, dy_xc = 0;
        for (int i = first; i < first + size; i++) {
            dy += (double)gamma[i] * cells->dy[i];
            dy_xc += (double)gamma[i] * cells->dy_xc[i];
        }
        for (int i = first; i < first + size; i++)
            nl_map_backward(map, i, gamma[i], centres ? dy / count : 0, dy_xc / count);
    }
}

void nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                const float *beta, int c, int groups, int hw, double eps) {
    forward(map, cells, gamma, beta, c, groups, hw, eps, true);
}

void nl_norm_group_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                                 int groups, int hw) {
    backward(map, cells, gamma, c, groups, hw, true);
}

void nl_norm_rms_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                              const float *beta, int c, int groups, int hw, double eps) {
    forward(map, cells, gamma, beta, c, groups, hw, eps, false);
}

void nl_norm_rms_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                               int groups, int hw) {
    backward(map, cells, gamma, c, groups, hw, false);
}
