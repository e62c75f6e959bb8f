/* RMS norm, without centring: against its definition written out in long double, finite differences
 * and what follows from having no mean. */
#include <float.h> // FLT_EPSILON, DBL_EPSILON
#include <math.h>  // sqrtl

#include "cpu/fast/fast.h"
#include "normlab/error.h" // nl_alloc
#include "normlab/ops.h"
#include "support/compare.h"
#include "support/norm_ops.h"
#include "support/random.h"

static const norm_ops *const ops = &plain_norms[NL_NORM_RMS];

/* n, c, hw, groups */
static const nl_norm_shape shapes[] = {{2, 4, 1, 1}, {2, 3, 1, 3},   {1, 4, 2, 4},  {3, 6, 35, 2},
                                       {1, 8, 5, 1}, {2, 4, 784, 1}, {33, 3, 7, 1}, {2, 12, 33, 3}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct truth {
    double *y, *dx, *dgamma, *dbeta;
} truth;

/* x rsqrt(mean(x^2) + eps) w + b, and rstd (dy w - x_hat mean(dy w x_hat)), over one group. */
static void group_truth(truth *t, const double *x, const double *gamma, const double *beta,
                        const double *dy, nl_norm_shape s, int64_t group) {
    const int64_t size = (int64_t)s.c / s.groups * s.hw, first = group * size;
    long double square = 0, along = 0;
    for (int64_t i = first; i < first + size; i++) square += (long double)x[i] * x[i];
    const long double rstd = 1 / sqrtl(square / size + (long double)NORM_EPS);
    for (int64_t i = first; i < first + size; i++)
        along += (long double)dy[i] * gamma[i / s.hw % s.c] * x[i] * rstd;
    for (int64_t i = first; i < first + size; i++) {
        const int64_t c = i / s.hw % s.c;
        const long double xhat = x[i] * rstd;
        t->y[i] = (double)(xhat * gamma[c] + beta[c]);
        t->dx[i] = (double)(rstd * ((long double)dy[i] * gamma[c] - xhat * along / size));
        t->dgamma[c] += (double)(dy[i] * xhat);
        t->dbeta[c] += dy[i];
    }
}

static void check_against_definition(nl_norm_shape s, norm_input input) {
    const int64_t count = (int64_t)s.n * s.c * s.hw, pairs = norm_pairs(s);
    double *x = random_f64(count, 1, input.mean, input.sigma), *dy = random_f64(count, 4, 0.2, 1);
    double *gamma = random_f64(s.c, 2, 1, 0.5), *beta = random_f64(s.c, 3, 0, 1);
    truth t = {guarded_f64(count), guarded_f64(count), guarded_f64(s.c), guarded_f64(s.c)};
    double *y = guarded_f64(count), *dx = guarded_f64(count), *mean = guarded_f64(pairs);
    double *rstd = guarded_f64(pairs), *dgamma = guarded_f64(s.c), *dbeta = guarded_f64(s.c);
    for (int c = 0; c < s.c; c++) t.dgamma[c] = t.dbeta[c] = 0;
    for (int64_t g = 0; g < (int64_t)s.n * s.groups; g++) group_truth(&t, x, gamma, beta, dy, s, g);
    ops->forward_f64(y, mean, rstd, x, gamma, beta, s);
    nl_norm_rms_backward_f64(dx, dgamma, dbeta, dy, x, mean, rstd, gamma, s);
    const double eps = 64 * DBL_EPSILON, sum = (double)s.n * s.hw;
    CHECK_CLOSE(y, t.y, count, eps * 8, 0);
    double most = 0;
    for (int64_t i = 0; i < pairs; i++) most = rstd[i] > most ? rstd[i] : most;
    CHECK_CLOSE(dx, t.dx, count, eps * 8 * most, 0);
    CHECK_CLOSE(dgamma, t.dgamma, s.c, eps * sum * 4, 0);
    CHECK_CLOSE(dbeta, t.dbeta, s.c, eps * sum, 0);
    for (int64_t i = 0; i < pairs; i++) cr_assert_eq(mean[i], 0);
    double *all[] = {x,       dy, gamma, beta, t.y,  t.dx,   t.dgamma,
                     t.dbeta, y,  dx,    mean, rstd, dgamma, dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

Test(norm_rms, is_its_definition) {
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_against_definition(shapes[i], norm_inputs[k]);
}

Test(norm_rms, gradient_is_that_of_finite_differences) {
    const norm_input inputs[] = {{0, 1}, {-2.3, 1}, {0.02, 0.03}};
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < 3; k++) check_norm_gradient(ops, shapes[i], inputs[k]);
}

/* By hand: mean(x^2) is 4, eps hardly counts. */
Test(norm_rms, by_hand) {
    const double x[4] = {2, -2, 2, 2}, gamma[2] = {1, 3}, beta[2] = {0, 10};
    const float x32[4] = {2, -2, 2, 2}, gamma32[2] = {1, 3}, beta32[2] = {0, 10};
    const double want[4] = {1, -1, 13, 13};
    double y[4], mean[1], rstd[1];
    float y32[4], mean32[1], rstd32[1];
    ops->forward_f64(y, mean, rstd, x, gamma, beta, (nl_norm_shape){1, 2, 2, 1});
    ops->forward_f32(y32, mean32, rstd32, x32, gamma32, beta32, (nl_norm_shape){1, 2, 2, 1});
    CHECK_CLOSE(y, want, 4, 1e-5, 0);
    CHECK_CLOSE(y32, want, 4, 1e-5, 0);
}

/* What centring takes off stays: a constant group is no beta, and dx does not sum to 0. */
Test(norm_rms, a_constant_is_seen) {
    const double x[4] = {3, 3, 3, 3}, gamma[4] = {1, 1, 1, 1}, beta[4] = {0}, dy[4] = {1, 2, 3, 4};
    double y[4], mean[1], rstd[1], dx[4], dgamma[4], dbeta[4];
    const nl_norm_shape s = {1, 4, 1, 1};
    ops->forward_f64(y, mean, rstd, x, gamma, beta, s);
    for (int i = 0; i < 4; i++) cr_assert(fabs(y[i] - 1) < 1e-5);
    const double one_side[4] = {1, 1, -1, 1};
    nl_norm_rms_backward_f64(dx, dgamma, dbeta, one_side, (const double[4]){1, 2, 3, 4}, mean, rstd,
                             gamma, s);
    cr_assert(fabs(dx[0] + dx[1] + dx[2] + dx[3]) > 0.01);
    nl_norm_rms_backward_f64(dx, dgamma, dbeta, dy, x, mean, rstd, gamma, s);
    cr_assert(fabs(dx[3] - dx[0]) > 0.5);
}

/* A mean of squares past all floats is not hidden: an rstd of 0 would make every value beta. */
Test(norm_rms, squares_past_all_floats_are_not_hidden) {
    const float x[4] = {3e30F, 3e30F, 3e30F, 3e30F}, ones[4] = {1, 1, 1, 1};
    float y[4], mean[1], rstd[1];
    ops->forward_f32(y, mean, rstd, x, ones, ones, (nl_norm_shape){1, 4, 1, 1});
    for (int i = 0; i < 4; i++) cr_assert(isnan(y[i]));
    float cell[5][8] = {{0}}, rows[7][8] = {{0}};
    for (int i = 0; i < 4; i++) cell[0][i] = 3e30F;
    const nl_cells cells = {cell[0], cell[1], cell[2], cell[3], cell[4]};
    nl_norm_map map = {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]};
    nl_norm_rms_fast_forward(&map, &cells, ones, ones, 4, 1, 1, NORM_EPS);
    for (int i = 0; i < 4; i++) cr_assert(isnan(map.scale[i]));
}
