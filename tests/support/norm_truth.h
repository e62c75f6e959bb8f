/* What norms must give, computed another way: mean and variance in two passes in long double, the
 * gradient by the chain rule through every term. And the inputs that tell norms apart. */
#pragma once

#include <stdbool.h> // bool

#include "normlab/ops.h" // nl_norm_shape

#define NORM_EPS 1e-5

/* Inputs of a norm: mean and standard deviation of x. */
typedef struct norm_input {
    double mean, sigma;
} norm_input;

/* Ordinary; shifted; a mean of 1000 and 1e6 at sigma 1; a variance near and below eps. */
extern const norm_input norm_inputs[];
extern const int n_norm_inputs;

typedef struct norm_truth {
    double *y, *dx, *dgamma, *dbeta; /* guarded buffers */
    double *mean, *var;              /* (c) of a batch norm, (n, groups) else; var is biased */
} norm_truth;

/* s.groups = 0: batch norm. */
norm_truth norm_truth_of(const double *x, const double *gamma, const double *beta, const double *dy,
                         nl_norm_shape s);
void norm_truth_free(norm_truth *truth);

/* Number of (mean, var) pairs. */
int64_t norm_pairs(nl_norm_shape s);
