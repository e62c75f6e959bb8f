/* The checks that batch norm and group norm have in common, for any implementation of them. */
#pragma once

#include "normlab/ops.h"        // nl_norm_shape
#include "support/norm_truth.h" // norm_input

/* The operation under one signature. s.groups = 0: batch norm. */
typedef struct norm_ops {
    void (*forward_f64)(double *y, double *mean, double *rstd, const double *x, const double *gamma,
                        const double *beta, nl_norm_shape s);
    void (*backward_f64)(double *dx, double *dgamma, double *dbeta, const double *dy,
                         const double *x, const double *mean, const double *rstd,
                         const double *gamma, nl_norm_shape s);
    void (*forward_f32)(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                        const float *beta, nl_norm_shape s);
    void (*backward_f32)(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                         const float *mean, const float *rstd, const float *gamma, nl_norm_shape s);
} norm_ops;

/* Both precisions against norm_truth, forward and backward, within a few eps at any mean. */
void check_norm_truth(const norm_ops *ops, nl_norm_shape s, norm_input input);

/* Double against finite differences in x, gamma and beta. */
void check_norm_gradient(const norm_ops *ops, nl_norm_shape s, norm_input input);

/* Constant data gives exactly beta, in both precisions. */
void check_norm_constant(const norm_ops *ops, nl_norm_shape s);

/* Pairs of values around a mean, all of it exactly representable: exact mean, variance and y. */
void check_norm_exact(const norm_ops *ops, nl_norm_shape s);

/* A NaN or infinity in one pair reaches all of that pair and nothing else, forward and backward. */
void check_norm_poison(const norm_ops *ops, nl_norm_shape s);

/* Double against tensors of PyTorch: <prefix>.near, .far, .small for (3, 4, 2 x 3). */
void check_norm_golden(const norm_ops *ops, int groups, const char *prefix);
