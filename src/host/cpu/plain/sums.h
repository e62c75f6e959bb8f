/* Sums for the plain norms and convolutions, in `real`, in an order that depends on the length
 * alone.
 *
 * A running sum of n numbers loses up to n ulp; halving the range until it is short loses log2(n)
 * (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 4.2). The short pieces run
 * in LANES independent sums, which the compiler may hold in one vector register.
 *
 * Moments without cancellation. E[x^2] - mean^2 is useless once the mean is large: at mean 1000 and
 * sigma 1 floats keep no digit of it. Instead, with any m near the mean and d = x - m,
 *
 *     c = mean(d),   var = mean(d^2) - c^2,   x - mean = d - c,
 *
 * where c only repairs the rounding of m, so nothing large is subtracted. m itself is
 * x[0] + mean(x - x[0]): exact for constant data, whose c and var are then exactly 0.
 */
#pragma once

#include <stdint.h> // int64_t

#include "real.h"

enum { LANES = 8, SHORT_SUM = 128 };

typedef struct sums {
    real a, b;
} sums;

typedef struct moments {
    real m, c, var; /* mean = m + c, kept apart because the sum rounds */
} moments;

/* A block of `rows` rows of `width` values, `stride` apart: a channel of a batch, or one row. */
typedef struct rows {
    int64_t rows, stride, width;
} rows;

/* a = sum (x - m), b = sum (x - m)^2 */
static inline sums sum_centred(const real *x, int64_t count, real m) {
    if (count > SHORT_SUM) {
        const int64_t half = (count / 2 + LANES - 1) / LANES * LANES;
        const sums lo = sum_centred(x, half, m), hi = sum_centred(x + half, count - half, m);
        return (sums){lo.a + hi.a, lo.b + hi.b};
    }
    real a[LANES] = {0}, b[LANES] = {0};
    for (int64_t i = 0; i < count; i += LANES) {
        const int64_t width = count - i < LANES ? count - i : LANES;
        for (int64_t j = 0; j < width; j++) {
            const real d = x[i + j] - m;
            a[j] += d;
            b[j] += d * d;
        }
    }
    sums s = {0, 0};
    for (int j = 0; j < LANES; j++) s.a += a[j], s.b += b[j];
    return s;
}

/* a = sum dy, b = sum dy (x - m - c) */
static inline sums sum_products(const real *dy, const real *x, int64_t count, real m, real c) {
    if (count > SHORT_SUM) {
        const int64_t half = (count / 2 + LANES - 1) / LANES * LANES;
        const sums lo = sum_products(dy, x, half, m, c);
        const sums hi = sum_products(dy + half, x + half, count - half, m, c);
        return (sums){lo.a + hi.a, lo.b + hi.b};
    }
    real a[LANES] = {0}, b[LANES] = {0};
    for (int64_t i = 0; i < count; i += LANES) {
        const int64_t width = count - i < LANES ? count - i : LANES;
        for (int64_t j = 0; j < width; j++) {
            a[j] += dy[i + j];
            b[j] += dy[i + j] * (x[i + j] - m - c);
        }
    }
    sums s = {0, 0};
    for (int j = 0; j < LANES; j++) s.a += a[j], s.b += b[j];
    return s;
}

/* The same over several rows; few enough for a running sum. */
static inline sums sum_centred_rows(const real *x, rows r, real m) {
    sums total = {0, 0};
    for (int64_t i = 0; i < r.rows; i++) {
        const sums s = sum_centred(x + i * r.stride, r.width, m);
        total.a += s.a;
        total.b += s.b;
    }
    return total;
}

static inline moments moments_of(const real *x, rows r) {
    const real count = (real)(r.rows * r.width);
    const real m = x[0] + sum_centred_rows(x, r, x[0]).a / count;
    const sums s = sum_centred_rows(x, r, m);
    const real c = s.a / count;
    const real var = s.b / count - c * c;
    /* Keeps NaN, which fmax would hide. A variance too large for a real becomes one: rstd would be
     * 0 and a diverged run would go on, every value beta. */
    return (moments){m, c, var < 0 ? 0 : var + 0 * var};
}

/* mean 0, and the mean of x^2 in the variance's place. */
static inline moments moments_about_zero(const real *x, rows r) {
    const real square = sum_centred_rows(x, r, 0).b / (real)(r.rows * r.width);
    return (moments){0, 0, square + 0 * square}; /* one too large for a real: as above */
}

/* mean(x) - m: what a mean that was rounded to `real` has lost. */
static inline real lost_mean(const real *x, rows r, real m) {
    return sum_centred_rows(x, r, m).a / (real)(r.rows * r.width);
}
