/* Group norm (layer norm with one group, instance norm with a channel a group) by the kernels: the
 * rules that every norm keeps, then whole stages around it. */
#include "support/compare.h"    // cr_assert
#include "support/norm_check.h" // check_norm_truth
#include "support_device.h"
#include "support_stage.h"

// --- the norm by itself, under the signature of the plain operations ----------------------------

static const float zeros[96];

static nl_k_shape shape_of(nl_norm_shape s) {
    return (nl_k_shape){s.n, s.c, 1, s.hw, s.groups, 0, 0};
}

/* What backward needs of forward: the moments as the kernel saved them. */
enum { MOST_PAIRS = 256 };
static nl_k_moments saved[MOST_PAIRS];

static void forward(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, nl_norm_shape s) {
    const int64_t count = (int64_t)s.n * s.c * s.hw, pairs = norm_pairs(s);
    const nl_k_shape k = shape_of(s);
    cr_assert(pairs <= MOST_PAIRS);
    float *dx = device_copy(x, count, 4, 0), *dy = device_copy(NULL, count, 4, 0);
    float *dgamma = device_copy(gamma, s.c, 4, 0), *dbeta = device_copy(beta, s.c, 4, 0);
    float *dbias = device_copy(zeros, s.c, 4, 0);
    nl_k_moments *moments = device_copy(NULL, pairs, sizeof *moments, 0);
    void *scratch = scratch_make(nl_k_scratch_size(&k));
    const nl_k_stage stage = {.shape = k,
                              .centres = 1,
                              .eps = (float)NORM_EPS,
                              .z = dx,
                              .bias = dbias,
                              .gamma = dgamma,
                              .beta = dbeta,
                              .y = dy,
                              .saved = moments,
                              .scratch = scratch};
    cr_assert(nl_k_norm_group_forward(&stage, NULL) == 0);
    device_read(y, dy, count, 4);
    device_read(saved, moments, pairs, sizeof *saved);
    for (int64_t i = 0; i < pairs; i++) {
        mean[i] = saved[i].mean + saved[i].rest;
        rstd[i] = saved[i].rstd;
    }
    void *all[] = {dx, dy, dgamma, dbeta, dbias, moments, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
}

static void backward(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                     const float *mean, const float *rstd, const float *gamma, nl_norm_shape s) {
    (void)mean, (void)rstd;
    const int64_t count = (int64_t)s.n * s.c * s.hw;
    const nl_k_shape k = shape_of(s);
    float *out = device_copy(NULL, count, 4, 0), *sums = device_copy(NULL, 3 * s.c, 4, 0);
    float *up = device_copy(dy, count, 4, 0), *in = device_copy(x, count, 4, 0);
    float *g = device_copy(gamma, s.c, 4, 0), *zero = device_copy(zeros, s.c, 4, 0);
    nl_k_moments *moments = device_copy(saved, norm_pairs(s), sizeof *moments, 0);
    void *scratch = scratch_make(nl_k_scratch_size(&k));
    uint32_t *counters = counters_make(nl_k_counters(&k));
    const nl_k_stage stage = {.shape = k,
                              .centres = 1,
                              .z = in,
                              .bias = zero,
                              .gamma = g,
                              .beta = zero,
                              .saved = moments,
                              .dy = up,
                              .dz = out,
                              .dgamma = sums,
                              .dbeta = sums + s.c,
                              .dbias = sums + 2 * s.c,
                              .scratch = scratch,
                              .counters = counters};
    cr_assert(nl_k_norm_group_backward(&stage, NULL) == 0);
    device_read(dx, out, count, 4);
    device_read(dgamma, sums, s.c, 4);
    device_read(dbeta, sums + s.c, s.c, 4);
    void *all[] = {out, sums, up, in, g, zero, moments, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
    counters_free(counters, nl_k_counters(&k));
}

static void forward_f64(double *y, double *mean, double *rstd, const double *x, const double *gamma,
                        const double *beta, nl_norm_shape s) {
    nl_norm_group_forward_f64(y, mean, rstd, x, gamma, beta, s, NORM_EPS);
}

static const norm_ops ops = {forward_f64, nl_norm_group_backward_f64, forward, backward};

static const nl_norm_shape small[] = {{2, 4, 1, 2},  {1, 4, 8, 4},  {3, 6, 35, 2}, {3, 6, 35, 6},
                                      {2, 6, 35, 1}, {4, 9, 33, 3}, {1, 1, 2, 1},  {33, 4, 3, 2}};
enum { SMALL = sizeof small / sizeof *small };

Test(k_norm_group, truth_at_every_input) {
    for (int i = 0; i < SMALL; i++)
        for (int k = 0; k < n_norm_inputs; k++) check_norm_truth(&ops, small[i], norm_inputs[k]);
    check_norm_truth(&ops, (nl_norm_shape){2, 3, 9001, 1}, norm_inputs[2]);
}

Test(k_norm_group, every_batch_size) {
    for (int n = 1; n <= 33; n++)
        check_norm_truth(&ops, (nl_norm_shape){n, 4, 5, 2}, norm_inputs[1]);
}

Test(k_norm_group, rules) {
    check_norm_constant(&ops, (nl_norm_shape){4, 6, 33, 3});
    check_norm_constant(&ops, (nl_norm_shape){2, 2, 9001, 1});
    check_norm_exact(&ops, (nl_norm_shape){1, 3, 2, 1});
    check_norm_exact(&ops, (nl_norm_shape){4, 6, 32, 2});
    check_norm_exact(&ops, (nl_norm_shape){2, 2, 9000, 1});
    check_norm_poison(&ops, (nl_norm_shape){3, 4, 5, 2});
    check_norm_poison(&ops, (nl_norm_shape){2, 4, 5, 1});
}

// --- whole stages -------------------------------------------------------------------------------

/* n, c, h, w, groups, pool, relu */
static const stage_case cases[] = {
    {NL_NORM_GROUP, {2, 4, 1, 1, 2, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 6, 5, 7, 2, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 6, 5, 7, 1, 0, 0}, 0, {1000, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 5, 5, 7, 5, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {7, 8, 4, 4, 2, 0, 1}, 0, {0.02, 0.003}, 0, false, false, false},
    {NL_NORM_GROUP, {7, 8, 4, 4, 2, 0, 1}, 0, {0, 1}, 1, false, false, false},
    {NL_NORM_GROUP, {2, 16, 28, 28, 4, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 24, 28, 28, 1, 0, 1}, 0, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 7, 49, 51, 1, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 2, 130, 129, 2, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 16, 28, 28, 4, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 24, 28, 28, 1, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 7, 49, 51, 1, 2, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {2, 7, 49, 51, 1, 3, 1}, 0.3, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {4, 8, 12, 12, 2, 2, 1}, 0.05, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 5, 7, 2, 2, 1}, 0.5, {-2.3, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 3, 7, 8, 3, 3, 0}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 4, 4, 1, 1, 1}, 0.5, {0, 1}, 1, false, false, false},
    {NL_NORM_GROUP, {40, 2, 3, 3, 1, 0, 1}, 0, {0, 1}, 0, false, false, false},
    {NL_NORM_GROUP, {3, 4, 4, 6, 2, 2, 1}, 0, {0, 1}, 0, false, false, true},
    {NL_NORM_GROUP, {3, 4, 4, 6, 2, 0, 1}, 0, {0, 1}, 0, false, false, true},
};

Test(k_norm_group, every_stage) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_stage(&cases[i]);
}

Test(k_norm_group, every_stage_without_centring) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_case c = cases[i];
        c.norm = NL_NORM_RMS;
        check_stage(&c);
    }
}

Test(k_norm_group, one_value_a_group_without_centring) {
    check_stage(
        &(stage_case){NL_NORM_RMS, {3, 4, 1, 1, 4, 0, 0}, 0, {0.5, 1}, 0, false, false, false});
}
