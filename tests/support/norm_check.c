/* norm_check.h */
#include "norm_check.h"

#include <float.h>  // FLT_EPSILON, DBL_EPSILON
#include <math.h>   // fabs, sqrt
#include <stdio.h>  // snprintf
#include <stdlib.h> // abs
#include <string.h> // memcpy

#include "compare.h"
#include "difference.h"
#include "golden.h"
#include "random.h"

typedef struct problem {
    const norm_ops *ops;
    nl_norm_shape s;
    int64_t count, pairs;
    double *x, *gamma, *beta, *dy;                 /* inputs */
    double *y, *mean, *rstd, *dx, *dgamma, *dbeta; /* outputs */
} problem;

static problem make(const norm_ops *ops, nl_norm_shape s, norm_input input) {
    problem p = {.ops = ops, .s = s, .count = (int64_t)s.n * s.c * s.hw, .pairs = norm_pairs(s)};
    p.x = random_f64(p.count, 1, input.mean, input.sigma);
    p.gamma = random_f64(s.c, 2, 1, 0.5);
    p.beta = random_f64(s.c, 3, 0, 1);
    p.dy = random_f64(p.count, 4, 0.2, 1);
    p.y = guarded_f64(p.count);
    p.mean = guarded_f64(p.pairs);
    p.rstd = guarded_f64(p.pairs);
    p.dx = guarded_f64(p.count);
    p.dgamma = guarded_f64(s.c);
    p.dbeta = guarded_f64(s.c);
    return p;
}

static void drop(problem *p) {
    double *all[] = {p->x,    p->gamma, p->beta, p->dy,     p->y,
                     p->mean, p->rstd,  p->dx,   p->dgamma, p->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

static void forward(const problem *p) {
    p->ops->forward_f64(p->y, p->mean, p->rstd, p->x, p->gamma, p->beta, p->s);
}

static void backward(const problem *p) {
    p->ops->backward_f64(p->dx, p->dgamma, p->dbeta, p->dy, p->x, p->mean, p->rstd, p->gamma, p->s);
}

/* Runs the float operation on the same numbers and widens its results into those of p. */
static void run_f32(const problem *p) {
    float *x = to_f32(p->x, p->count), *gamma = to_f32(p->gamma, p->s.c);
    float *beta = to_f32(p->beta, p->s.c), *dy = to_f32(p->dy, p->count);
    const int64_t counts[] = {p->count, p->pairs, p->pairs, p->count, p->s.c, p->s.c};
    double *const to[] = {p->y, p->mean, p->rstd, p->dx, p->dgamma, p->dbeta};
    float *from[6];
    for (int i = 0; i < 6; i++) from[i] = guarded_f32(counts[i]);
    p->ops->forward_f32(from[0], from[1], from[2], x, gamma, beta, p->s);
    p->ops->backward_f32(from[3], from[4], from[5], dy, x, from[1], from[2], gamma, p->s);
    for (int i = 0; i < 6; i++) {
        for (int64_t j = 0; j < counts[i]; j++) to[i][j] = (double)from[i][j];
        guarded_free(from[i]);
    }
    float *inputs[] = {x, gamma, beta, dy};
    for (int i = 0; i < 4; i++) guarded_free(inputs[i]);
}

static double largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(x[i]) <= most)) most = fabs(x[i]);
    return most;
}

// --- truth --------------------------------------------------------------------------------------

/* The condition: y is a sum of xhat gamma (|xhat| up to 1.8 here) and beta; dx is rstd times three
 * terms of the size of g = dy gamma. Neither knows the mean, whatever its size. */
static void compare_with(const problem *p, const norm_truth *t, double eps) {
    const double g = largest(p->gamma, p->s.c) * largest(p->dy, p->count);
    const double y_size = 3 * largest(p->gamma, p->s.c) + largest(p->beta, p->s.c);
    double rstd = 0;
    for (int64_t i = 0; i < p->pairs; i++) {
        const double want = 1 / sqrt(t->var[i] + NORM_EPS);
        CHECK_CLOSE(&p->rstd[i], &want, 1, 0, 8 * eps);
        if (want > rstd) rstd = want;
    }
    const double sum = (double)p->s.n * p->s.hw * largest(p->dy, p->count);
    CHECK_CLOSE(p->mean, t->mean, p->pairs, 4 * eps, eps);
    CHECK_CLOSE(p->y, t->y, p->count, 8 * eps * y_size, 0);
    CHECK_CLOSE(p->dx, t->dx, p->count, 16 * eps * g * rstd, 0);
    CHECK_CLOSE(p->dgamma, t->dgamma, p->s.c, 8 * eps * sum, 0);
    CHECK_CLOSE(p->dbeta, t->dbeta, p->s.c, 4 * eps * sum, 0);
}

void check_norm_truth(const norm_ops *ops, nl_norm_shape s, norm_input input) {
    problem p = make(ops, s, input);
    norm_truth t = norm_truth_of(p.x, p.gamma, p.beta, p.dy, s);
    forward(&p);
    backward(&p);
    compare_with(&p, &t, DBL_EPSILON);
    run_f32(&p);
    compare_with(&p, &t, (double)FLT_EPSILON);
    norm_truth_free(&t);
    drop(&p);
}

// --- finite differences -------------------------------------------------------------------------

static double loss(void *context) {
    const problem *p = context;
    forward(p);
    return dot(p->dy, p->y, p->count);
}

void check_norm_gradient(const norm_ops *ops, nl_norm_shape s, norm_input input) {
    problem p = make(ops, s, input);
    forward(&p);
    backward(&p);
    /* h in units of what x varies by; the error is of the order h^2 */
    const double unit = sqrt(input.sigma * input.sigma + NORM_EPS);
    check_gradient("dx", p.x, p.dx, p.count, loss, &p, 1e-5 * unit, 1e-6);
    check_gradient("dgamma", p.gamma, p.dgamma, s.c, loss, &p, 1e-3, 1e-8);
    check_gradient("dbeta", p.beta, p.dbeta, s.c, loss, &p, 1e-3, 1e-8);
    drop(&p);
}

// --- rules --------------------------------------------------------------------------------------

void check_norm_constant(const norm_ops *ops, nl_norm_shape s) {
    const double values[] = {0, 0.1, -2.3, 1000.7, 1e6 / 3, 1e30};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        problem p = make(ops, s, (norm_input){values[v], 0});
        double *want = guarded_f64(p.count);
        for (int64_t i = 0; i < p.count; i++) want[i] = p.beta[i / s.hw % s.c];
        forward(&p);
        CHECK_EQUAL(p.y, want, p.count);
        run_f32(&p);
        CHECK_EQUAL(p.y, want, p.count);
        guarded_free(want);
        drop(&p);
    }
}

/* x = mean +- delta in turn, mean and delta of few bits, so every sum is exact; gamma a power of
 * two, beta 0: y = +-delta rstd gamma with rstd = 1 / sqrt(delta^2 + eps) rounded twice. */
void check_norm_exact(const norm_ops *ops, nl_norm_shape s) {
    cr_assert(s.hw % 2 == 0);
    const double means[] = {0, -2.25, 1024.5, 65536};
    for (int m = 0; m < 4; m++) {
        problem p = make(ops, s, (norm_input){0, 1});
        const double delta = 0.5;
        for (int64_t i = 0; i < p.count; i++) p.x[i] = means[m] + (i % 2 ? delta : -delta);
        for (int c = 0; c < s.c; c++) p.gamma[c] = c % 2 ? 2 : 0.5, p.beta[c] = 0;
        for (int precision = 0; precision < 2; precision++) {
            if (precision) run_f32(&p);
            if (!precision) forward(&p);
            const double rstd = precision ? (double)(1 / sqrtf(0.25F + (float)NORM_EPS))
                                          : 1 / sqrt(0.25 + NORM_EPS);
            for (int64_t i = 0; i < p.pairs; i++) {
                CHECK_EQUAL(&p.mean[i], &means[m], 1);
                CHECK_EQUAL(&p.rstd[i], &rstd, 1);
            }
            for (int64_t i = 0; i < p.count; i++) {
                const double want = (i % 2 ? delta : -delta) * rstd * p.gamma[i / s.hw % s.c];
                CHECK_EQUAL(&p.y[i], &want, 1);
            }
        }
        drop(&p);
    }
}

static int64_t pair_of(int64_t i, nl_norm_shape s) {
    const int64_t channel = i / s.hw % s.c, image = i / s.hw / s.c;
    return s.groups ? image * s.groups + channel / (s.c / s.groups) : channel;
}

static void check_poison(const problem *p, const problem *clean, int64_t at) {
    const int64_t hit = pair_of(at, p->s);
    for (int64_t i = 0; i < p->count; i++) {
        const bool poisoned = pair_of(i, p->s) == hit;
        cr_assert_eq(isnan(p->y[i]) != 0, poisoned, "y[%d]", (int)i);
        cr_assert_eq(isnan(p->dx[i]) != 0, poisoned, "dx[%d]", (int)i);
        if (poisoned) continue;
        CHECK_EQUAL(&p->y[i], &clean->y[i], 1);
        CHECK_EQUAL(&p->dx[i], &clean->dx[i], 1);
    }
    cr_assert(isnan(p->rstd[hit]));
    cr_assert(isnan(p->dgamma[at / p->s.hw % p->s.c]));
}

void check_norm_poison(const norm_ops *ops, nl_norm_shape s) {
    const double poisons[] = {NAN, INFINITY, -INFINITY};
    problem clean = make(ops, s, (norm_input){0, 1}), clean32 = make(ops, s, (norm_input){0, 1});
    forward(&clean);
    backward(&clean);
    run_f32(&clean32);
    const int64_t places[] = {0, clean.count / 2, clean.count - 1};
    for (int i = 0; i < 9; i++) {
        const int64_t at = places[i % 3];
        problem p = make(ops, s, (norm_input){0, 1});
        p.x[at] = poisons[i / 3];
        forward(&p);
        backward(&p);
        check_poison(&p, &clean, at);
        run_f32(&p);
        check_poison(&p, &clean32, at);
        drop(&p);
    }
    drop(&clean);
    drop(&clean32);
}

// --- PyTorch ------------------------------------------------------------------------------------

static void load(double *to, const char *prefix, const char *kind, const char *name,
                 int64_t count) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s.%s", prefix, kind, name);
    double *from = golden("ops.txt", full, count);
    memcpy(to, from, (size_t)count * sizeof *to);
    guarded_free(from);
}

void check_norm_golden(const norm_ops *ops, int groups, const char *prefix) {
    /* PyTorch's own rounding: its statistics lose digits where the mean is large */
    const struct {
        const char *kind;
        double tolerance;
    } cases[] = {{"near", 1e-12}, {"far", 1e-9}, {"small", 1e-10}};
    for (int i = 0; i < 3; i++) {
        problem p = make(ops, (nl_norm_shape){3, 4, 6, groups}, (norm_input){0, 1});
        problem want = make(ops, p.s, (norm_input){0, 1});
        double *const in[] = {p.x, p.gamma, p.beta, p.dy};
        double *const got[] = {p.y, p.dx, p.dgamma, p.dbeta};
        double *const out[] = {want.y, want.dx, want.dgamma, want.dbeta};
        const char *const names[] = {"x", "gamma", "beta", "dy", "y", "dx", "dgamma", "dbeta"};
        const int64_t counts[] = {72, 4, 4, 72, 72, 72, 4, 4};
        for (int k = 0; k < 8; k++)
            load(k < 4 ? in[k] : out[k - 4], prefix, cases[i].kind, names[k], counts[k]);
        forward(&p);
        backward(&p);
        for (int k = 0; k < 4; k++)
            CHECK_CLOSE(got[k], out[k], counts[4 + k],
                        cases[i].tolerance * largest(out[k], counts[4 + k]), 0);
        drop(&p);
        drop(&want);
    }
}
