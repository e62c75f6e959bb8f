/* The table of norms over cells, and the gradients of gamma and beta; see norms_fast.h. */
#include "norms_fast.h"

#include <assert.h> // static_assert

static void batch_forward(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *j) {
    nl_norm_batch_fast_forward(map, j->mean, j->var, cells, j->gamma, j->beta, j->n, j->c, j->hw,
                               j->eps, j->momentum);
}

static void batch_backward(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *j) {
    nl_norm_batch_fast_backward(map, cells, j->gamma, j->n, j->c, j->hw);
}

static void batch_evaluate(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *j) {
    (void)cells;
    nl_norm_batch_fast_eval(map, j->gamma, j->beta, j->mean, j->var, j->c, j->eps);
}

static void group_forward(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *j) {
    (j->centres ? nl_norm_group_fast_forward : nl_norm_rms_fast_forward)(
        map, cells, j->gamma, j->beta, j->c, j->groups, j->hw, j->eps);
}

static void group_backward(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *j) {
    (j->centres ? nl_norm_group_fast_backward : nl_norm_rms_fast_backward)(map, cells, j->gamma,
                                                                           j->c, j->groups, j->hw);
}

const nl_norm_over nl_norms_fast[] = {
    [NL_SETS_BATCH] = {batch_forward, batch_backward, batch_evaluate, .cuts = true},
    [NL_SETS_GROUPS] = {group_forward, group_backward, group_forward, .cuts = false},
};
static_assert(sizeof nl_norms_fast / sizeof *nl_norms_fast == NL_SETS,
              "a row for each kind of sets");

void nl_norm_fast_affine(float *dgamma, float *dbeta, const nl_cells *cells,
                         const nl_norm_map *maps, int n, int map_stride, int c) {
    for (int i = 0; i < c; i++) {
        double sum = 0, sum_xhat = 0;
        for (int image = 0; image < n; image++) {
            sum += cells[image].dy[i];
            sum_xhat += (double)cells[image].dy_xc[i] * maps[image * map_stride].rstd[i];
        }
        dgamma[i] = (float)sum_xhat;
        dbeta[i] = (float)sum;
    }
}
