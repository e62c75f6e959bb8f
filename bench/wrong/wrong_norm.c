/* Norms made wrong on purpose, for the test that bench_norm times no such thing. Linked in place of
 * the right ones' callers (--wrap): $NORMLAB_WRONG is forward (the unbiased variance normalises) or
 * backward (the gradient lacks its mean). */
#include <math.h>   // sqrtf
#include <stdlib.h> // getenv
#include <string.h> // strcmp

#include "cpu/fast/fast.h" // nl_norm_group_fast_forward

static int wrong(const char *direction) {
    const char *wanted = getenv("NORMLAB_WRONG");
    return wanted && strcmp(wanted, direction) == 0;
}

void __real_nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                       const float *beta, int c, int groups, int hw, double eps);
void __wrap_nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                       const float *beta, int c, int groups, int hw, double eps);
void __wrap_nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                       const float *beta, int c, int groups, int hw, double eps) {
    __real_nl_norm_group_fast_forward(map, cells, gamma, beta, c, groups, hw, eps);
    const float count = (float)(c / groups * hw), factor = sqrtf((count - 1) / count);
    for (int i = 0; i < c && wrong("forward"); i++) map->scale[i] *= factor;
}

void __real_nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                        int n, int c, int hw);
void __wrap_nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                        int n, int c, int hw);
void __wrap_nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                        int n, int c, int hw) {
    __real_nl_norm_batch_fast_backward(map, cells, gamma, n, c, hw);
    for (int i = 0; i < c && wrong("backward"); i++) map->shift[i] = 0;
}
