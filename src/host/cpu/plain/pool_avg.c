/* Global average pooling (Lin, Chen, Yan, Network in Network, 2013, section 3.2): y = mean(x) over
 * a plane of hw values. Gradient: each value has the share 1 / hw, so dx = dy / hw everywhere. */
#include "sums.h"

void OP(pool_avg_forward)(real *y, const real *x, int n, int c, int hw) {
    for (int64_t i = 0; i < (int64_t)n * c; i++) y[i] = sum_centred(x + i * hw, hw, 0).a / (real)hw;
}

void OP(pool_avg_backward)(real *dx, const real *dy, int n, int c, int hw) {
    for (int64_t i = 0; i < (int64_t)n * c; i++)
        for (int64_t j = i * hw; j < (i + 1) * hw; j++) dx[j] = dy[i] / (real)hw;
}
