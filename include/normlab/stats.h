/* The statistics of the report: few seeds, paired designs, proportions near one.
 *
 * Everything works on plain arrays. NaN (a run that gave no figure) is left out and not counted.
 * Sources: Student, The probable error of a mean, Biometrika 6 (1908); Wilson, Probable inference,
 * JASA 22 (1927); Fisher, The design of experiments (1935), section 21, for flipped signs, with
 * (hits + 1) / (draws + 1) as in Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010);
 * Satterthwaite, Biometrics Bulletin 2 (1946); McNemar, Psychometrika 12 (1947), with the mid-p of
 * Fagerland, Lydersen and Laake, BMC Med. Res. Methodol. 13:91 (2013); Holm, Scand. J. Statist. 6
 * (1979); Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), for two one-sided tests; Helmert,
 * Astron. Nachr. 88 (1876), for the distribution of a deviation seen.
 *
 * What an interval of 95 % holds, in 10,000 simulated studies (tests/test_inference.c): Student's of
 * ten seeds 95.2 %; Wilson's of 100 draws 94.6, 93.9 and 97.1 % at shares of 0.5, 0.8 and 0.97; the
 * one over seeds and images 94.9 to 95.6 %, and 96.8 % where neither has an effect of its own.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

/* Of a sample: sd with n - 1; the 95 % interval of the mean is mean +- t(0.975, n - 1) sd / sqrt n.
 * With n = 1, sd and interval are NaN; with n = 0 everything is. A spread that rounding explains
 * (8 units in the last place of the largest value) is none: sd is 0, and as nobody's next value is
 * certain to be the same, the interval is NaN. */
typedef struct nl_sample {
    int n;
    double mean, sd, low, high; /* low, high: the 95 % interval of the mean */
    double min, max;
} nl_sample;

typedef struct nl_interval {
    double low, high;
} nl_interval;

/* From fewer pairs nothing is settled: with one degree of freedom the tails of t are so heavy that
 * chance alone calls two differences equal. */
enum { NL_SEEDS_TO_TEST = 3 };

/* The paired t test of a - b over seeds. With n < NL_SEEDS_TO_TEST, or where all differences are
 * the same (up to rounding of a and b) and not 0, there is nothing to test against: t and p are
 * NaN. */
typedef struct nl_paired {
    int n;
    double mean, sd, low, high; /* of the differences */
    double t, p;                /* two-sided, n - 1 degrees of freedom */
} nl_paired;

/* McNemar's test on the images that exactly one of two models gets wrong. */
typedef struct nl_mcnemar {
    uint32_t only_a, only_b; /* errors of a alone, of b alone */
    double exact, mid;       /* two-sided p values */
} nl_mcnemar;

nl_sample nl_stats_sample(const double *x, int n);

/* The same of figures that cannot leave low .. high (accuracies: 0 .. 100): the interval is cut
 * there. */
nl_sample nl_stats_sample_within(const double *x, int n, double low, double high);

/* I_x(a, b), the regularised incomplete beta function (DLMF 8.17). */
double nl_stats_beta(double x, double a, double b);

/* Student's distribution: P(T <= t), and the t with P(T <= t) = p for 0 < p < 1. */
double nl_stats_t_cdf(double t, double df);
double nl_stats_t_quantile(double p, double df);

/* Fisher's F distribution: P(F >= f); NaN for f that is NaN. */
double nl_stats_f_above(double f, double df1, double df2);

/* The chi-square distribution: P(X <= x), and the x with P(X <= x) = p for 0 < p < 1. */
double nl_stats_chi2_cdf(double x, double df);
double nl_stats_chi2_quantile(double p, double df);

/* Wilson's 95 % score interval of a proportion, as fractions; NaN without 0 <= hits <= n > 0.
 * A hit may be half a one (a tie). */
nl_interval nl_stats_wilson(double hits, uint32_t n);

nl_paired nl_stats_paired(const double *a, const double *b, int n);
nl_mcnemar nl_stats_mcnemar(uint32_t only_a, uint32_t only_b);

/* The largest difference that is none for any use: of accuracy in points, of loss per image. */
typedef struct nl_margins {
    double points, loss;
} nl_margins;
#define NL_MARGINS ((nl_margins){0.05, 0.001})

/* Are the two equal, but for less than the margin? The p value of the two one-sided t tests of
 * |mean| >= margin, that is the larger one. NaN with fewer than NL_SEEDS_TO_TEST pairs or without
 * a spread. */
double nl_stats_equivalence(const nl_paired *r, double margin);

/* Exact test of n differences whose signs are a matter of chance if the two are equal: the share of
 * all 2^n ways to set the signs whose sum is as far from 0 as the one seen, or farther. From more
 * than NL_FLIPS_ALL differences it is (hits + 1) / (draws + 1) of NL_FLIPS drawn ways (Philox, a
 * fixed key). Sums closer than NL_TIE, or than that share of the sum of sizes, are equal: an
 * accuracy in per cent is rounded by 1e-14, whatever small differences come of it. NaN without a
 * difference. */
enum { NL_FLIPS_ALL = 20, NL_FLIPS = 99999 };
#define NL_TIE 1e-12
double nl_stats_sign_flip(const double *difference, int n);

/* Holm's step-down adjustment of n p values, in place; NaN stays and is not counted. */
void nl_stats_holm(double *p, int n);

/* Would it hold for other seeds and other images? The mean of x over both, and its 95 % interval
 * where both are a sample. With mean squares of seeds, images and what is left (two-way layout,
 * one value a cell), the mean's variance is (MS_seed + MS_image - MS_rest) / (seeds images), with
 * Student's t at Satterthwaite's degrees of freedom. Where that is not above 0, `one_way`: the
 * interval over seeds alone. Fewer than 2 seeds or images: no interval (NaN). x holds no NaN. */
typedef struct nl_two_way {
    double mean, low, high, df;
    bool one_way;
} nl_two_way;
nl_two_way nl_stats_two_way(const double *x /* (seeds, images) */, int seeds, int images);

/* The deviation of accuracy, in points, that n seeds would show if on every image each seed were
 * right by a coin of its own, whose side is known from the share of seeds that were: 100 sqrt(n /
 * (n - 1) sum p (1 - p)) / images. right[i]: seeds that had image i right. NaN with n < 2. */
double nl_stats_chance_spread(const uint32_t *right, uint32_t images, int n);

enum { NL_SEEDS_MAX = 100000 };

/* How many seeds a paired t test at that level needs to see a true difference of `mean` with
 * spread `sd` in a share `power` of studies: the smallest n >= NL_SEEDS_TO_TEST with
 *     n >= ((t(1 - level / 2) + t(power)) sd / mean)^2, both t with n - 1 degrees of freedom.
 * NL_SEEDS_MAX: that many or more. 0: mean, sd or level is not known, or there is no spread. */
int nl_stats_seeds(double mean, double sd, double level, double power);

/* How many nl_stats_equivalence needs to call two equal that are:
 *     n >= ((t(1 - level) + t((1 + power) / 2)) sd / margin)^2 */
int nl_stats_seeds_equal(double margin, double sd, double level, double power);

/* What the true deviation is at most, with that confidence, where n values showed sd:
 * sd sqrt((n - 1) / chi2(1 - level, n - 1)). A plan made of it is not a matter of luck. */
double nl_stats_sd_limit(double sd, int n, double level);

/* The 95 % interval of the true deviation, of n normally distributed values that showed sd:
 * sd sqrt((n - 1) / chi2(0.975, n - 1)) to sd sqrt((n - 1) / chi2(0.025, n - 1)), as (n - 1) sd^2 /
 * sigma^2 has the chi-square distribution with n - 1 degrees of freedom. NaN with n < 2 or without
 * a spread. */
nl_interval nl_stats_sd_interval(double sd, int n);
