/* norm_ops.h */
#include "norm_ops.h"

#include "compare.h" // cr_assert

enum { MOST_CHANNELS = 96 };

static void batch_f64(double *y, double *mean, double *rstd, const double *x, const double *gamma,
                      const double *beta, nl_norm_shape s) {
    double running[2][MOST_CHANNELS] = {{0}};
    cr_assert(s.c <= MOST_CHANNELS);
    nl_norm_batch_forward_f64(y, mean, rstd, running[0], running[1], x, gamma, beta, s, NORM_EPS,
                              0.1);
}

static void group_f64(double *y, double *mean, double *rstd, const double *x, const double *gamma,
                      const double *beta, nl_norm_shape s) {
    nl_norm_group_forward_f64(y, mean, rstd, x, gamma, beta, s, NORM_EPS);
}

static void rms_f64(double *y, double *mean, double *rstd, const double *x, const double *gamma,
                    const double *beta, nl_norm_shape s) {
    nl_norm_rms_forward_f64(y, mean, rstd, x, gamma, beta, s, NORM_EPS);
}

static void batch_f32(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                      const float *beta, nl_norm_shape s) {
    float running[2][MOST_CHANNELS] = {{0}};
    cr_assert(s.c <= MOST_CHANNELS);
    nl_norm_batch_forward_f32(y, mean, rstd, running[0], running[1], x, gamma, beta, s, NORM_EPS,
                              0.1);
}

static void group_f32(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                      const float *beta, nl_norm_shape s) {
    nl_norm_group_forward_f32(y, mean, rstd, x, gamma, beta, s, NORM_EPS);
}

static void rms_f32(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, nl_norm_shape s) {
    nl_norm_rms_forward_f32(y, mean, rstd, x, gamma, beta, s, NORM_EPS);
}

const norm_ops plain_norms[NL_NORMS] = {
    [NL_NORM_BATCH] = {batch_f64, nl_norm_batch_backward_f64, batch_f32,
                       nl_norm_batch_backward_f32},
    [NL_NORM_GROUP] = {group_f64, nl_norm_group_backward_f64, group_f32,
                       nl_norm_group_backward_f32},
    [NL_NORM_RMS] = {rms_f64, nl_norm_rms_backward_f64, rms_f32, nl_norm_rms_backward_f32}};

norm_ops norm_ops_beside(nl_norm norm,
                         void (*forward)(float *y, float *mean, float *rstd, const float *x,
                                         const float *gamma, const float *beta, nl_norm_shape s),
                         void (*backward)(float *dx, float *dgamma, float *dbeta, const float *dy,
                                          const float *x, const float *mean, const float *rstd,
                                          const float *gamma, nl_norm_shape s)) {
    norm_ops ops = plain_norms[norm];
    ops.forward_f32 = forward;
    ops.backward_f32 = backward;
    return ops;
}
