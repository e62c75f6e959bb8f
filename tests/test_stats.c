/* The statistics against published examples and numbers worked out by hand. */
#include <criterion/criterion.h>
#include <math.h> // NAN, fabs

#include "normlab/stats.h"
#include "support/compare.h" // NEAR

Test(stats, incomplete_beta) {
    NEAR(nl_stats_beta(0.3, 1, 1), 0.3, 1e-15);     /* uniform */
    NEAR(nl_stats_beta(0.25, 2, 1), 0.0625, 1e-15); /* x^2 */
    NEAR(nl_stats_beta(0.5, 7.5, 7.5), 0.5, 1e-14); /* symmetric */
    NEAR(nl_stats_beta(0.4, 2, 3), 0.5248, 1e-14);  /* 6x^2 - 8x^3 + 3x^4 */
    NEAR(nl_stats_beta(0.9, 2, 3), 0.9963, 1e-14);  /* the other branch */
    NEAR(nl_stats_beta(0, 2, 3), 0, 0);
    NEAR(nl_stats_beta(1, 2, 3), 1, 0);
    cr_assert(isnan(nl_stats_beta(NAN, 2, 3)));
}

/* The usual printed tables of Student's distribution. */
Test(stats, student) {
    const struct {
        double p, df, t;
    } table[] = {{0.975, 1, 12.7062}, {0.975, 2, 4.30265},  {0.975, 4, 2.77645},
                 {0.975, 9, 2.26216}, {0.95, 10, 1.81246},  {0.975, 30, 2.04227},
                 {0.995, 5, 4.03214}, {0.975, 1e6, 1.95997}};
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        NEAR(nl_stats_t_quantile(table[i].p, table[i].df), table[i].t, 6e-5);
        NEAR(nl_stats_t_quantile(1 - table[i].p, table[i].df), -table[i].t, 6e-5);
    }
    NEAR(nl_stats_t_cdf(1, 1), 0.75, 1e-14);                    /* Cauchy */
    NEAR(nl_stats_t_cdf(2, 2), 0.5 + 2 / (2 * sqrt(6)), 1e-14); /* closed form for df 2 */
    NEAR(nl_stats_t_cdf(-INFINITY, 3), 0, 0);
    NEAR(nl_stats_t_cdf(0, 3), 0.5, 1e-15);
}

/* 2, 4, 4, 4, 5, 5, 7, 9: mean 5, sum of squares 32; a NaN in between is not counted. */
Test(stats, sample) {
    const double x[] = {2, 4, NAN, 4, 4, 5, 5, 7, INFINITY, 9};
    const nl_sample s = nl_stats_sample(x, 10);
    cr_assert_eq(s.n, 8);
    NEAR(s.mean, 5, 0);
    NEAR(s.sd, sqrt(32.0 / 7), 1e-15);
    NEAR(s.high - s.mean, 2.364624 * sqrt(32.0 / 7 / 8), 1e-6);
    NEAR(s.mean - s.low, s.high - s.mean, 1e-12);
    NEAR(s.min, 2, 0);
    NEAR(s.max, 9, 0);
    const nl_sample one = nl_stats_sample(x, 1);
    cr_assert(one.n == 1 && one.mean == 2 && isnan(one.sd) && isnan(one.low));
    const nl_sample none = nl_stats_sample(x + 2, 1);
    cr_assert(none.n == 0 && isnan(none.mean) && isnan(none.max));
}

/* Newcombe, Statistics in Medicine 17 (1998), table I, method 3. */
Test(stats, wilson) {
    const struct {
        uint32_t hits, n;
        double low, high;
    } table[] = {{81, 263, 0.2553, 0.3662},
                 {15, 148, 0.0624, 0.1605},
                 {0, 20, 0, 0.1611},
                 {1, 29, 0.0061, 0.1718}};
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
        const nl_interval w = nl_stats_wilson(table[i].hits, table[i].n);
        NEAR(w.low, table[i].low, 5.1e-5);
        NEAR(w.high, table[i].high, 5.1e-5);
    }
    NEAR(nl_stats_wilson(20, 20).high, 1, 0);
    NEAR(nl_stats_wilson(0, 7).low, 0, 0);
    cr_assert(isnan(nl_stats_wilson(0, 0).low));
}

/* Student's own sleep data (1908): extra hours of ten patients under two drugs. */
Test(stats, paired) {
    const double a[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    const double b[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    const nl_paired r = nl_stats_paired(a, b, 10);
    cr_assert_eq(r.n, 10);
    NEAR(r.mean, -1.58, 1e-14);
    NEAR(r.t, -4.0621, 5e-5);
    NEAR(r.p, 0.002833, 5e-7);
    NEAR(r.low, -2.4598858, 5e-8);
    NEAR(r.high, -0.7001142, 5e-8);
    const nl_paired single = nl_stats_paired(a, b, 1);
    cr_assert(single.n == 1 && isnan(single.p));
    NEAR(nl_stats_paired(a, a, 10).p, 1, 0);
}

/* Differences that are the same, or the same but for the last bits of the figures. */
Test(stats, rounding_is_no_spread) {
    const double shifted[] = {1.5, 2.5, 3.5}, plain[] = {1, 2, 3};
    cr_assert(isnan(nl_stats_paired(shifted, plain, 3).p)); /* no spread: no test */
    const double bn[] = {99.2, 99.18, 99.28, 99.3}, ln[] = {99.12, 99.1, 99.2, 99.22};
    cr_assert(bn[0] - ln[0] != bn[1] - ln[1]);
    const nl_paired r = nl_stats_paired(bn, ln, 4);
    NEAR(r.mean, 0.08, 1e-13);
    NEAR(r.sd, 0, 0);
    cr_assert(isnan(r.p) && isnan(r.t) && isnan(r.low) && isnan(r.high));
    double next[4];
    for (int i = 0; i < 4; i++) next[i] = nextafter(bn[i], i % 2 ? 100 : 99);
    NEAR(nl_stats_paired(bn, next, 4).p, 1, 0);
    const double same[] = {99.2, nextafter(99.2, 100), 99.2};
    const nl_sample s = nl_stats_sample(same, 3);
    cr_assert(s.sd == 0 && isnan(s.low) && isnan(s.high));
    /* One image in a test set of the largest size that is known here is a spread. */
    const double image[] = {99.2, 99.2 + 100.0 / UINT32_MAX, 99.2};
    cr_assert(nl_stats_sample(image, 3).sd > 0);
}

Test(stats, two_seeds_settle_nothing) {
    const double a[] = {99.4, 99.5}, b[] = {99.1, 99.1999};
    const nl_paired r = nl_stats_paired(a, b, 2);
    NEAR(r.mean, 0.30005, 1e-12);
    cr_assert(r.sd > 0 && r.low < 0.3 && isnan(r.p) && isnan(r.t));
}

Test(stats, intervals_of_accuracies_stay_within) {
    const double x[] = {99.9, 99.2, 100, 96};
    const nl_sample s = nl_stats_sample(x, 4), cut = nl_stats_sample_within(x, 4, 0, 100);
    cr_assert(s.high > 100 && s.low > 0);
    NEAR(cut.high, 100, 0);
    NEAR(cut.low, s.low, 0);
    const double low[] = {0.1, 3, 0};
    NEAR(nl_stats_sample_within(low, 3, 0, 100).low, 0, 0);
    cr_assert(isnan(nl_stats_sample_within(x, 1, 0, 100).low));
}

/* Whatever stands in a file of metrics comes back as a figure or as NaN. */
Test(stats, any_figures) {
    const double odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e308, -1e308, 5e-324, 100, -7};
    enum { N = sizeof odd / sizeof *odd };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) {
                const double a[] = {odd[i], odd[j], odd[k], odd[i]};
                const double b[] = {odd[k], odd[i], 99, odd[j]};
                const nl_sample s = nl_stats_sample_within(a, 4, 0, 100);
                cr_assert(isnan(s.low) || (s.low >= 0 && s.high <= 100));
                for (int n = 0; n <= 4; n++) {
                    const nl_paired r = nl_stats_paired(a, b, n);
                    cr_assert(isnan(r.p) || (r.p >= 0 && r.p <= 1 && r.n >= NL_SEEDS_TO_TEST));
                    double p[] = {r.p, 0.5};
                    nl_stats_holm(p, 2);
                    const int seeds = nl_stats_seeds(r.mean, r.sd, 0.05, 0.8);
                    cr_assert(seeds == 0 || seeds >= NL_SEEDS_TO_TEST);
                }
            }
    cr_assert(isnan(nl_stats_wilson(3, 2).low));
    const double large[] = {1e308, 1.5e308, 1.1e308};
    NEAR(nl_stats_sample(large, 3).mean / 1.2e308, 1, 1e-14);
}

/* Fagerland and others (2013): 1 against 7 and 6 against 16 discordant pairs. */
/* The ceramic strength data of NIST's e-Handbook: sd 0.006278 of 100 values. */
Test(stats, deviations) {
    const nl_interval r = nl_stats_sd_interval(0.006278, 100);
    cr_expect(fabs(r.low - 0.0055121) < 5e-7 && fabs(r.high - 0.0072930) < 5e-7, "%.9g %.9g", r.low,
              r.high);
    cr_expect(isnan(nl_stats_sd_interval(0, 5).low) && isnan(nl_stats_sd_interval(1, 1).high));
}

Test(stats, mcnemar) {
    NEAR(nl_stats_mcnemar(1, 7).exact, 18.0 / 256, 1e-14);
    NEAR(nl_stats_mcnemar(1, 7).mid, 10.0 / 256, 1e-14);
    NEAR(nl_stats_mcnemar(16, 6).exact, 0.0525, 5e-5);
    NEAR(nl_stats_mcnemar(16, 6).mid, 0.0347, 5e-5);
    NEAR(nl_stats_mcnemar(3, 3).exact, 1, 0);
    NEAR(nl_stats_mcnemar(3, 3).mid, 1 - 20.0 / 64 / 2, 1e-14);
    NEAR(nl_stats_mcnemar(0, 0).exact, 1, 0);
    NEAR(nl_stats_mcnemar(0, 0).mid, 1, 0);
    NEAR(nl_stats_mcnemar(3000, 3000).exact, 1, 0); /* no overflow */
}

Test(stats, holm) {
    double p[] = {0.01, NAN, 0.04, 0.03, 0.005};
    nl_stats_holm(p, 5);
    NEAR(p[0], 0.03, 1e-15);
    cr_assert(isnan(p[1]));
    NEAR(p[2], 0.06, 1e-15);
    NEAR(p[3], 0.06, 1e-15);
    NEAR(p[4], 0.02, 1e-15);
    double high[] = {0.7, 0.9};
    nl_stats_holm(high, 2);
    NEAR(high[0], 1, 0);
}

/* Standardised differences 0.5, 0.8 and 1 at 5 %, power 0.8: 34, 15 and 10 pairs (the usual
 * tables).
 */
Test(stats, seeds) {
    cr_assert_eq(nl_stats_seeds(0.5, 1, 0.05, 0.8), 34);
    cr_assert_eq(nl_stats_seeds(-0.8, 1, 0.05, 0.8), 15);
    cr_assert_eq(nl_stats_seeds(2, 2, 0.05, 0.8), 10);
    cr_assert_eq(nl_stats_seeds(1, 1e-9, 0.05, 0.8), NL_SEEDS_TO_TEST);
    cr_assert_eq(nl_stats_seeds(1, 0, 0.05, 0.8), 0); /* no spread known */
    cr_assert_eq(nl_stats_seeds(0, 1, 0.05, 0.8), NL_SEEDS_MAX);
    cr_assert_eq(nl_stats_seeds(1e-9, 1, 0.05, 0.8), NL_SEEDS_MAX);
    cr_assert_eq(nl_stats_seeds(NAN, 1, 0.05, 0.8), 0);
    cr_assert_eq(nl_stats_seeds(INFINITY, 1, 0.05, 0.8), 0);
    cr_assert_eq(nl_stats_seeds(1, 1, 0.05 / 0.0, 0.8), 0); /* shared among no pairs */
}
