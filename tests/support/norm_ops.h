/* The plain norms under the one signature of norm_check.h: eps is NORM_EPS, running values are
 * dropped. */
#pragma once

#include "normlab/config.h"     // nl_norm
#include "support/norm_check.h" // norm_ops

/* By nl_norm: batch, group and rms; the others are group norms with groups of their own. */
extern const norm_ops plain_norms[NL_NORMS];

/* What is tested, in float, beside the plain norm in double. */
norm_ops norm_ops_beside(nl_norm norm,
                         void (*forward)(float *y, float *mean, float *rstd, const float *x,
                                         const float *gamma, const float *beta, nl_norm_shape s),
                         void (*backward)(float *dx, float *dgamma, float *dbeta, const float *dy,
                                          const float *x, const float *mean, const float *rstd,
                                          const float *gamma, nl_norm_shape s));
