/* norms.h */
#include <assert.h> // static_assert

#include "norms.h"

static void batch_forward(const norm_job *j) {
    OP(norm_batch_forward)
    (j->y, j->mean, j->rstd, j->running_mean, j->running_var, j->x, j->gamma, j->beta, j->s, j->eps,
     j->momentum);
}

static void batch_backward(const norm_job *j, real *dx, real *dgamma, real *dbeta, const real *dy) {
    OP(norm_batch_backward)(dx, dgamma, dbeta, dy, j->x, j->mean, j->rstd, j->gamma, j->s);
}

static void batch_evaluate(const norm_job *j) {
    OP(norm_batch_eval)
    (j->y, j->x, j->gamma, j->beta, j->running_mean, j->running_var, j->s, j->eps);
}

static void group_forward(const norm_job *j) {
    (j->centres ? OP(norm_group_forward) : OP(norm_rms_forward))(j->y, j->mean, j->rstd, j->x,
                                                                 j->gamma, j->beta, j->s, j->eps);
}

static void group_backward(const norm_job *j, real *dx, real *dgamma, real *dbeta, const real *dy) {
    (j->centres ? OP(norm_group_backward) : OP(norm_rms_backward))(
        dx, dgamma, dbeta, dy, j->x, j->mean, j->rstd, j->gamma, j->s);
}

const norm_over OP(norms)[] = {
    [NL_SETS_BATCH] = {batch_forward, batch_backward, batch_evaluate},
    [NL_SETS_GROUPS] = {group_forward, group_backward, group_forward},
};
static_assert(sizeof OP(norms) / sizeof *OP(norms) == NL_SETS, "a row for each kind of sets");
