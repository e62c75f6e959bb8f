/* ReLU and its gradient. Written so that NaN passes: a comparison with NaN is false, and a diverged
 * run must not go on at a finite loss. */
#include "real.h"

void OP(relu_forward)(real *y, const real *x, int64_t count) {
    for (int64_t i = 0; i < count; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

void OP(relu_backward)(real *dx, const real *dy, const real *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
}
