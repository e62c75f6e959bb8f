/* Statistics for few seeds; formulas and sources in normlab/stats.h. */
#include "normlab/stats.h"

#include <float.h>   // DBL_EPSILON
#include <math.h>    // lgamma, sqrt
#include <stdbool.h> // bool
#include <stdlib.h>  // free, qsort

#include "normlab/error.h" // nl_alloc

/* ---- samples ---- */

static nl_sample moments(const double *x, int n) {
    nl_sample s = {0, NAN, NAN, NAN, NAN, NAN, NAN};
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        if (s.n == 0) s.min = s.max = x[i];
        s.min = fmin(s.min, x[i]);
        s.max = fmax(s.max, x[i]);
        sum += x[i];
        s.n++;
    }
    if (s.n == 0) return s;
    s.mean = sum / s.n;
    if (!isfinite(sum)) { /* it passed the largest double, which a mean does not */
        s.mean = 0;
        for (int i = 0; i < n; i++)
            if (isfinite(x[i])) s.mean += x[i] / s.n;
    }
    if (s.n == 1) return s;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) squares += (x[i] - s.mean) * (x[i] - s.mean);
    s.sd = sqrt(squares / (s.n - 1));
    return s;
}

/* The sample, where `scale` is the size of the numbers that its values were computed from. Each of
 * them, their difference and the mean carry half a unit in the last place of the scale or less:
 * eight units are more than all of them explain, and far less than one image among 2^32. */
static nl_sample with_interval(const double *x, int n, double scale) {
    nl_sample s = moments(x, n);
    const double rounding = 8 * DBL_EPSILON * scale;
    if (s.n < 2) return s;
    if (s.sd <= rounding) s.sd = 0;
    if (s.sd == 0 && fabs(s.mean) <= rounding) s.mean = 0;
    if (!isfinite(s.sd)) s.sd = NAN; /* the squares passed the largest double */
    if (!(s.sd > 0)) return s;
    const double half = nl_stats_t_quantile(0.975, s.n - 1) * s.sd / sqrt(s.n);
    s.low = s.mean - half;
    s.high = s.mean + half;
    return s;
}

/* The largest size of a finite value. */
static double scale_of(const double *x, int n) {
    double scale = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i])) scale = fmax(scale, fabs(x[i]));
    return scale;
}

nl_sample nl_stats_sample(const double *x, int n) {
    return with_interval(x, n, scale_of(x, n));
}

nl_sample nl_stats_sample_within(const double *x, int n, double low, double high) {
    nl_sample s = nl_stats_sample(x, n);
    if (!isnan(s.low)) s.low = fmin(fmax(s.low, low), high);
    if (!isnan(s.high)) s.high = fmin(fmax(s.high, low), high);
    return s;
}

nl_interval nl_stats_wilson(double hits, uint32_t n) {
    if (n == 0 || !(hits >= 0 && hits <= n)) return (nl_interval){NAN, NAN};
    const double z = 1.959963984540054, p = hits / n, z2n = z * z / n;
    const double centre = (p + z2n / 2) / (1 + z2n);
    const double half = z / (1 + z2n) * sqrt(p * (1 - p) / n + z2n / (4.0 * n));
    /* At the ends the formula gives 0 and 1 exactly; rounding must not step outside. */
    return (nl_interval){hits == 0 ? 0 : centre - half, hits == n ? 1 : centre + half};
}

/* ---- comparisons ---- */

nl_paired nl_stats_paired(const double *a, const double *b, int n) {
    double *difference = nl_alloc((size_t)n, sizeof *difference, "paired differences");
    for (int i = 0; i < n; i++) difference[i] = a[i] - b[i];
    const nl_sample s = with_interval(difference, n, fmax(scale_of(a, n), scale_of(b, n)));
    free(difference);
    nl_paired r = {s.n, s.mean, s.sd, s.low, s.high, NAN, NAN};
    if (s.n < NL_SEEDS_TO_TEST) return r;
    if (s.sd > 0) {
        r.t = s.mean / (s.sd / sqrt(s.n));
        r.p = 2 * nl_stats_t_cdf(-fabs(r.t), s.n - 1);
    } else if (s.mean == 0) {
        r.t = 0;
        r.p = 1;
    } /* else: alike, but that is their granularity's doing, not a spread of 0 */
    return r;
}

/* Under the null hypothesis each image that only one gets wrong is a fair coin: the smaller count k
 * of n is binomial. Exact: 2 P(X <= k). Mid-p: half of the observed point's weight is left out on
 * either side, which takes away the exact test's caution. */
nl_mcnemar nl_stats_mcnemar(uint32_t only_a, uint32_t only_b) {
    const double n = (double)only_a + only_b;
    const uint32_t k = only_a < only_b ? only_a : only_b;
    const double log_all = n * log(2) - lgamma(n + 1);
    double below = 0, point = 0;
    for (uint32_t i = 0; i <= k; i++) {
        point = exp(-lgamma(i + 1.0) - lgamma(n - i + 1) - log_all);
        below += point;
    }
    nl_mcnemar r = {only_a, only_b, fmin(1, 2 * below), 0};
    r.mid = only_a == only_b ? 1 - point / 2 : 2 * below - point;
    if (n == 0) r.mid = 1;
    return r;
}

double nl_stats_equivalence(const nl_paired *r, double margin) {
    if (r->n < NL_SEEDS_TO_TEST || !(r->sd > 0) || !(margin > 0)) return NAN;
    const double error = r->sd / sqrt(r->n), near = margin - fabs(r->mean);
    return nl_stats_t_cdf(-near / error, r->n - 1); /* the larger of the two one-sided ones */
}

/* An index to a p value, to be sorted by it. */
typedef struct ranked {
    double p;
    int at;
} ranked;

static int by_p(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->p < y->p ? -1 : x->p > y->p ? 1 : x->at - y->at;
}

void nl_stats_holm(double *p, int n) {
    ranked *known = nl_alloc((size_t)n, sizeof *known, "Holm");
    int count = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(p[i])) known[count++] = (ranked){p[i], i};
    qsort(known, (size_t)count, sizeof *known, by_p);
    double floor = 0;
    for (int i = 0; i < count; i++) {
        floor = fmax(floor, fmin(1, known[i].p * (count - i)));
        p[known[i].at] = floor;
    }
    free(known);
}

/* ---- plans ---- */

double nl_stats_sd_limit(double sd, int n, double level) {
    if (n < 2 || !isfinite(sd)) return NAN;
    return sd * sqrt((n - 1) / nl_stats_chi2_quantile(1 - level, n - 1));
}

nl_interval nl_stats_sd_interval(double sd, int n) {
    if (!(sd > 0)) return (nl_interval){NAN, NAN};
    return (nl_interval){nl_stats_sd_limit(sd, n, 0.025), nl_stats_sd_limit(sd, n, 0.975)};
}

/* The t quantiles at `reach` and at `power` together, in standard errors, have to stay within the
 * difference. Those of n - 1 degrees of freedom are larger than the normal distribution's, so n is
 * at least what that asks for, and seldom much more. */
static double wanted(double df, double mean, double sd, double reach, double power) {
    const double t = nl_stats_t_quantile(reach, df) + nl_stats_t_quantile(power, df);
    return pow(t * sd / mean, 2);
}

static int smallest(double mean, double sd, double reach, double power) {
    const double normal = 1e9; /* degrees of freedom */
    if (!isfinite(mean) || !(sd > 0) || !isfinite(sd)) return 0;
    if (!(reach > 0 && reach < 1 && power > 0 && power < 1)) return 0;
    const double least = wanted(normal, mean, sd, reach, power);
    if (!(least < NL_SEEDS_MAX)) return NL_SEEDS_MAX; /* or mean is 0 */
    int n = (int)fmax(least, NL_SEEDS_TO_TEST);
    while (n < NL_SEEDS_MAX && n < wanted(n - 1, mean, sd, reach, power)) n++;
    return n;
}

int nl_stats_seeds(double mean, double sd, double level, double power) {
    return smallest(mean, sd, 1 - level / 2, power);
}

int nl_stats_seeds_equal(double margin, double sd, double level, double power) {
    return smallest(margin, sd, 1 - level, (1 + power) / 2);
}
