/* Global average pooling. */
#include <float.h> // FLT_EPSILON

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/difference.h"
#include "support/random.h"

Test(pool_avg, by_hand) {
    const double x[] = {1, 2, 3, 4, -1, -1, 0, 8}, want[] = {2.5, 1.5};
    const double dy[] = {4, -2}, dwant[] = {1, 1, 1, 1, -0.5, -0.5, -0.5, -0.5};
    double *y = guarded_f64(2), *dx = guarded_f64(8);
    nl_pool_avg_forward_f64(y, x, 1, 2, 4);
    nl_pool_avg_backward_f64(dx, dy, 1, 2, 4);
    CHECK_EQUAL(y, want, 2);
    CHECK_EQUAL(dx, dwant, 8);
    guarded_free(y);
    guarded_free(dx);
}

typedef struct problem {
    int n, c, hw;
    double *x, *y, *dy;
} problem;

static double loss(void *context) {
    const problem *p = context;
    nl_pool_avg_forward_f64(p->y, p->x, p->n, p->c, p->hw);
    return dot(p->dy, p->y, (int64_t)p->n * p->c);
}

Test(pool_avg, finite_differences_and_float) {
    for (int n = 1; n <= 33; n += 4) {
        for (int hw = 1; hw <= 37; hw += 4) {
            const int c = 3;
            const int64_t in = n * c * hw, out = n * c;
            problem p = {
                n, c, hw, random_f64(in, 1, -2.3, 1), guarded_f64(out), random_f64(out, 2, 0.3, 1)};
            double *dx = guarded_f64(in);
            loss(&p);
            nl_pool_avg_backward_f64(dx, p.dy, n, c, hw);
            float *x32 = to_f32(p.x, in), *y32 = guarded_f32(out), *dy32 = to_f32(p.dy, out);
            float *dx32 = guarded_f32(in);
            nl_pool_avg_forward_f32(y32, x32, n, c, hw);
            nl_pool_avg_backward_f32(dx32, dy32, n, c, hw);
            CHECK_CLOSE(y32, p.y, out, 8 * 4 * (double)FLT_EPSILON, 0); /* |x| is below 4.1 */
            CHECK_CLOSE(dx32, dx, in, 0, FLT_EPSILON);
            check_gradient("dx", p.x, dx, in, loss, &p, 1e-2, 1e-9);
            double *doubles[] = {p.x, p.y, p.dy, dx};
            float *floats[] = {x32, y32, dy32, dx32};
            for (int k = 0; k < 4; k++) guarded_free(doubles[k]), guarded_free(floats[k]);
        }
    }
}
