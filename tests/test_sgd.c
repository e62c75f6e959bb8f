/* The update: by hand, against PyTorch's optimiser over three steps, float against double. */
#include <float.h> // FLT_EPSILON
#include <math.h>  // fabs

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/golden.h"
#include "support/random.h"

Test(sgd, momentum_by_hand) {
    double w[] = {1, -2}, v[] = {0, 0};
    const double dw[] = {0.5, 4};
    const nl_sgd s = {.lr = 0.25, .momentum = 0.5};
    nl_sgd_update_f64(w, v, dw, 2, s);
    CHECK_EQUAL(v, dw, 2); /* first step: v = g */
    CHECK_EQUAL(w, ((double[]){0.875, -3}), 2);
    nl_sgd_update_f64(w, v, dw, 2, s);
    CHECK_EQUAL(v, ((double[]){0.75, 6}), 2);
    CHECK_EQUAL(w, ((double[]){0.6875, -4.5}), 2);
}

Test(sgd, nesterov_by_hand) {
    double w[] = {1}, v[] = {2};
    const double dw[] = {4};
    nl_sgd_update_f64(w, v, dw, 1, (nl_sgd){.lr = 0.25, .momentum = 0.5, .nesterov = true});
    CHECK_EQUAL(v, ((double[]){5}), 1);
    CHECK_EQUAL(w, ((double[]){1 - 0.25 * (4 + 0.5 * 5)}), 1);
}

Test(sgd, l1_pushes_by_the_sign_and_leaves_zero_alone) {
    double w[] = {2, -0.5, 0, -0.0}, v[] = {0, 0, 0, 0};
    const double dw[] = {0, 0, 0, 0};
    nl_sgd_update_f64(w, v, dw, 4, (nl_sgd){.lr = 0.5, .momentum = 0.9, .l1 = 0.25});
    CHECK_EQUAL(v, ((double[]){0.25, -0.25, 0, 0}), 4);
    CHECK_EQUAL(w, ((double[]){1.875, -0.375, 0, 0}), 4);
}

Test(sgd, weight_decay_by_hand) {
    double w[] = {2, -4}, v[] = {0, 0};
    const double dw[] = {1, 1};
    nl_sgd_update_f64(w, v, dw, 2, (nl_sgd){.lr = 0.5, .momentum = 0.9, .weight_decay = 0.25});
    CHECK_EQUAL(v, ((double[]){1.5, 0}), 2);
    CHECK_EQUAL(w, ((double[]){1.25, -4}), 2);
}

Test(sgd, nan_passes) {
    double w[] = {1, NAN}, v[] = {0, 0};
    const double dw[] = {NAN, 1};
    nl_sgd_update_f64(w, v, dw, 2, (nl_sgd){.lr = 0.5, .momentum = 0.9, .l1 = 0.1});
    cr_assert(isnan(w[0]) && isnan(w[1]) && isnan(v[0]));
}

Test(sgd, sum_abs) {
    const double x[] = {-1, 2.5, 0, -0.0, 3};
    const float y[] = {-1, 2.5F, 0, -0.0F, 3};
    cr_assert_eq(nl_sum_abs_f64(x, 5), 6.5);
    cr_assert_eq(nl_sum_abs_f32(y, 5), 6.5);
    cr_assert(isnan(nl_sum_abs_f64((double[]){1, NAN}, 2)));
}

Test(sgd, three_steps_equal_pytorch) {
    const char *names[] = {"sgd.plain", "sgd.nesterov"};
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        double *w = golden("ops.txt", "sgd.w", 20), *dw = golden("ops.txt", "sgd.dw", 60);
        double *want = golden("ops.txt", names[nesterov], 20);
        double v[20] = {0};
        const nl_sgd s = {
            .lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = nesterov == 1};
        for (int64_t step = 0; step < 3; step++) nl_sgd_update_f64(w, v, dw + 20 * step, 20, s);
        CHECK_CLOSE(w, want, 20, 1e-14, 0);
        double *all[] = {w, dw, want};
        for (int i = 0; i < 3; i++) guarded_free(all[i]);
    }
}

Test(sgd, float_is_within_4_eps_at_every_length) {
    for (int64_t count = 1; count <= 37; count++) {
        double *w = random_f64(count, 1, 0, 1), *v = random_f64(count, 2, 0, 1);
        double *dw = random_f64(count, 3, 0, 1);
        float *w32 = to_f32(w, count), *v32 = to_f32(v, count), *dw32 = to_f32(dw, count);
        const nl_sgd s = {
            .lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .l1 = 0.001, .nesterov = true};
        nl_sgd_update_f64(w, v, dw, count, s);
        nl_sgd_update_f32(w32, v32, dw32, count, s);
        CHECK_CLOSE(v32, v, count, 4 * (double)FLT_EPSILON, 0); /* all terms are below 2 */
        CHECK_CLOSE(w32, w, count, 4 * (double)FLT_EPSILON, 0);
        double *doubles[] = {w, v, dw};
        float *floats[] = {w32, v32, dw32};
        for (int k = 0; k < 3; k++) guarded_free(doubles[k]), guarded_free(floats[k]);
    }
}
