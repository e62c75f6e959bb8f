/* Statistics for few seeds; formulas and sources in normlab/stats.h.
 *
 * All of Student's distribution comes from one function, the regularised incomplete beta:
 * P(T <= -|t|) = I_x(df/2, 1/2) / 2 with x = df / (df + t^2). The beta is the continued fraction
 * DLMF 8.17.22, evaluated by Lentz's method from the front.
 */
#include "normlab/stats.h"

#include <float.h>   // DBL_EPSILON
#include <math.h>    // lgamma, sqrt
#include <stdbool.h> // bool
#include <stdlib.h>  // free

#include "normlab/error.h" // nl_alloc

/* ---- Student's distribution ---- */

/* A denominator that became 0 is moved off it; the fraction itself is not sensitive to it. */
static double off_zero(double v) {
    return fabs(v) < 1e-300 ? 1e-300 : v;
}

static double beta_fraction(double x, double a, double b) {
    double c = 1, d = 1 / off_zero(1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < 1000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / off_zero(1 + even * d);
        c = off_zero(1 + even / c);
        f *= c * d;
        d = 1 / off_zero(1 + odd * d);
        c = off_zero(1 + odd / c);
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16) break;
    }
    return f;
}

double nl_stats_beta(double x, double a, double b) {
    if (!(x > 0)) return x <= 0 ? 0 : NAN;
    if (x >= 1) return 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    /* The fraction converges fast below the mean; above it, use the symmetry. */
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double nl_stats_t_cdf(double t, double df) {
    if (isnan(t)) return NAN;
    if (isinf(t)) return t < 0 ? 0 : 1;
    const double tail = 0.5 * nl_stats_beta(df / (df + t * t), 0.5 * df, 0.5);
    return t < 0 ? tail : 1 - tail;
}

double nl_stats_t_quantile(double p, double df) {
    NL_ASSERT(p > 0 && p < 1);
    if (p < 0.5) return -nl_stats_t_quantile(1 - p, df);
    double low = 0, high = 1;
    while (nl_stats_t_cdf(high, df) < p && high < 1e15) high *= 2;
    for (int i = 0; i < 200; i++) {
        const double middle = 0.5 * (low + high);
        if (nl_stats_t_cdf(middle, df) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

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

nl_interval nl_stats_wilson(uint32_t hits, uint32_t n) {
    if (n == 0 || hits > n) return (nl_interval){NAN, NAN};
    const double z = 1.959963984540054, p = (double)hits / n, z2n = z * z / n;
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

void nl_stats_holm(double *p, int n) {
    bool *done = nl_alloc((size_t)n, sizeof *done, "Holm");
    int left = 0;
    for (int i = 0; i < n; i++) left += !isnan(p[i]);
    double floor = 0;
    for (; left > 0; left--) {
        int next = -1;
        for (int i = 0; i < n; i++)
            if (!done[i] && !isnan(p[i]) && (next < 0 || p[i] < p[next])) next = i;
        done[next] = true;
        floor = fmax(floor, fmin(1, p[next] * left));
        p[next] = floor;
    }
    free(done);
}

static bool enough(int n, double mean, double sd, double level) {
    const double z = nl_stats_t_quantile(1 - level / 2, n - 1) + nl_stats_t_quantile(0.8, n - 1);
    return n >= pow(z * sd / mean, 2);
}

int nl_stats_seeds(double mean, double sd, double level) {
    if (!isfinite(mean) || !(sd > 0) || !isfinite(sd) || !(level > 0 && level < 1)) return 0;
    if (mean == 0) return NL_SEEDS_MAX;
    /* low is too few; high doubles until it is enough */
    int low = NL_SEEDS_TO_TEST - 1, high = NL_SEEDS_TO_TEST;
    while (!enough(high, mean, sd, level)) {
        low = high;
        high *= 2;
        if (high >= NL_SEEDS_MAX) return NL_SEEDS_MAX;
    }
    while (high - low > 1) {
        const int n = (low + high) / 2;
        if (enough(n, mean, sd, level))
            high = n;
        else
            low = n;
    }
    return high;
}
