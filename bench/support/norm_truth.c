/* Inputs and truth of bench_norm's cases; see norm_truth.h. */
#include "support/norm_truth.h"

#include <float.h>  // FLT_EPSILON
#include <math.h>   // fabs
#include <stdint.h> // uint32_t
#include <stdio.h>  // fprintf
#include <stdlib.h> // free

#include "normlab/error.h" // nl_alloc
#include "normlab/ops.h"   // nl_norm_batch_forward_f64

#define REAL double
#define OP(name) nl_##name##_f64
#define CHAIN(name) double_##name
#include "support/norm_truth_chain.h"

#define REAL float
#define OP(name) nl_##name##_f32
#define CHAIN(name) float_##name
#include "support/norm_truth_chain.h"

/* Multiples of 1/64 about 0.7: values that differ stay apart behind a norm, so a pool's choice
 * between them does not hang on rounding. */
static float *values(long count, uint32_t seed, float mean) {
    float *to = nl_alloc((size_t)count, sizeof *to, "inputs");
    for (long i = 0; i < count; i++) {
        seed = seed * 1664525U + 1013904223U; /* Numerical Recipes' generator */
        to[i] = mean + (float)((int)(seed >> 24) - 128) / 64;
    }
    return to;
}

/* 4 times float's own error, and 4 ulp of the largest value. */
static double allowed(const double *truth, const float *single, long count) {
    double error = 0, largest = 0;
    for (long i = 0; i < count; i++) {
        error = fmax(error, fabs((double)single[i] - truth[i]));
        largest = fmax(largest, fabs(truth[i]));
    }
    return 4 * error + 4 * FLT_EPSILON * largest;
}

void norm_host_make(norm_host *h, const norm_case *c) {
    *h = (norm_host){.shape = *c};
    h->in = (long)c->n * c->c * c->h * c->w;
    h->out = (long)c->n * c->c * (c->h / c->pool) * (c->w / c->pool);
    h->x = values(h->in, 1, 0.7F);
    h->dy = values(h->out, 2, 0);
    h->gamma = values(c->c, 3, 0.3F);
    h->beta = values(c->c, 4, 0);
    const double_results truth = double_run(h, h->dy);
    const float_results single = float_run(h, NULL);
    h->y = truth.y;
    h->dx = truth.dx;
    h->dgamma = truth.dgamma;
    h->dbeta = truth.dbeta;
    h->may[0] = allowed(truth.y, single.y, h->out);
    h->may[1] = allowed(truth.dx, single.dx, h->in);
    h->may[2] = allowed(truth.dgamma, single.dgamma, c->c);
    h->may[3] = allowed(truth.dbeta, single.dbeta, c->c);
    void *all[] = {truth.pooled, single.pooled, single.y, single.dx, single.dgamma, single.dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

void norm_host_free(norm_host *h) {
    void *all[] = {h->x, h->dy, h->gamma, h->beta, h->y, h->dx, h->dgamma, h->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The first value that is too far away, or -1. */
static long first_wrong(const double *want, const float *got, long count, double may,
                        double *worst) {
    for (long i = 0; i < count; i++) {
        const double error = fabs((double)got[i] - want[i]);
        if (!(error <= may)) return i; /* a NaN too */
        *worst = fmax(*worst, error / may);
    }
    return -1;
}

bool norm_host_check(const norm_host *h, const char *name, const float *y, const float *dx,
                     const float *dgamma, const float *dbeta, double *worst) {
    const struct {
        const char *what;
        const double *want;
        const float *got;
        long count;
    } all[] = {{"y", h->y, y, h->out},
               {"dx", h->dx, dx, h->in},
               {"dgamma", h->dgamma, dgamma, h->shape.c},
               {"dbeta", h->dbeta, dbeta, h->shape.c}};
    *worst = 0;
    for (int i = 0; i < (dx ? 4 : 1); i++) {
        const long at = first_wrong(all[i].want, all[i].got, all[i].count, h->may[i], worst);
        if (at < 0) continue;
        fprintf(stderr, "bench_norm: %s: %s[%ld] is %.9g, must be %.9g within %.2g: not timed\n",
                name, all[i].what, at, (double)all[i].got[at], all[i].want[at], h->may[i]);
        return false;
    }
    return true;
}
