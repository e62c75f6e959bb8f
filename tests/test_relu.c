/* ReLU: values, gradient, and NaN, which must pass in both directions. */
#include <math.h> // NAN, INFINITY

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/difference.h"
#include "support/random.h"

Test(relu, by_hand) {
    const double x[] = {-1, 0, 2, -0.0, NAN, INFINITY, -INFINITY, 1e-310};
    const double want[] = {0, 0, 2, 0, NAN, INFINITY, 0, 1e-310};
    const double dy[] = {1, 2, 3, 4, 5, 6, NAN, 8}, dwant[] = {0, 0, 3, 0, 5, 6, 0, 8};
    double *y = guarded_f64(8), *dx = guarded_f64(8);
    nl_relu_forward_f64(y, x, 8);
    CHECK_EQUAL(y, want, 8);
    nl_relu_backward_f64(dx, dy, y, 8);
    CHECK_EQUAL(dx, dwant, 8);
    guarded_free(y);
    guarded_free(dx);
}

Test(relu, float_equals_double_at_every_length) {
    for (int64_t count = 1; count <= 67; count++) {
        double *x = random_f64(count, 1, 0, 1), *dy = random_f64(count, 2, 0, 1);
        double *want = guarded_f64(count), *dwant = guarded_f64(count);
        float *xf = to_f32(x, count), *dyf = to_f32(dy, count);
        xf[count / 2] = NAN;
        x[count / 2] = NAN;
        nl_relu_forward_f64(want, x, count);
        nl_relu_backward_f64(dwant, dy, want, count);
        float *y = guarded_f32(count), *dx = guarded_f32(count);
        nl_relu_forward_f32(y, xf, count);
        nl_relu_backward_f32(dx, dyf, y, count);
        CHECK_EQUAL(y, want, count);
        CHECK_EQUAL(dx, dwant, count);
        nl_relu_forward_f32(xf, xf, count); /* in place */
        CHECK_EQUAL(xf, want, count);
        nl_relu_backward_f32(dyf, dyf, xf, count);
        CHECK_EQUAL(dyf, dwant, count);
        double *doubles[] = {x, dy, want, dwant};
        float *floats[] = {xf, dyf, y, dx};
        for (int i = 0; i < 4; i++) guarded_free(doubles[i]), guarded_free(floats[i]);
    }
}

typedef struct problem {
    double *x, *y, *dy;
} problem;

static double loss(void *context) {
    const problem *p = context;
    nl_relu_forward_f64(p->y, p->x, 200);
    return dot(p->dy, p->y, 200);
}

Test(relu, gradient_is_that_of_finite_differences) {
    problem p = {random_f64(200, 1, 0, 1), guarded_f64(200), random_f64(200, 2, 0.3, 1)};
    for (int i = 0; i < 200; i++) /* no kink within h of any value */
        if (fabs(p.x[i]) < 1e-3) p.x[i] = 0.5;
    double *dx = guarded_f64(200);
    loss(&p);
    nl_relu_backward_f64(dx, p.dy, p.y, 200);
    check_gradient("dx", p.x, dx, 200, loss, &p, 1e-4, 1e-9);
    double *all[] = {p.x, p.y, p.dy, dx};
    for (int i = 0; i < 4; i++) guarded_free(all[i]);
}
