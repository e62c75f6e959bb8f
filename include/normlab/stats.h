/* The statistics of the report: few seeds, paired designs, proportions near one.
 *
 * Everything works on plain arrays. NaN (a run that gave no figure) is left out and not counted.
 * Sources: Student, The probable error of a mean, Biometrika 6 (1908); Wilson, Probable inference,
 * JASA 22 (1927); McNemar, Psychometrika 12 (1947), with the mid-p of Fagerland, Lydersen and
 * Laake, BMC Med. Res. Methodol. 13:91 (2013); Holm, Scand. J. Statist. 6 (1979).
 */
#pragma once

#include <stdint.h> // uint32_t

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

/* Wilson's 95 % score interval of a proportion, as fractions; NaN without 0 <= hits <= n > 0. */
nl_interval nl_stats_wilson(uint32_t hits, uint32_t n);

nl_paired nl_stats_paired(const double *a, const double *b, int n);
nl_mcnemar nl_stats_mcnemar(uint32_t only_a, uint32_t only_b);

/* Holm's step-down adjustment of n p values, in place; NaN stays and is not counted. */
void nl_stats_holm(double *p, int n);

enum { NL_SEEDS_MAX = 100000 };

/* How many seeds a paired t test at that level (0.05) needs to see a true difference of `mean` with
 * spread `sd` in four of five studies: the smallest n >= NL_SEEDS_TO_TEST with
 * n >= ((t(1 - level / 2) + t(0.8)) sd / mean)^2, both t with n - 1 degrees of freedom.
 * NL_SEEDS_MAX: that many or more. 0: mean, sd or level is not known, or there is no spread. */
int nl_stats_seeds(double mean, double sd, double level);
