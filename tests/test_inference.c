/* Flipped signs, equivalence, intervals over seeds and images, plans: against numbers worked out by
 * hand or by scipy 1.17, and by simulation, 10,000 studies each from a fixed key: an interval that
 * says 95 % has to hold in 95 of 100 studies, a test that says 5 % may err in 5.
 */
#include <criterion/criterion.h>
#include <math.h>   // NAN, fabs
#include <stdlib.h> // free

#include "normlab/error.h"  // nl_alloc
#include "normlab/philox.h" // nl_philox4x32
#include "normlab/stats.h"
#include "support/compare.h" // NEAR

/* ---- known numbers ---- */

Test(inference, chi_square) {
    const struct {
        double p, df, x;
    } table[] = {{0.95, 1, 3.841459}, {0.05, 9, 3.325113},   {0.2, 9, 5.380053},
                 {0.5, 2, 1.386294},  {0.975, 30, 46.97924}, {0.01, 100, 70.06489}};
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        NEAR(nl_stats_chi2_quantile(table[i].p, table[i].df), table[i].x, 6e-6 * table[i].x);
    NEAR(nl_stats_chi2_cdf(3, 2), 1 - exp(-1.5), 1e-15); /* closed form for df 2 */
    NEAR(nl_stats_chi2_cdf(30, 2), 1 - exp(-15), 1e-15);
    NEAR(nl_stats_chi2_cdf(0, 5), 0, 0);
    NEAR(nl_stats_chi2_cdf(INFINITY, 5), 1, 0);
}

/* The quantile is where the distribution has that probability, from 1 degree of freedom to very
 * many, in the middle and far out, whatever was asked before. With df degrees the distribution itself
 * is rounded by df half units in the last place. */
Test(inference, student_quantiles_everywhere) {
    const double p[] = {0.5, 0.6, 0.8, 0.9, 0.975, 0.9999, 1 - 2.5e-6, 1 - 1e-9};
    const double df[] = {1,  1.5, 2,   3,   9,     10,    11,  12, 17.3,
                         30, 99,  100, 999, 31415, 99998, 1e7, 1e9};
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < sizeof p / sizeof *p; i++)
            for (unsigned j = 0; j < sizeof df / sizeof *df; j++) {
                const double t = nl_stats_t_quantile(p[i], df[j]), seen = nl_stats_t_cdf(t, df[j]);
                cr_assert(fabs(seen - p[i]) <= 4e-16 + (1 - p[i]) * (1e-13 + 4e-16 * df[j]),
                          "p %.10g, df %g: t %.17g has %.17g", p[i], df[j], t, seen);
                if (p[i] < 0.99) NEAR(nl_stats_t_quantile(1 - p[i], df[j]), -t, 1e-12 * t);
            }
}

Test(inference, fisher) {
    NEAR(nl_stats_f_above(4, 2, 6), pow(1 + 4.0 / 3, -3), 1e-14); /* closed form for df1 2 */
    const double t = 2.262157; /* t squared is F with 1 and the same df */
    NEAR(nl_stats_f_above(t * t, 1, 9), 2 * nl_stats_t_cdf(-t, 9), 1e-14);
    NEAR(nl_stats_f_above(3.325835, 5, 10), 0.05, 1e-7);
    NEAR(nl_stats_f_above(0, 3, 5), 1, 0);
    cr_assert(isnan(nl_stats_f_above(NAN, 3, 5)));
}

Test(inference, sign_flip_by_hand) {
    const double all_up[] = {1, 2, 3, 4, 5, 6}, one_down[] = {1, 2, 3, -0.5};
    NEAR(nl_stats_sign_flip(all_up, 6), 2.0 / 64, 0);
    NEAR(nl_stats_sign_flip(one_down, 4), 4.0 / 16, 0); /* +-6.5 and +-5.5 */
    const double tie[] = {0.1, 0.2, -0.3, NAN};         /* 0 but for rounding: all are as far */
    NEAR(nl_stats_sign_flip(tie, 4), 1, 0);
    const double equal[] = {0, 0, 0};
    NEAR(nl_stats_sign_flip(equal, 3), 1, 0);
    /* One image of 10,000 each: -1, 0, 1, 1, -1, -1 in hundredths of a point, whose rounding is not
     * small beside them. All 64 ways are as far from 0 as -1, or farther. */
    const double a[] = {99.08, 99.16, 99.16, 99.3, 99.33, 99.12};
    const double b[] = {99.09, 99.16, 99.15, 99.29, 99.34, 99.13};
    double hundredths[6];
    for (int i = 0; i < 6; i++) hundredths[i] = a[i] - b[i];
    NEAR(nl_stats_sign_flip(hundredths, 6), 1, 0);
    cr_assert(isnan(nl_stats_sign_flip(tie + 3, 1)));
}

/* Twenty differences are all counted, and 21 are drawn: the two agree to what the draws can say. */
Test(inference, sign_flip_counted_and_drawn) {
    double x[NL_FLIPS_ALL + 1];
    for (int i = 0; i <= NL_FLIPS_ALL; i++) x[i] = 0.3 + sin(i * 7.3);
    x[NL_FLIPS_ALL] = 0; /* of no weight */
    const double counted = nl_stats_sign_flip(x, NL_FLIPS_ALL);
    const double drawn = nl_stats_sign_flip(x, NL_FLIPS_ALL + 1);
    cr_assert(counted > 0.01 && counted < 0.9 && drawn != counted);
    NEAR(drawn, counted, 4 * sqrt(counted * (1 - counted) / NL_FLIPS));
    for (int i = 0; i <= NL_FLIPS_ALL; i++) x[i] = 1;
    NEAR(nl_stats_sign_flip(x, NL_FLIPS_ALL), 2 / pow(2, NL_FLIPS_ALL), 0);
    NEAR(nl_stats_sign_flip(x, NL_FLIPS_ALL + 1), 1.0 / (NL_FLIPS + 1), 2.1e-5);
}

/* Student's sleep data (1908). */
Test(inference, equivalence) {
    const double a[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    const double b[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    const nl_paired r = nl_stats_paired(a, b, 10);
    NEAR(nl_stats_equivalence(&r, 1.58), 0.5, 1e-14); /* at the edge */
    NEAR(nl_stats_equivalence(&r, 2.293005267029284), 0.05, 1e-12);
    NEAR(nl_stats_equivalence(&r, 1e-9), 1 - r.p / 2, 1e-8);
    const nl_paired turned = nl_stats_paired(b, a, 10);
    NEAR(nl_stats_equivalence(&turned, 2), nl_stats_equivalence(&r, 2), 1e-15);
    const nl_paired two = nl_stats_paired(a, b, 2);
    cr_assert(isnan(nl_stats_equivalence(&two, 1)));
}

/* 2 x 3: means 2, 4 of seeds, 1.5, 3, 4.5 of images; what is left is +-0.5, -0 .. of each cell. */
Test(inference, two_way_by_hand) {
    const double x[] = {1, 2, 3, 2, 4, 6};
    const nl_two_way r = nl_stats_two_way(x, 2, 3);
    NEAR(r.mean, 3, 1e-15);
    cr_assert(!r.one_way);
    /* MS_seed = 3 * 2 = 6, MS_image = 2 * 4.5 / 2 = 4.5, MS_rest = 1 / 2 */
    const double total = 6 + 4.5 - 0.5, df = total * total / (36 + 4.5 * 4.5 / 2 + 0.25 / 2);
    NEAR(r.df, df, 1e-12);
    NEAR(r.high - r.mean, nl_stats_t_quantile(0.975, df) * sqrt(total / 6), 1e-12);
    NEAR(r.mean - r.low, r.high - r.mean, 1e-12);
    cr_assert(isnan(nl_stats_two_way(x, 1, 3).low) && isnan(nl_stats_two_way(x, 2, 1).low));
    NEAR(nl_stats_two_way(x, 1, 3).mean, 2, 1e-15);
    const double crossed[] = {1, -1, -1, 1}; /* all of it is what is left */
    const nl_two_way c = nl_stats_two_way(crossed, 2, 2);
    cr_assert(c.one_way && isnan(c.low));
    const double over[] = {2, 0, 0, 1}; /* left: more than seeds and images explain */
    const nl_two_way o = nl_stats_two_way(over, 2, 2);
    cr_assert(o.one_way);
    NEAR(o.high - o.mean, nl_stats_t_quantile(0.975, 1) * 0.25, 1e-12); /* of 1 and 0.5 */
}

Test(inference, chance_spread) {
    const uint32_t right[] = {4, 2, 0, 3};
    NEAR(nl_stats_chance_spread(right, 4, 4), 100 * sqrt(4.0 / 3 * (0.25 + 3.0 / 16)) / 4, 1e-12);
    cr_assert(isnan(nl_stats_chance_spread(right, 4, 1)));
}

Test(inference, plans) {
    cr_assert_eq(nl_stats_seeds(0.5, 1, 0.05, 0.9), 45);
    cr_assert_eq(nl_stats_seeds_equal(0.5, 1, 0.05, 0.8), 36);
    cr_assert_eq(nl_stats_seeds_equal(0.25, 1, 0.05, 0.8), 139);
    cr_assert_eq(nl_stats_seeds_equal(0.5, NAN, 0.05, 0.8), 0);
    NEAR(nl_stats_sd_limit(2, 10, 0.8), 2 * sqrt(9 / 5.380053), 1e-6);
    cr_assert(isnan(nl_stats_sd_limit(2, 1, 0.8)));
}

/* ---- simulation ---- */

enum { STUDIES = 10000, SEEDS = 10 };

typedef struct draws {
    uint32_t key, at;
} draws;

static double uniform(draws *d) { /* inside 0 .. 1 */
    return (nl_philox4x32(d->at++, 0, 0, 0, d->key, 77).v[0] + 0.5) / 4294967296.0;
}

static double normal(draws *d) { /* Box and Muller */
    const double r = sqrt(-2 * log(uniform(d)));
    return r * cos(6.283185307179586 * uniform(d));
}

/* Three standard errors of a share of so many studies. */
static double doubt(double share) {
    return 3 * sqrt(share * (1 - share) / STUDIES);
}

Test(inference, student_holds_what_it_says) {
    draws d = {1, 0};
    int within = 0, rejected = 0, flipped = 0;
    const double zero[SEEDS] = {0};
    for (int i = 0; i < STUDIES; i++) {
        double x[SEEDS];
        for (int s = 0; s < SEEDS; s++) x[s] = normal(&d);
        const nl_paired r = nl_stats_paired(x, zero, SEEDS);
        within += r.low <= 0 && r.high >= 0;
        rejected += r.p < 0.05;
        flipped += nl_stats_sign_flip(x, SEEDS) <= 0.05;
    }
    cr_log_info("t interval %.4f, t test %.4f, sign flip %.4f", within / (double)STUDIES,
                rejected / (double)STUDIES, flipped / (double)STUDIES);
    NEAR(within / (double)STUDIES, 0.95, doubt(0.95));
    NEAR(rejected / (double)STUDIES, 0.05, doubt(0.05));
    cr_assert(flipped <= (0.05 + doubt(0.05)) * STUDIES && flipped > 0.04 * STUDIES);
}

/* Two that differ by the margin are called equal in at most 5 % of studies. */
Test(inference, equivalence_at_the_edge) {
    draws d = {2, 0};
    const double zero[SEEDS] = {0};
    int wide = 0, narrow = 0;
    for (int i = 0; i < STUDIES; i++) {
        double x[SEEDS];
        for (int s = 0; s < SEEDS; s++) x[s] = 1 + 0.3 * normal(&d);
        const nl_paired r = nl_stats_paired(x, zero, SEEDS);
        narrow += nl_stats_equivalence(&r, 1) < 0.05;
        for (int s = 0; s < SEEDS; s++) x[s] = 1 + 3 * (x[s] - 1);
        const nl_paired noisy = nl_stats_paired(x, zero, SEEDS);
        wide += nl_stats_equivalence(&noisy, 1) < 0.05;
    }
    cr_log_info("called equal at the margin %.4f, with more noise %.4f", narrow / (double)STUDIES,
                wide / (double)STUDIES);
    cr_assert(narrow <= (0.05 + doubt(0.05)) * STUDIES && narrow > 0.04 * STUDIES);
    cr_assert(wide <= (0.05 + doubt(0.05)) * STUDIES);
}

/* Four variants of one mean, two metrics that go together: six pairs twice, which are far from
 * independent. One settled pair or more: an error of the family. */
Test(inference, holm_over_a_family) {
    enum { VARIANTS = 4, FAMILY = 12 };
    draws d = {3, 0};
    int errors = 0;
    for (int i = 0; i < STUDIES; i++) {
        double x[2][VARIANTS][SEEDS], p[FAMILY];
        for (int s = 0; s < SEEDS; s++) {
            const double hard = normal(&d); /* what a seed does to all of them */
            for (int v = 0; v < VARIANTS; v++) {
                x[0][v][s] = hard + normal(&d);
                x[1][v][s] = -0.7 * x[0][v][s] + 0.5 * normal(&d);
            }
        }
        int n = 0;
        for (int metric = 0; metric < 2; metric++)
            for (int a = 0; a < VARIANTS; a++)
                for (int b = a + 1; b < VARIANTS; b++)
                    p[n++] = nl_stats_paired(x[metric][a], x[metric][b], SEEDS).p;
        nl_stats_holm(p, FAMILY);
        bool any = false;
        for (int k = 0; k < FAMILY; k++) any = any || p[k] < 0.05;
        errors += any;
    }
    cr_log_info("family-wise error %.4f", errors / (double)STUDIES);
    cr_assert(errors <= (0.05 + doubt(0.05)) * STUDIES && errors > 0.01 * STUDIES);
}

Test(inference, wilson_holds_what_it_says) {
    draws d = {4, 0};
    const double shares[] = {0.5, 0.8, 0.97};
    for (int k = 0; k < 3; k++) {
        int within = 0;
        for (int i = 0; i < STUDIES; i++) {
            int hits = 0;
            for (int j = 0; j < 100; j++) hits += uniform(&d) < shares[k];
            const nl_interval w = nl_stats_wilson(hits, 100);
            within += w.low <= shares[k] && shares[k] <= w.high;
        }
        cr_log_info("Wilson at %.2f: %.4f", shares[k], within / (double)STUDIES);
        cr_assert(within >= 0.93 * STUDIES);
    }
}

/* Effects of seeds, of images and of both, in turn the largest. */
Test(inference, two_way_holds_what_it_says) {
    enum { IMAGES = 100 };
    const double sizes[][3] = {{1, 1, 1}, {0.1, 1, 3}, {1, 0.05, 1}, {0.02, 1, 0.3}, {0, 0, 1}};
    double *x = nl_alloc(SEEDS * IMAGES, sizeof *x, "cells");
    for (int k = 0; k < 5; k++) {
        draws d = {(uint32_t)(5 + k), 0};
        int within = 0, one_way = 0;
        for (int i = 0; i < STUDIES; i++) {
            double of_image[IMAGES];
            for (int j = 0; j < IMAGES; j++) of_image[j] = sizes[k][1] * normal(&d);
            for (int s = 0; s < SEEDS; s++) {
                const double of_seed = sizes[k][0] * normal(&d);
                for (int j = 0; j < IMAGES; j++) /* the rest is uniform, of that deviation */
                    x[s * IMAGES + j] =
                        of_seed + of_image[j] + sizes[k][2] * (uniform(&d) - 0.5) * sqrt(12);
            }
            const nl_two_way r = nl_stats_two_way(x, SEEDS, IMAGES);
            within += r.low <= 0 && r.high >= 0;
            one_way += r.one_way;
        }
        cr_log_info("two ways, deviations %.2f %.2f %.2f: %.4f (%d one way)", sizes[k][0],
                    sizes[k][1], sizes[k][2], within / (double)STUDIES, one_way);
        cr_assert(within >= 0.93 * STUDIES);
    }
    free(x);
}
