/* Student's, Fisher's and the chi-square distribution; sources in normlab/stats.h.
 *
 * All of Student's distribution comes from one function, the regularised incomplete beta:
 * P(T <= -|t|) = I_x(df/2, 1/2) / 2 with x = df / (df + t^2); Fisher's F likewise, P(F >= f) =
 * I_x(df2/2, df1/2) with x = df2 / (df2 + df1 f). The beta is the continued fraction
 * DLMF 8.17.22. Chi-square is the regularised incomplete gamma: the series DLMF 8.7.1 below the
 * mean, the continued fraction DLMF 8.9.2 above it. Fractions are evaluated by Lentz's method from
 * the front; quantiles by halving.
 */
#include "normlab/stats.h"

#include <math.h>   // lgamma, log1p
#include <stdint.h> // uint64_t
#include <string.h> // memcpy

#include "normlab/error.h" // NL_ASSERT

#define PI 3.14159265358979323846

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

double nl_stats_f_above(double f, double df1, double df2) {
    if (isnan(f)) return NAN;
    return f <= 0 ? 1 : nl_stats_beta(df2 / (df2 + df1 * f), 0.5 * df2, 0.5 * df1);
}

static double t_density(double t, double df) {
    return exp(lgamma(0.5 * (df + 1)) - lgamma(0.5 * df) - 0.5 * (df + 1) * log1p(t * t / df)) /
           sqrt(df * PI);
}

/* The t of many degrees of freedom, from that of the normal distribution (Fisher and Cornish,
 * Technometrics 2 (1960), two terms). */
static double near_normal(double z, double df) {
    const double z3 = z * z * z;
    return z + (z3 + z) / (4 * df) + (5 * z3 * z * z + 16 * z3 + 3 * z) / (96 * df * df);
}

/* For p > 0.5: Newton's steps, halved where they leave the bracket. */
static double upper_quantile(double p, double df) {
    enum { MANY = 10, NORMAL = 1000000000 }; /* degrees of freedom */
    const bool many = df > MANY && df < NORMAL;
    double t = many ? near_normal(nl_stats_t_quantile(p, NORMAL), df) : 0.5;
    double low = 0, high = 2 * t;
    while (nl_stats_t_cdf(high, df) < p && high < 1e15) high *= 2;
    if (!many) t = 0.5 * high;
    for (int i = 0; i < 200; i++) {
        const double off = nl_stats_t_cdf(t, df) - p, step = off / t_density(t, df), before = t;
        *(off < 0 ? &low : &high) = t;
        t -= step;
        if (fabs(step) <= 1e-8 * t) break; /* the next one would be the square of that */
        if (!(t > low && t < high)) t = 0.5 * (low + high);
        if (fabs(t - before) <= 1e-15 * t) break;
    }
    return t;
}

/* A report asks for the same few thousands of times. */
double nl_stats_t_quantile(double p, double df) {
    enum { KNOWN = 1024 }; /* each in the one place that it can stand in */
    static _Thread_local struct known { double p, df, t; } known[KNOWN];
    NL_ASSERT(p > 0 && p < 1);
    if (p < 0.5) return -nl_stats_t_quantile(1 - p, df);
    if (p == 0.5) return 0;
    uint64_t bits;
    const double both = p * (df + 0.618);
    memcpy(&bits, &both, sizeof bits);
    struct known *k = &known[bits * 0x9E3779B97F4A7C15 >> 54];
    if (k->p != p || k->df != df) {
        const double t = upper_quantile(p, df);
        *k = (struct known){p, df, t};
    }
    return k->t;
}

/* ---- chi-square ---- */

/* P(a, x) = front (1 / a + x / (a (a + 1)) + ...), front = x^a e^-x / Gamma(a). */
static double gamma_series(double a, double x) {
    double term = 1 / a, sum = term;
    for (int k = 1; k < 100000 && term > 1e-17 * sum; k++) {
        term *= x / (a + k);
        sum += term;
    }
    return sum;
}

/* 1 - P(a, x) = front / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a ...))) */
static double gamma_fraction(double a, double x) {
    double b = x + 1 - a, c = 1e300, d = 1 / off_zero(b), f = d;
    for (int k = 1; k < 100000; k++) {
        const double numerator = -k * (k - a);
        b += 2;
        d = 1 / off_zero(b + numerator * d);
        c = off_zero(b + numerator / c);
        f *= c * d;
        if (fabs(c * d - 1) < 1e-16) break;
    }
    return f;
}

double nl_stats_chi2_cdf(double x, double df) {
    if (isnan(x)) return NAN;
    if (x <= 0) return 0;
    if (isinf(x)) return 1;
    const double a = 0.5 * df, half = 0.5 * x, front = exp(a * log(half) - half - lgamma(a));
    return half < a + 1 ? front * gamma_series(a, half) : 1 - front * gamma_fraction(a, half);
}

double nl_stats_chi2_quantile(double p, double df) {
    NL_ASSERT(p > 0 && p < 1);
    double low = 0, high = df;
    while (nl_stats_chi2_cdf(high, df) < p) high *= 2;
    for (int i = 0; i < 200; i++) {
        const double middle = 0.5 * (low + high);
        *(nl_stats_chi2_cdf(middle, df) < p ? &low : &high) = middle;
    }
    return 0.5 * (low + high);
}
