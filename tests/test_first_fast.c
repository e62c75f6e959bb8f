/* The first two layers as one operation of the CPU engine, with statistics and gradients from patch
 * moments: against the plain operations one after another, over hard inputs; what is exact, what a
 * NaN reaches. */
#include <criterion/criterion.h>
#include <math.h>   // isfinite
#include <stdlib.h> // free

#include "support/first_check.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- Against each other ---- */

static void run_fast(outputs *got, const problem *p) {
    first_run_fast(got, p, first_simd(NULL), false);
}

static const nl_conv_shape shapes[] = {
    {3, 1, 28, 28, 96, 5, 2}, {2, 1, 28, 28, 8, 5, 0}, {2, 1, 9, 7, 12, 3, 1},
    {2, 1, 6, 6, 24, 2, 1},   {3, 1, 9, 9, 10, 5, 0},  {2, 1, 3, 3, 6, 3, 2},
    {2, 1, 28, 28, 40, 7, 3}, {3, 1, 12, 12, 4, 8, 0}, {4, 1, 28, 28, 20, 1, 0},
    {2, 3, 12, 10, 20, 3, 1}, {2, 4, 9, 9, 12, 4, 2},  {2, 2, 10, 10, 16, 5, 0}};

static void check_norms(nl_conv_shape s, int input) {
    static const nl_norm norms[] = {NL_NORM_BATCH,    NL_NORM_LAYER, NL_NORM_GROUP,
                                    NL_NORM_INSTANCE, NL_NORM_RMS,   NL_NORM_NONE};
    for (int i = 0; i < COUNT(norms); i++)
        for (int relu = 1; relu >= 0; relu--) {
            if (!relu && s.h == 28) continue;
            const nl_norm_row *row = nl_norm_find(norms[i]);
            const int groups = row && row->groups ? row->groups(s.o, 2) : 0;
            const int hw = (s.h + 2 * s.pad - s.k + 1) * (s.w + 2 * s.pad - s.k + 1);
            if (groups == s.o && hw == 1) continue; /* one value a set */
            problem p = first_problem(s, 16 - i, norms[i], groups, relu);
            first_inputs[input].make(&p);
            first_check(&p, first_inputs[input].name, run_fast);
            first_drop(&p);
        }
}

Test(first_fast, is_what_the_plain_operations_are) {
    for (int i = 0; i < COUNT(shapes); i++)
        for (int k = 0; k < n_first_inputs; k++) check_norms(shapes[i], k);
}

static void check_same(nl_conv_shape s, nl_norm norm, int groups, const nl_simd *simd, bool again) {
    problem p = first_problem(s, 16, norm, groups, true);
    outputs first = first_outputs(&p), other = first_outputs(&p);
    first_run_fast(&first, &p, first_simd(NULL), false);
    first_run_fast(&other, &p, simd, again);
    for (int i = Z2; i <= VAR; i++)
        for (int64_t k = 0; k < p.out_count[i]; k++)
            cr_assert_eq(first.of[i][k], other.of[i][k], "%s[%d]", first_names[i], (int)k);
    first_drop_outputs(&first);
    first_drop_outputs(&other);
    first_drop(&p);
}

static void check_all_same(const nl_simd *simd, bool again) {
    for (int i = 0; i < COUNT(shapes); i++) {
        check_same(shapes[i], NL_NORM_BATCH, 0, simd, again);
        check_same(shapes[i], NL_NORM_LAYER, 1, simd, again);
        check_same(shapes[i], NL_NORM_NONE, 0, simd, again);
    }
}

/* The first layer's output kept, or made again. */
Test(first_fast, what_is_made_again_has_the_same_bits) {
    check_all_same(first_simd(NULL), true);
}

Test(first_fast, every_instruction_set_gives_the_same_bits) {
    const nl_simd *other = first_simd(NULL) == first_simd("avx2") ? NULL : first_simd("avx2");
    if (!other) cr_skip_test("this processor has one instruction set alone");
    check_all_same(other, false);
}

/* ---- What is exact ---- */

/* The cells' variances and y of a problem whose norm sees no variance in some channels. */
static void check_exact(problem *p, int channel, const char *what) {
    fast f;
    outputs r = first_outputs(p);
    first_open(&f, p, first_simd(NULL));
    first_run(&f, &r);
    for (int c = channel < 0 ? 0 : channel; c < (channel < 0 ? p->one.o : channel + 1); c++) {
        const float beta = p->in[BETA][c], y = p->relu && beta < 0 ? 0 : beta;
        for (int i = 0; i < p->one.n; i++) {
            cr_expect_eq(f.cells[first_row(&f, i)].m2[c], 0, "%s, %s: m2 %g", what, first_norm(p),
                         (double)f.cells[first_row(&f, i)].m2[c]);
            for (int q = 0; q < f.hw; q++) {
                const float got = f.y[((int64_t)i * f.hw + q) * f.cp + c];
                cr_assert_eq(got, y, "%s, %s: %.9g, not beta %.9g", what, first_norm(p),
                             (double)got, (double)y);
            }
        }
    }
    first_drop_outputs(&r);
    first_close(&f);
}

/* Numbers that no float's sum or product hits by luck; beta 0 shows what is left of a mean. */
Test(first_fast, no_variance_gives_exactly_beta) {
    static const nl_norm norms[] = {NL_NORM_BATCH, NL_NORM_INSTANCE};
    static const float values[] = {1.7F, 0, -1e-3F, 1000.3F, 3e7F};
    for (int i = 0; i < COUNT(norms); i++)
        for (int k = 0; k < COUNT(values); k++) {
            const int groups = norms[i] == NL_NORM_INSTANCE ? 20 : 0;
            problem p =
                first_problem((nl_conv_shape){3, 1, 28, 28, 20, 5, 0}, 8, norms[i], groups, k % 2);
            for (int64_t j = 0; j < p.in_count[X]; j++) p.in[X][j] = values[k];
            p.in[BETA][3] = 0;
            check_exact(&p, -1, "constant");
            first_drop(&p);
            p = first_problem((nl_conv_shape){3, 1, 28, 28, 20, 5, 2}, 8, norms[i], groups, k % 2);
            for (int64_t j = 0; j < p.in_count[X]; j++) p.in[X][j] += values[k];
            first_zero_filter(&p);
            p.in[BETA][1] *= (float)(k > 2);
            check_exact(&p, 1, "a filter of zeros");
            first_drop(&p);
        }
}

/* ---- Poison ---- */

/* What is finite is the same as in the plain operations, and so is what is not. */
static void check_poison(problem *p, const char *what) {
    outputs plain = first_outputs(p), got = first_outputs(p);
    first_run_f32(&plain, p);
    first_run_fast(&got, p, first_simd(NULL), false);
    for (int i = Z2; i <= VAR; i++)
        for (int64_t k = 0; k < p->out_count[i]; k++)
            cr_assert_eq(isfinite(got.of[i][k]) != 0, isfinite(plain.of[i][k]) != 0,
                         "%s, %s, %s[%d]: %g, plain %g", what, first_norm(p), first_names[i],
                         (int)k, got.of[i][k], plain.of[i][k]);
    first_drop_outputs(&plain);
    first_drop_outputs(&got);
}

static void poison_all(nl_norm norm, int groups, bool relu) {
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    static const struct {
        int input;
        int64_t at;
        const char *name;
    } places[] = {{X, 0, "first pixel"},
                  {X, 81 + 40, "a pixel of the second image"},
                  {X, 242, "last pixel"},
                  {W1, 9 + 4, "a weight"},
                  {B1, 2, "a bias"}};
    for (int i = 0; i < COUNT(places) * COUNT(poisons); i++) {
        const int place = i / COUNT(poisons);
        problem p = first_problem((nl_conv_shape){3, 1, 9, 9, 6, 3, 1}, 5, norm, groups, relu);
        p.in[places[place].input][places[place].at] = poisons[i % COUNT(poisons)];
        check_poison(&p, places[place].name);
        first_drop(&p);
    }
}

Test(first_fast, poison_goes_where_it_goes_in_the_plain_operations) {
    for (int relu = 0; relu < 2; relu++) {
        poison_all(NL_NORM_BATCH, 0, relu);
        poison_all(NL_NORM_LAYER, 1, relu);
        poison_all(NL_NORM_GROUP, 3, relu);
        poison_all(NL_NORM_INSTANCE, 6, relu);
        poison_all(NL_NORM_RMS, 1, relu);
        poison_all(NL_NORM_NONE, 0, relu);
    }
}

/* A variance past the largest float must not become a rstd of 0, behind which all is beta. */
Test(first_fast, a_variance_past_all_floats_is_not_hidden) {
    static const nl_norm norms[] = {NL_NORM_BATCH, NL_NORM_LAYER, NL_NORM_INSTANCE, NL_NORM_RMS};
    for (int i = 0; i < COUNT(norms); i++) {
        const int groups[] = {0, 1, 6, 1};
        problem p =
            first_problem((nl_conv_shape){2, 1, 9, 9, 6, 3, 1}, 5, norms[i], groups[i], true);
        outputs got = first_outputs(&p);
        for (int64_t k = 0; k < p.in_count[X]; k++) p.in[X][k] *= 1e25F;
        first_run_fast(&got, &p, first_simd(NULL), false);
        for (int64_t k = 0; k < p.out_count[Z2]; k++)
            cr_assert(isnan(got.of[Z2][k]), "%d: z2[%d] %g", i, (int)k, got.of[Z2][k]);
        first_drop_outputs(&got);
        first_drop(&p);
    }
}
