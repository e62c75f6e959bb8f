/* Batch norm. The checks common to all norms are in support/norm_check.c. */
#include <float.h> // FLT_EPSILON
#include <math.h>  // sqrt
#include <stdio.h> // snprintf

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/golden.h"
#include "support/norm_ops.h"
#include "support/random.h"
#include "support/workbook.h"

static const norm_ops *const ops = &plain_norms[NL_NORM_BATCH];

/* n, c, hw: few values, odd widths, one channel, one image, single pixels. */
static const nl_norm_shape shapes[] = {{2, 3, 1, 0},  {1, 4, 8, 0},   {1, 1, 2, 0}, {3, 5, 35, 0},
                                       {4, 7, 33, 0}, {2, 2, 784, 0}, {5, 1, 9, 0}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

Test(norm_batch, both_precisions_at_every_input) {
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_norm_truth(ops, shapes[i], norm_inputs[k]);
}

Test(norm_batch, every_batch_size) {
    for (int n = 1; n <= 33; n++)
        check_norm_truth(ops, (nl_norm_shape){n, 3, 5, 0}, norm_inputs[1]);
}

Test(norm_batch, gradient_is_that_of_finite_differences) {
    for (int i = 0; i < SHAPES; i++)
        for (int k = 0; k < n_norm_inputs; k++)
            if (norm_inputs[k].mean < 1e5) /* h must not vanish beside x */
                check_norm_gradient(ops, shapes[i], norm_inputs[k]);
}

Test(norm_batch, a_constant_channel_gives_beta) {
    for (int i = 0; i < SHAPES; i++) check_norm_constant(ops, shapes[i]);
}

Test(norm_batch, exact_data_gives_exact_results) {
    check_norm_exact(ops, (nl_norm_shape){1, 3, 2, 0});
    check_norm_exact(ops, (nl_norm_shape){4, 5, 32, 0});
}

Test(norm_batch, poison_stays_in_its_channel) {
    check_norm_poison(ops, (nl_norm_shape){3, 4, 5, 0});
}

Test(norm_batch, equals_pytorch) {
    check_norm_golden(ops, 0, "norm_batch");
}

// --- running values and evaluation --------------------------------------------------------------

Test(norm_batch, running_values_by_hand) {
    const double x[] = {1, 3, 5, 7}; /* mean 4, variance 5, unbiased 20/3 */
    const float x32[] = {1, 3, 5, 7};
    const double want_mean[] = {0.75 * 10 + 0.25 * 4};
    const double want_var[] = {0.75 * 2 + 0.25 * 20 / 3};
    const double one = 1, zero = 0;
    const float one32 = 1, zero32 = 0;
    double y[4], mean, rstd, running_mean = 10, running_var = 2;
    float y32[4], mean32, rstd32, running_mean32 = 10, running_var32 = 2;
    const nl_norm_shape s = {2, 1, 2, 0};
    nl_norm_batch_forward_f64(y, &mean, &rstd, &running_mean, &running_var, x, &one, &zero, s,
                              NORM_EPS, 0.25);
    nl_norm_batch_forward_f32(y32, &mean32, &rstd32, &running_mean32, &running_var32, x32, &one32,
                              &zero32, s, NORM_EPS, 0.25);
    CHECK_CLOSE(&running_mean, want_mean, 1, 0, 1e-15);
    CHECK_CLOSE(&running_var, want_var, 1, 0, 1e-15);
    CHECK_CLOSE(&running_mean32, want_mean, 1, 0, 2 * (double)FLT_EPSILON);
    CHECK_CLOSE(&running_var32, want_var, 1, 0, 2 * (double)FLT_EPSILON);
}

Test(norm_batch, running_values_and_evaluation_equal_pytorch) {
    const char *const kinds[] = {"near", "far", "small"};
    for (int i = 0; i < 3; i++) {
        const char *const names[] = {"x",          "gamma",        "beta",        "before_mean",
                                     "before_var", "running_mean", "running_var", "eval"};
        double *t[8];
        for (int k = 0; k < 8; k++) {
            char full[96];
            snprintf(full, sizeof full, "norm_batch.%s.%s", kinds[i], names[k]);
            t[k] = golden("ops.txt", full, k == 0 || k == 7 ? 72 : 4);
        }
        const nl_norm_shape s = {3, 4, 6, 0};
        double *y = guarded_f64(72), mean[4], rstd[4];
        nl_norm_batch_forward_f64(y, mean, rstd, t[3], t[4], t[0], t[1], t[2], s, NORM_EPS, 0.1);
        CHECK_CLOSE(t[3], t[5], 4, 0, 1e-12);
        CHECK_CLOSE(t[4], t[6], 4, 0, 1e-9);
        nl_norm_batch_eval_f64(y, t[0], t[1], t[2], t[5], t[6], s, NORM_EPS);
        CHECK_CLOSE(y, t[7], 72, 0, 1e-10);
        for (int k = 0; k < 8; k++) guarded_free(t[k]);
        guarded_free(y);
    }
}

Test(norm_batch, evaluation_takes_the_running_values_and_each_image_alone) {
    const nl_norm_shape s = {3, 2, 5, 0}, one = {1, 2, 5, 0};
    double *x = random_f64(30, 1, -2.3, 1), *y = guarded_f64(30), *alone = guarded_f64(10);
    const double gamma[] = {2, -0.5}, beta[] = {0.25, 1}, mean[] = {-2, 7}, var[] = {4e-6, 9};
    nl_norm_batch_eval_f64(y, x, gamma, beta, mean, var, s, NORM_EPS);
    for (int i = 0; i < 30; i++) {
        const int c = i / 5 % 2;
        const double want = (x[i] - mean[c]) / sqrt(var[c] + NORM_EPS) * gamma[c] + beta[c];
        CHECK_CLOSE(&y[i], &want, 1, 1e-12, 0);
    }
    nl_norm_batch_eval_f64(alone, x + 20, gamma, beta, mean, var, one, NORM_EPS);
    CHECK_EQUAL(alone, y + 20, 10);
    guarded_free(x);
    guarded_free(y);
    guarded_free(alone);
}

Test(norm_batch, workbook) {
    const nl_norm_shape s = {4, 4, 4, 0};
    const double gamma[4] = {1, 1, 1, 1}, beta[4] = {0};
    const float gamma32[4] = {1, 1, 1, 1}, beta32[4] = {0};
    double y[64], mean[4], rstd[4], running_mean[4], running_var[4], want_rstd[4], want_var[4];
    float y32[64], mean32[4], rstd32[4], running_mean32[4] = {0}, running_var32[4] = {0}, x32[64];
    for (int i = 0; i < 64; i++) x32[i] = (float)workbook_x[i];
    for (int i = 0; i < 4; i++) {
        running_mean[i] = running_var[i] = 0;
        want_rstd[i] = 1 / sqrt(workbook_bn_var[i] + NORM_EPS);
        want_var[i] = workbook_bn_var[i] * 16 / 15;
    }
    nl_norm_batch_forward_f64(y, mean, rstd, running_mean, running_var, workbook_x, gamma, beta, s,
                              NORM_EPS, 1);
    CHECK_EQUAL(mean, workbook_bn_mean, 4);
    CHECK_EQUAL(rstd, want_rstd, 4);
    CHECK_EQUAL(running_mean, workbook_bn_mean, 4);
    CHECK_CLOSE(running_var, want_var, 4, 0, 1e-15);
    nl_norm_batch_forward_f32(y32, mean32, rstd32, running_mean32, running_var32, x32, gamma32,
                              beta32, s, NORM_EPS, 1);
    CHECK_EQUAL(mean32, workbook_bn_mean, 4);
    CHECK_CLOSE(rstd32, want_rstd, 4, 0, (double)FLT_EPSILON);
    CHECK_CLOSE(running_var32, want_var, 4, 0, (double)FLT_EPSILON);
    CHECK_CLOSE(y32, y, 64, 4 * (double)FLT_EPSILON, 0);
}
