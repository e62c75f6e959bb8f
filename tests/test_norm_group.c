/* Group norm, with layer norm (one group) and instance norm (a group a channel). The checks common
 * to all norms are in support/norm_check.c. */
#include <float.h>  // FLT_EPSILON
#include <math.h>   // sqrt
#include <string.h> // memcmp

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/norm_ops.h"
#include "support/random.h"
#include "support/workbook.h"

static const norm_ops *const ops = &plain_norms[NL_NORM_GROUP];

/* n, c, hw, groups */
static const nl_norm_shape shapes[] = {{2, 4, 1, 2},   {1, 8, 1, 1},   {1, 4, 2, 4}, {3, 6, 35, 2},
                                       {2, 12, 33, 3}, {2, 4, 784, 1}, {2, 3, 9, 3}, {1, 4, 2, 2}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

Test(norm_group, both_precisions_at_every_input) {
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_norm_truth(ops, shapes[i], norm_inputs[k]);
}

Test(norm_group, every_batch_size) {
    for (int n = 1; n <= 33; n++)
        check_norm_truth(ops, (nl_norm_shape){n, 4, 5, 2}, norm_inputs[1]);
}

Test(norm_group, gradient_is_that_of_finite_differences) {
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < n_norm_inputs; k++)
            if (norm_inputs[k].mean < 1e5) /* h must not vanish beside x */
                check_norm_gradient(ops, shapes[i], norm_inputs[k]);
}

Test(norm_group, a_constant_group_gives_beta) {
    for (int i = 0; i < SHAPES; i++) check_norm_constant(ops, shapes[i]);
}

Test(norm_group, one_value_a_group_gives_beta) {
    check_norm_constant(ops, (nl_norm_shape){2, 3, 1, 3});
}

Test(norm_group, exact_data_gives_exact_results) {
    check_norm_exact(ops, (nl_norm_shape){1, 4, 2, 2});
    check_norm_exact(ops, (nl_norm_shape){3, 6, 32, 1});
    check_norm_exact(ops, (nl_norm_shape){3, 6, 32, 6});
}

Test(norm_group, poison_stays_in_its_group) {
    check_norm_poison(ops, (nl_norm_shape){3, 4, 5, 2});
    check_norm_poison(ops, (nl_norm_shape){3, 4, 5, 1});
    check_norm_poison(ops, (nl_norm_shape){3, 4, 5, 4});
}

Test(norm_group, equals_pytorch) {
    check_norm_golden(ops, 1, "norm_group1");
    check_norm_golden(ops, 2, "norm_group2");
    check_norm_golden(ops, 4, "norm_group4");
}

Test(norm_group, an_image_does_not_depend_on_its_batch) {
    const nl_norm_shape s = {3, 4, 7, 2}, one = {1, 4, 7, 2};
    double *x = random_f64(84, 1, 0, 1), *y = guarded_f64(84), *alone = guarded_f64(28);
    const double gamma[] = {1, 2, 3, 4}, beta[] = {0, 1, 0, 1};
    double mean[6], rstd[6];
    ops->forward_f64(y, mean, rstd, x, gamma, beta, s);
    ops->forward_f64(alone, mean, rstd, x + 56, gamma, beta, one);
    CHECK_EQUAL(alone, y + 56, 28);
    guarded_free(x);
    guarded_free(y);
    guarded_free(alone);
}

static void check_workbook(int groups, const double *want_mean, const double *want_var) {
    const nl_norm_shape s = {4, 4, 4, groups};
    const double gamma[4] = {1, 1, 1, 1}, beta[4] = {0};
    const float gamma32[4] = {1, 1, 1, 1}, beta32[4] = {0};
    double y[64], mean[8], rstd[8], want_rstd[8];
    float y32[64], mean32[8], rstd32[8], x32[64];
    for (int i = 0; i < 64; i++) x32[i] = (float)workbook_x[i];
    for (int i = 0; i < 4 * groups; i++) want_rstd[i] = 1 / sqrt(want_var[i] + NORM_EPS);
    ops->forward_f64(y, mean, rstd, workbook_x, gamma, beta, s);
    ops->forward_f32(y32, mean32, rstd32, x32, gamma32, beta32, s);
    CHECK_EQUAL(mean, want_mean, 4 * groups);
    CHECK_EQUAL(rstd, want_rstd, 4 * groups);
    CHECK_EQUAL(mean32, want_mean, 4 * groups);
    CHECK_CLOSE(rstd32, want_rstd, 4 * groups, 0, (double)FLT_EPSILON);
    CHECK_CLOSE(y32, y, 64, 4 * (double)FLT_EPSILON, 0);
}

Test(norm_group, workbook) {
    check_workbook(1, workbook_ln_mean, workbook_ln_var);
    check_workbook(2, workbook_gn_mean, workbook_gn_var);
}
