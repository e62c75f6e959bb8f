/* The plain norms, each over its sets, under one signature. */
#pragma once

#include "normlab/model.h" // NL_SETS
#include "real.h"

/* A norm of one batch. mean and rstd: of each set. */
typedef struct norm_job {
    real *y, *mean, *rstd;
    const real *x, *gamma, *beta;
    real *running_mean, *running_var; /* NULL where the norm keeps none */
    nl_norm_shape s;
    double eps, momentum;
    bool centres;
} norm_job;

typedef struct norm_over {
    void (*forward)(const norm_job *j);
    void (*backward)(const norm_job *j, real *dx, real *dgamma, real *dbeta, const real *dy);
    void (*evaluate)(const norm_job *j);
} norm_over;

extern const norm_over OP(norms)[]; /* (NL_SETS) */
