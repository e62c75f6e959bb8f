/* Softmax and cross-entropy. */
#include <float.h> // FLT_EPSILON
#include <math.h>  // log, NAN

#include "normlab/ops.h"
#include "support/compare.h"
#include "support/difference.h"
#include "support/golden.h"
#include "support/random.h"

static uint32_t hits;

Test(softmax_loss, by_hand) {
    const double logits[] = {0, log(3), 0, 0, 0, 0, 5, 5};
    const uint8_t labels[] = {1, 0, 1, 1};
    const double p[] = {0.25, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    const double d[] = {0.0625, -0.0625, -0.125, 0.125, 0.125, -0.125, 0.125, -0.125};
    const double loss[] = {log(4) - log(3) + 3 * log(2)};
    double *probs = guarded_f64(8), *dlogits = guarded_f64(8);
    uint8_t predictions[4];
    double got[] = {nl_softmax_loss_f64(probs, dlogits, predictions, &hits, logits, labels, 4, 2)};
    CHECK_CLOSE(got, loss, 1, 1e-15, 0);
    CHECK_CLOSE(probs, p, 8, 1e-15, 0);
    CHECK_CLOSE(dlogits, d, 8, 1e-15, 0);
    cr_assert_eq(hits, 2u); /* ties go to the first */
    cr_assert_arr_eq(predictions, ((uint8_t[]){1, 0, 0, 0}), 4);
    got[0] = nl_softmax_loss_f64(NULL, NULL, NULL, &hits, logits, labels, 4, 2);
    CHECK_CLOSE(got, loss, 1, 1e-15, 0);
    guarded_free(probs);
    guarded_free(dlogits);
}

Test(softmax_loss, large_logits_neither_overflow_nor_vanish) {
    const double logits[] = {1e4, 0, -1e4, 1e4};
    const float logits32[] = {1e4F, 0, -1e4F, 1e4F};
    const uint8_t labels[] = {1, 1};
    const double want[] = {1e4};
    double got[] = {nl_softmax_loss_f64(NULL, NULL, NULL, &hits, logits, labels, 2, 2)};
    CHECK_CLOSE(got, want, 1, 1e-9, 0);
    got[0] = nl_softmax_loss_f32(NULL, NULL, NULL, &hits, logits32, labels, 2, 2);
    CHECK_CLOSE(got, want, 1, 1e-3, 0);
    const double near_one[] = {30, 0}; /* log1p(exp(-30)) */
    got[0] = nl_softmax_loss_f64(NULL, NULL, NULL, &hits, near_one, (uint8_t[]){0}, 1, 2);
    const double small[] = {log1p(exp(-30))};
    CHECK_CLOSE(got, small, 1, 1e-15, 0);
}

Test(softmax_loss, a_value_that_is_not_finite_shows_in_the_loss) {
    for (int place = 0; place < 3; place++) {
        const double bad[] = {NAN, INFINITY};
        for (int kind = 0; kind < 2; kind++) {
            double logits[] = {1, 2, 3};
            float logits32[] = {1, 2, 3};
            logits[place] = bad[kind];
            logits32[place] = (float)bad[kind];
            const uint8_t label[] = {1};
            double d[3];
            cr_assert_not(isfinite(nl_softmax_loss_f64(NULL, d, NULL, &hits, logits, label, 1, 3)));
            cr_assert(isnan(d[0]) || isnan(d[1]) || isnan(d[2]));
            cr_assert_not(
                isfinite(nl_softmax_loss_f32(NULL, NULL, NULL, &hits, logits32, label, 1, 3)));
        }
    }
}

typedef struct problem {
    int n;
    double *logits;
    const uint8_t *labels;
} problem;

static double mean_loss(void *context) {
    const problem *p = context;
    return nl_softmax_loss_f64(NULL, NULL, NULL, &hits, p->logits, p->labels, p->n, 10) / p->n;
}

Test(softmax_loss, finite_differences_and_float_at_every_batch_size) {
    uint8_t labels[33];
    for (int i = 0; i < 33; i++) labels[i] = (uint8_t)(i * 7 % 10);
    for (int n = 1; n <= 33; n++) {
        const int64_t count = n * 10;
        problem p = {n, random_f64(count, (uint64_t)n, -2.3, 2), labels};
        double *d = guarded_f64(count), *probs = guarded_f64(count);
        const double sum = nl_softmax_loss_f64(probs, d, NULL, &hits, p.logits, labels, n, 10);
        check_gradient("dlogits", p.logits, d, count, mean_loss, &p, 1e-4, 1e-7);
        float *l32 = to_f32(p.logits, count), *d32 = guarded_f32(count);
        float *probs32 = guarded_f32(count);
        const double sum32 = nl_softmax_loss_f32(probs32, d32, NULL, &hits, l32, labels, n, 10);
        /* logits below 6: exp carries 6 eps of them, the sum a few more */
        CHECK_CLOSE(probs32, probs, count, 16 * (double)FLT_EPSILON, 0);
        CHECK_CLOSE(d32, d, count, 16 * (double)FLT_EPSILON / n, 0);
        cr_assert(fabs(sum32 - sum) <= 16 * (double)FLT_EPSILON * n);
        double *doubles[] = {p.logits, d, probs};
        float *floats[] = {l32, d32, probs32};
        for (int k = 0; k < 3; k++) guarded_free(doubles[k]), guarded_free(floats[k]);
    }
}

Test(softmax_loss, equals_pytorch) {
    double *logits = golden("ops.txt", "softmax_loss.x", 50);
    double *want = golden("ops.txt", "softmax_loss.dx", 50);
    double *mean = golden("ops.txt", "softmax_loss.y", 1);
    uint8_t labels[] = {3, 0, 9, 5, 5};
    double *d = guarded_f64(50);
    double got[] = {nl_softmax_loss_f64(NULL, d, NULL, &hits, logits, labels, 5, 10) / 5};
    CHECK_CLOSE(got, mean, 1, 1e-14, 0);
    CHECK_CLOSE(d, want, 50, 1e-14, 0);
    double *all[] = {logits, want, mean, d};
    for (int i = 0; i < 4; i++) guarded_free(all[i]);
}
