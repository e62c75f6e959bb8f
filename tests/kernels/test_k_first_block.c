/* The first block by the kernels, without conv1's tensor: against the plain operations one after
 * another in double precision, over hard inputs; the mask's bits; what is exact; what a NaN reaches;
 * evaluation. */
#include "support/compare.h" // cr_assert
#include "support/first_check.h"
#include "support_device.h"
#include "support_first.h"

#include <stdlib.h> // free

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static const nl_norm norms[] = {NL_NORM_BATCH,    NL_NORM_LAYER, NL_NORM_GROUP,
                                NL_NORM_INSTANCE, NL_NORM_RMS,   NL_NORM_NONE};

/* conv2's bias belongs to the stage behind it. */
static problem draw(nl_conv_shape s, int o2, nl_norm norm, int groups, bool relu) {
    problem p = first_problem(s, o2, norm, groups, relu);
    for (int64_t i = 0; i < p.in_count[B2]; i++) p.in[B2][i] = 0;
    return p;
}

static int groups_of(nl_norm norm, int channels) {
    const nl_norm_row *row = nl_norm_find(norm);
    return row && row->groups ? row->groups(channels, 2) : 0;
}

// --- against double precision -------------------------------------------------------------------

typedef struct shape {
    nl_conv_shape one;
    int outputs;
} shape;

/* Parts of several rows and of one, quads and singles, channels in no, part and all of a lane's
 * turns, more outputs than are taken at once. n, c, h, w, o, k, pad. */
static const shape shapes[] = {
    {{1, 1, 28, 28, 96, 5, 2}, 16}, {{2, 1, 9, 7, 12, 3, 1}, 4},    {{3, 1, 9, 9, 34, 5, 0}, 5},
    {{2, 1, 13, 3, 6, 3, 0}, 17},   {{2, 3, 12, 10, 20, 3, 1}, 16}, {{1, 3, 6, 5, 66, 3, 0}, 3},
    {{1, 1, 6, 64, 100, 3, 1}, 33}, {{2, 1, 5, 5, 128, 5, 4}, 10},  {{5, 1, 3, 5, 2, 3, 1}, 1}};

static void check_shape(const shape *s, int input, void (*run)(outputs *, const problem *)) {
    for (int i = 0; i < COUNT(norms); i++) {
        const bool relu = (i + input) % 3 > 0 || s->one.h == 28;
        problem p = draw(s->one, s->outputs, norms[i], groups_of(norms[i], s->one.o), relu);
        first_inputs[input].make(&p);
        first_check(&p, first_inputs[input].name, run);
        first_drop(&p);
    }
}

Test(k_first_block, is_what_the_plain_operations_are) {
    for (int i = 0; i < COUNT(shapes); i++) check_shape(&shapes[i], 0, first_run_kernels);
}

Test(k_first_block, hard_inputs) {
    for (int k = 1; k < n_first_inputs; k++) {
        check_shape(&shapes[1], k, first_run_kernels);
        check_shape(&shapes[2], k, first_run_kernels);
    }
}

Test(k_first_block, unaligned_tensors) {
    check_shape(&(shape){{2, 1, 8, 8, 6, 3, 1}, 4}, 0, first_run_kernels);
    check_shape(&(shape){{2, 1, 8, 8, 6, 3, 1}, 4}, 0, first_run_kernels_unaligned);
}

Test(k_first_block, every_batch_size) {
    for (int n = 1; n <= 33; n += n < 10 ? 1 : 7)
        check_shape(&(shape){{n, 1, 4, 5, 4, 3, 1}, 2}, 0, first_run_kernels);
}

// --- the way back makes the same y ---------------------------------------------------------------

/* conv2 as the identity shows y in z2; a dz2 of a single 1 for each output shows y in its filter's
 * gradient, and one of 1 everywhere how many positions the mask lets through, in beta's (the bias's
 * where there is no norm). */
static void check_mask(nl_norm norm, bool ones) {
    const int c = 12, hw = 9 * 6;
    problem p = draw((nl_conv_shape){2, 1, 9, 6, c, 3, 1}, c, norm, groups_of(norm, c), true);
    for (int64_t i = 0; i < p.in_count[X]; i++) /* many a y is 0 but for rounding */
        p.in[X][i] = (float)(int)(2 * p.in[X][i]) / 3;
    for (int64_t i = 0; i < p.in_count[W1]; i++) p.in[W1][i] = (float)(int)(4 * p.in[W1][i]) / 7;
    for (int i = 0; i < c; i++) p.in[BETA][i] = p.in[B1][i] = 0;
    for (int i = 0; i < c * c; i++) p.in[W2][i] = i % c == i / c;
    for (int64_t i = 0; i < p.in_count[DZ2]; i++) {
        const int64_t image = i / (c * hw), o = i / hw % c, at = i % hw;
        p.in[DZ2][i] = ones || (image == o % 2 && at == o * 5 % hw);
    }
    first_device d = first_device_make(&p, 0, NULL);
    first_device_run(&d);
    float *z2 = guarded_f32(p.out_count[Z2]), *dw2 = guarded_f32(c * c), passed[12];
    device_read(z2, d.out[Z2], p.out_count[Z2], sizeof *z2);
    device_read(dw2, d.out[DW2], c * c, sizeof *dw2);
    device_read(passed, p.norm ? d.out[DBETA] : d.out[DB1], c, sizeof *passed);
    for (int i = 0; i < c; i++) {
        int above = 0;
        for (int k = 0; k < 2 * hw; k++) above += z2[(k / hw * c + i) * hw + k % hw] > 0;
        if (ones)
            cr_assert(passed[i] == (float)above, "channel %d: %g, not %d", i, passed[i], above);
        for (int o = 0; o < c && !ones; o++)
            cr_assert(dw2[o * c + i] == z2[(o % 2 * c + i) * hw + o * 5 % hw], "%d, %d", o, i);
    }
    guarded_free(z2);
    guarded_free(dw2);
    first_device_drop(&d);
    first_drop(&p);
}

Test(k_first_block, the_way_back_makes_the_same_bits) {
    for (int i = 0; i < COUNT(norms); i++) {
        check_mask(norms[i], false);
        check_mask(norms[i], true);
    }
}

// --- what is exact -------------------------------------------------------------------------------

/* z2 of one channel, which sees no variance: conv2 takes it alone. */
static void check_exact(problem *p, int channel, const char *what) {
    for (int64_t i = 0; i < p->in_count[W2]; i++)
        p->in[W2][i] = i / p->one.o == 0 && i % p->one.o == channel;
    outputs got = first_outputs(p);
    first_run_kernels(&got, p);
    const float beta = p->in[BETA][channel], y = p->relu && beta < 0 ? 0 : beta;
    const int hw = p->two.h * p->two.w;
    for (int i = 0; i < p->one.n * hw; i++) {
        const double z2 = got.of[Z2][i / hw * p->two.o * hw + i % hw];
        cr_assert(z2 == (double)y, "%s, %s: %.9g, not beta %.9g", what, first_norm(p), z2,
                  (double)y);
    }
    first_drop_outputs(&got);
}

Test(k_first_block, no_variance_gives_exactly_beta) {
    static const float values[] = {1.7F, 0, -1e-3F, 1000.3F, 3e7F};
    for (int i = 0; i < 2 * COUNT(values); i++) {
        const nl_norm norm = i % 2 ? NL_NORM_INSTANCE : NL_NORM_BATCH;
        const float value = values[i / 2];
        problem p = draw((nl_conv_shape){3, 1, 9, 8, 5, 5, 0}, 2, norm, i % 2 ? 5 : 0, i % 4 > 1);
        for (int64_t j = 0; j < p.in_count[X]; j++) p.in[X][j] = value;
        p.in[BETA][3] = 0;
        for (int c = 0; c < 5; c++) check_exact(&p, c, "constant");
        first_drop(&p);
        p = draw((nl_conv_shape){3, 1, 9, 8, 5, 5, 2}, 2, norm, i % 2 ? 5 : 0, i % 4 > 1);
        for (int64_t j = 0; j < p.in_count[X]; j++) p.in[X][j] += value;
        first_zero_filter(&p);
        p.in[BETA][1] *= (float)(i > 5);
        check_exact(&p, 1, "a filter of zeros");
        first_drop(&p);
    }
}

// --- poison -------------------------------------------------------------------------------------

/* Finite is what is finite in the plain operations, and nothing else. But an infinite gamma may reach
 * further: as slope and offset of the folded norm it is infinite in both, of opposite signs. */
static void check_poison(nl_norm norm, bool relu, int input, int64_t at, float poison) {
    problem p = draw((nl_conv_shape){3, 1, 9, 9, 6, 3, 1}, 5, norm, groups_of(norm, 6), relu);
    p.in[input][at] = poison;
    outputs plain = first_outputs(&p), got = first_outputs(&p);
    first_run_f32(&plain, &p);
    first_run_kernels(&got, &p);
    for (int i = Z2; i <= VAR; i++)
        for (int64_t k = 0; k < p.out_count[i]; k++)
            cr_assert(!isfinite(got.of[i][k]) == !isfinite(plain.of[i][k]) ||
                          (input == GAMMA && isinf(poison) && !isfinite(got.of[i][k])),
                      "%s, %g in %d: %s[%d]: %g, plain %g", first_norm(&p), (double)poison, input,
                      first_names[i], (int)k, got.of[i][k], plain.of[i][k]);
    first_drop_outputs(&plain);
    first_drop_outputs(&got);
    first_drop(&p);
}

Test(k_first_block, poison_goes_where_it_goes_in_the_plain_operations) {
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    static const struct {
        int input;
        int64_t at;
    } places[] = {{X, 0},  {X, 81 + 40}, {X, 242},  {W1, 9 + 4}, {B1, 2},
                  {W2, 8}, {GAMMA, 1},   {BETA, 3}, {DZ2, 50}};
    for (int i = 0; i < COUNT(norms) * 2 * COUNT(places) * COUNT(poisons); i++) {
        const int place = i / COUNT(poisons) % COUNT(places),
                  norm = i / COUNT(poisons) / COUNT(places);
        check_poison(norms[norm / 2], norm % 2, places[place].input, places[place].at,
                     poisons[i % COUNT(poisons)]);
    }
}

/* A variance past the largest float must not become a rstd of 0, behind which all is beta. */
Test(k_first_block, a_variance_past_all_floats_is_not_hidden) {
    for (int i = 0; i < COUNT(norms) - 1; i++) {
        problem p =
            draw((nl_conv_shape){2, 1, 9, 9, 6, 3, 1}, 5, norms[i], groups_of(norms[i], 6), true);
        for (int64_t k = 0; k < p.in_count[X]; k++) p.in[X][k] *= 1e25F;
        outputs got = first_outputs(&p);
        first_run_kernels(&got, &p);
        for (int64_t k = 0; k < p.out_count[Z2]; k++)
            cr_assert(isnan(got.of[Z2][k]), "%d: z2[%d] %g", i, (int)k, got.of[Z2][k]);
        first_drop_outputs(&got);
        first_drop(&p);
    }
}

// --- evaluation ---------------------------------------------------------------------------------

/* With the running values that are this batch's moments, z2 is that of training but for rounding;
 * images of their own give the same bits. */
Test(k_first_block, evaluation_by_running_values) {
    problem p = draw((nl_conv_shape){3, 1, 12, 11, 20, 5, 2}, 7, NL_NORM_BATCH, 0, true);
    const int64_t count = p.out_count[Z2], hw = p.two.h * p.two.w, one = count / 3;
    outputs want = first_outputs(&p);
    first_run_f64(&want, &p);
    float *running[2] = {guarded_f32(20), guarded_f32(20)};
    for (int i = 0; i < 20; i++) {
        running[0][i] = (float)want.of[MEAN][i];
        running[1][i] = (float)(want.of[VAR][i] * (double)(3 * hw - 1) / (double)(3 * hw));
    }
    first_device d = first_device_make(&p, 0, running);
    first_device_run(&d);
    float *all = guarded_f32(count), *alone = guarded_f32(one);
    device_read(all, d.out[Z2], count, sizeof *all);
    for (int64_t i = 0; i < count; i++)
        cr_assert(fabs((double)all[i] - want.of[Z2][i]) <= 2e-6 * (1 + fabs(want.of[Z2][i])),
                  "z2[%d] %g, not %g", (int)i, (double)all[i], want.of[Z2][i]);
    d.f.stage.shape.n = 1;
    d.f.x += 2 * p.one.h * p.one.w;
    first_device_run(&d);
    device_read(alone, d.out[Z2], one, sizeof *alone);
    for (int64_t i = 0; i < one; i++) cr_assert(alone[i] == all[2 * one + i], "%d", (int)i);
    d.f.stage.shape.n = 3;
    for (int i = 0; i < 2; i++) guarded_free(running[i]);
    guarded_free(all);
    guarded_free(alone);
    first_device_drop(&d);
    first_drop_outputs(&want);
    first_drop(&p);
}

// --- what is refused ----------------------------------------------------------------------------

Test(k_first_block, shapes_that_it_was_not_made_for) {
    const nl_k_first good = {.stage = {.shape = {.n = 2, .c = 96, .h = 28, .w = 28, .groups = 1}},
                             .channels = 1,
                             .h = 28,
                             .w = 28,
                             .k = 5,
                             .pad = 2,
                             .outputs = 16};
    cr_assert(nl_k_first_shared(&good) > 0 && nl_k_first_shared(&good) <= 96 << 10);
    nl_k_first f = good;
    f.k = 7, f.pad = 3;
    cr_assert(nl_k_first_shared(&f) == 0);
    f = good, f.channels = 2;
    cr_assert(nl_k_first_shared(&f) == 0);
    f = good, f.stage.shape.c = 129;
    cr_assert(nl_k_first_shared(&f) == 0);
    f = good, f.stage.shape.pool = 2;
    cr_assert(nl_k_first_shared(&f) == 0);
}
