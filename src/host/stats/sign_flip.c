/* The sign-flip test. All ways to set n signs are the sums of a way for the first half and a way
 * for the second, so 2^20 sums cost an addition each and carry the rounding of one. Turning every
 * sign turns the sum, which is as far from 0 then: the last difference keeps its sign.
 */
#include "normlab/stats.h"

#include <math.h>   // fabs
#include <stdlib.h> // free

#include "normlab/error.h"  // nl_alloc
#include "normlab/philox.h" // nl_philox4x32

/* A stream that no run draws from. */
enum { KEY = 0x51674E, HALF = NL_FLIPS_ALL / 2 };

/* out[k]: the sum in which bit i of k turns x[i]. */
static void all_sums(double *out /* (2^n) */, const double *x, int n) {
    out[0] = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 1 << i; k++) {
            out[k + (1 << i)] = out[k] - x[i];
            out[k] += x[i];
        }
}

static double share_of_all(const double *x, int n, double reach) {
    double first[1 << HALF], second[1 << HALF];
    const int n_first = n - 1 < HALF ? n - 1 : HALF, n_second = n - 1 - n_first;
    long hits = 0;
    all_sums(first, x + 1, n_first);
    all_sums(second, x + 1 + n_first, n_second);
    for (int i = 0; i < 1 << n_second; i++)
        for (int j = 0; j < 1 << n_first; j++) hits += fabs(x[0] + second[i] + first[j]) >= reach;
    return (double)hits / (double)(1L << (n - 1));
}

static double share_of_draws(const double *x, int n, double reach) {
    long hits = 0;
    for (uint32_t draw = 0; draw < NL_FLIPS; draw++) {
        double sum = 0;
        nl_philox words = {{0}};
        for (int i = 0; i < n; i++) {
            if (i % 128 == 0) words = nl_philox4x32(draw, (uint32_t)i / 128, 0, 0, KEY, 0);
            sum += words.v[i / 32 % 4] >> i % 32 & 1 ? -x[i] : x[i];
        }
        hits += fabs(sum) >= reach;
    }
    return (double)(hits + 1) / (NL_FLIPS + 1);
}

double nl_stats_sign_flip(const double *difference, int n) {
    double *x = nl_alloc((size_t)n, sizeof *x, "differences"), sum = 0, size = 0;
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(difference[i])) continue;
        x[count++] = difference[i];
        sum += difference[i];
        size += fabs(difference[i]);
    }
    const double reach = fabs(sum) - NL_TIE * fmax(size, 1);
    const double p = count == 0              ? NAN
                     : count <= NL_FLIPS_ALL ? share_of_all(x, count, reach)
                                             : share_of_draws(x, count, reach);
    free(x);
    return p;
}
