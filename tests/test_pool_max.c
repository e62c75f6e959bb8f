/* Max pooling: values, ties, NaN, edges that do not divide, gradient. */
#include <math.h> // NAN

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/difference.h"
#include "support/golden.h"
#include "support/random.h"

static const nl_pool_shape shapes[] = {{1, 1, 1, 1, 1}, {2, 3, 28, 28, 2}, {3, 2, 12, 12, 2},
                                       {2, 2, 5, 7, 2}, {1, 3, 7, 33, 3},  {33, 1, 2, 2, 2},
                                       {1, 1, 9, 4, 4}};

static int64_t in_count(nl_pool_shape s) {
    return (int64_t)s.n * s.c * s.h * s.w;
}

static int64_t out_count(nl_pool_shape s) {
    return (int64_t)s.n * s.c * (s.h / s.k) * (s.w / s.k);
}

Test(pool_max, first_largest_wins_and_nan_counts_as_largest) {
    const nl_pool_shape s = {1, 1, 2, 8, 2};
    const double x[] = {1, 2,  5, 5, NAN, 9, 3,   NAN, //
                        3, -4, 5, 5, 10,  2, NAN, 4};
    const double want[] = {3, 5, NAN, NAN};
    const int32_t want_arg[] = {8, 2, 4, 7};
    double *y = guarded_f64(4);
    int32_t *arg = guarded_i32(4);
    nl_pool_max_forward_f64(y, arg, x, s);
    CHECK_EQUAL(y, want, 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(arg[i], want_arg[i], "arg %d is %d", i, arg[i]);
    const double dy[] = {1, 2, 3, 4};
    const double dwant[] = {0, 0, 2, 0, 3, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0};
    double *dx = guarded_f64(16);
    nl_pool_max_backward_f64(dx, dy, arg, s);
    CHECK_EQUAL(dx, dwant, 16);
    guarded_free(y);
    guarded_free(arg);
    guarded_free(dx);
}

Test(pool_max, negative_numbers_do_not_lose_to_zero) {
    const double x[] = {-3, -2, -7, -5}, want[] = {-2};
    double *y = guarded_f64(1);
    int32_t *arg = guarded_i32(1);
    nl_pool_max_forward_f64(y, arg, x, (nl_pool_shape){1, 1, 2, 2, 2});
    CHECK_EQUAL(y, want, 1);
    cr_assert_eq(arg[0], 1);
    guarded_free(y);
    guarded_free(arg);
}

typedef struct problem {
    nl_pool_shape s;
    double *x, *y, *dy;
    int32_t *arg;
} problem;

static double loss(void *context) {
    const problem *p = context;
    nl_pool_max_forward_f64(p->y, p->arg, p->x, p->s);
    return dot(p->dy, p->y, out_count(p->s));
}

/* Distinct values a hundred h apart, in an order that looks random. */
static void spread(double *x, int64_t count) {
    int64_t step = 7919;
    while (count % step == 0) step += 2;
    for (int64_t i = 0; i < count; i++)
        x[i] = (double)(i * step % count) * 0.01 - 0.005 * (double)count;
}

Test(pool_max, gradient_is_that_of_finite_differences_and_float_equals_double) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const nl_pool_shape s = shapes[i];
        const int64_t in = in_count(s), out = out_count(s);
        problem p = {s, random_f64(in, 1, 0, 1), guarded_f64(out), random_f64(out, 2, 0.3, 1),
                     guarded_i32(out)};
        spread(p.x, in);
        for (int64_t k = 0; k < in; k++) p.x[k] = (double)(float)p.x[k];
        double *dx = guarded_f64(in);
        float *x32 = to_f32(p.x, in), *y32 = guarded_f32(out), *dy32 = to_f32(p.dy, out);
        float *dx32 = guarded_f32(in);
        int32_t *arg32 = guarded_i32(out);
        loss(&p);
        nl_pool_max_backward_f64(dx, p.dy, p.arg, s);
        nl_pool_max_forward_f32(y32, arg32, x32, s);
        nl_pool_max_backward_f32(dx32, dy32, arg32, s);
        CHECK_EQUAL(y32, p.y, out);
        CHECK_EQUAL(dx32, dx, in);
        cr_assert_arr_eq(arg32, p.arg, (size_t)out * sizeof *arg32);
        check_gradient("dx", p.x, dx, in, loss, &p, 1e-4, 1e-9);
        double *doubles[] = {p.x, p.y, p.dy, dx};
        float *floats[] = {x32, y32, dy32, dx32};
        for (int k = 0; k < 4; k++) guarded_free(doubles[k]), guarded_free(floats[k]);
        guarded_free(p.arg);
        guarded_free(arg32);
    }
}

Test(pool_max, equals_pytorch) {
    const nl_pool_shape s = {2, 3, 5, 7, 2};
    double *x = golden("ops.txt", "pool_max.x", in_count(s));
    double *dy = golden("ops.txt", "pool_max.dy", out_count(s));
    double *want = golden("ops.txt", "pool_max.y", out_count(s));
    double *dwant = golden("ops.txt", "pool_max.dx", in_count(s));
    double *y = guarded_f64(out_count(s)), *dx = guarded_f64(in_count(s));
    int32_t *arg = guarded_i32(out_count(s));
    nl_pool_max_forward_f64(y, arg, x, s);
    nl_pool_max_backward_f64(dx, dy, arg, s);
    CHECK_EQUAL(y, want, out_count(s));
    CHECK_EQUAL(dx, dwant, in_count(s));
    double *all[] = {x, dy, want, dwant, y, dx};
    for (int i = 0; i < 6; i++) guarded_free(all[i]);
    guarded_free(arg);
}
