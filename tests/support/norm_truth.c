/* norm_truth.h */
#include "norm_truth.h"

#include <math.h> // sqrtl

#include "compare.h" // guarded_f64

const norm_input norm_inputs[] = {{0, 1},   {-2.3, 1},     {1000, 1},
                                  {1e6, 1}, {0.02, 0.003}, {-2.3, 0.0005}};
const int n_norm_inputs = sizeof norm_inputs / sizeof *norm_inputs;

int64_t norm_pairs(nl_norm_shape s) {
    return s.groups ? (int64_t)s.n * s.groups : s.c;
}

/* The pair that element i of x belongs to. */
static int64_t pair_of(int64_t i, nl_norm_shape s) {
    const int64_t channel = i / s.hw % s.c, image = i / s.hw / s.c;
    return s.groups ? image * s.groups + channel / (s.c / s.groups) : channel;
}

/* Sums over one pair. x is taken relative to its first value: long double has only 11 bits more. */
typedef struct pair_sums {
    long double first, mean, var, rstd, g, g_xhat;
    int64_t count;
} pair_sums;

static long double centred(const pair_sums *p, double x) {
    return x - p->first - p->mean;
}

static pair_sums sums_of(const double *x, const double *gamma, const double *dy, int64_t pair,
                         nl_norm_shape s) {
    const int64_t count = (int64_t)s.n * s.c * s.hw;
    pair_sums p = {0};
    for (int64_t i = 0; i < count; i++) {
        if (pair_of(i, s) != pair) continue;
        if (p.count++ == 0) p.first = x[i];
        p.mean += x[i] - p.first;
    }
    p.mean /= (long double)p.count;
    for (int64_t i = 0; i < count; i++)
        if (pair_of(i, s) == pair) p.var += centred(&p, x[i]) * centred(&p, x[i]);
    p.var /= (long double)p.count;
    p.rstd = 1 / sqrtl(p.var + (long double)NORM_EPS);
    for (int64_t i = 0; i < count; i++) {
        if (pair_of(i, s) != pair) continue;
        const long double g = (long double)dy[i] * gamma[i / s.hw % s.c];
        p.g += g;
        p.g_xhat += g * centred(&p, x[i]) * p.rstd;
    }
    return p;
}

norm_truth norm_truth_of(const double *x, const double *gamma, const double *beta, const double *dy,
                         nl_norm_shape s) {
    const int64_t count = (int64_t)s.n * s.c * s.hw, pairs = norm_pairs(s);
    norm_truth t = {guarded_f64(count), guarded_f64(count), guarded_f64(s.c),
                    guarded_f64(s.c),   guarded_f64(pairs), guarded_f64(pairs)};
    for (int c = 0; c < s.c; c++) t.dgamma[c] = t.dbeta[c] = 0;
    for (int64_t pair = 0; pair < pairs; pair++) {
        const pair_sums p = sums_of(x, gamma, dy, pair, s);
        t.mean[pair] = (double)(p.first + p.mean);
        t.var[pair] = (double)p.var;
        for (int64_t i = 0; i < count; i++) {
            if (pair_of(i, s) != pair) continue;
            const int64_t c = i / s.hw % s.c;
            const long double xhat = centred(&p, x[i]) * p.rstd;
            const long double g = (long double)dy[i] * gamma[c];
            const long double m = (long double)p.count;
            t.y[i] = (double)(xhat * gamma[c] + beta[c]);
            t.dx[i] = (double)(p.rstd * (g - p.g / m - xhat * p.g_xhat / m));
            t.dgamma[c] += (double)(dy[i] * xhat);
            t.dbeta[c] += dy[i];
        }
    }
    return t;
}

void norm_truth_free(norm_truth *t) {
    double *all[] = {t->y, t->dx, t->dgamma, t->dbeta, t->mean, t->var};
    for (int i = 0; i < 6; i++) guarded_free(all[i]);
}
