/* The rules of every comparison with double precision: what an error may be, and where there is
 * nothing to compare, because rounding decides what a ReLU or a max pool does, and with it who gets
 * the gradient. See normlab/verify.h. */
#include <float.h> // FLT_MIN
#include <math.h>  // fabs, fmax

#include "normlab/verify.h"

double nl_verify_ulp(double largest) {
    const float top = fmaxf((float)largest, FLT_MIN);
    return (double)nextafterf(top, INFINITY) - (double)top;
}

double nl_verify_bound(double plain_error, double largest) {
    return 4 * (plain_error < INFINITY ? plain_error : 0) + 4 * nl_verify_ulp(largest);
}

bool nl_is_tie(const double *window, int k, int width, bool relu, double tolerance) {
    double best = window[0];
    for (int i = 0; i < k * k; i++) best = fmax(best, window[i / k * width + i % k]);
    if (relu && fabs(best) < tolerance) return true;
    if (relu && best < 0) return false;
    for (int i = 0; i < k * k; i++) {
        const double behind = best - window[i / k * width + i % k];
        if (behind > 0 && behind < tolerance) return true;
    }
    return false;
}
