/* The tensor of the workbook and everything the plain operations make of it, in double. */
#pragma once

enum { EX_N = 4, EX_C = 4, EX_HW = 4, EX_SIZE = EX_N * EX_C * EX_HW, EX_GROUPS = 2, EX_SETS = 8 };

typedef enum nl_example_norm { EX_BN, EX_LN, EX_GN, EX_NORMS } nl_example_norm;

/* A set is what one mean and variance are taken over: a channel, an image, or a group of an image.
 */
typedef struct nl_example_layer {
    double x[EX_SIZE]; /* (n, c, hw), as all tensors here */
    double mean[EX_SETS], variance[EX_SETS], rstd[EX_SETS];
    double normalised[EX_SIZE], y[EX_SIZE];
    double running_mean[EX_C], running_var[EX_C]; /* batch norm: after the update from 0 and 1 */
} nl_example_layer;

typedef struct nl_example_gradient {
    double dy_gamma[EX_SIZE];               /* dy gamma: the gradient of the normalised values */
    double first[EX_SETS], second[EX_SETS]; /* its mean, and that of its product with them */
    double dx[EX_SIZE], dgamma[EX_C], dbeta[EX_C];
    double gamma[EX_C], beta[EX_C]; /* after one step */
} nl_example_gradient;

typedef struct nl_example {
    nl_example_layer one, two;
    double relu[EX_SIZE]; /* between them; two.x is its convolution */
    nl_example_gradient gradient;
} nl_example;

#define EX_EPS 1e-5
#define EX_MOMENTUM 0.1 /* of the running values */
#define EX_RATE 0.01

extern const double nl_example_x[EX_SIZE], nl_example_dy[EX_SIZE];
extern const double nl_example_gamma[EX_C], nl_example_beta[EX_C];
extern const double nl_example_weight[EX_C * EX_C], nl_example_bias[EX_C];

void nl_example_make(nl_example *example, nl_example_norm norm);

/* The number of sets, of values in each, and the set of an element. */
int nl_example_sets(nl_example_norm norm);
int nl_example_set(nl_example_norm norm, int image, int channel);
