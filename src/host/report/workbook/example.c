/* The example's values by the operations that train: norm_batch, norm_group, conv, relu and
 * sgd_update in double. Only the variance is computed here, since the operations keep 1 / sqrt(var
 * + eps) instead; an assertion ties it to theirs, so that the workbook cannot drift from the code.
 */
#include "example.h"

#include <math.h>   // sqrt
#include <string.h> // memcpy

#include "normlab/error.h" // NL_ASSERT
#include "normlab/ops.h"   // nl_norm_batch_forward_f64

const double nl_example_x[EX_SIZE] = {
    3,  3,  1, 3,  -2, -2, 5,  -4, 0,  0,  -3, -3, 3,  -2, -2, 5,  /* image 1 */
    -2, -2, 0, -4, 4,  -5, 4,  3,  1,  -4, -2, -3, -4, 1,  -4, 0,  /* image 2 */
    -1, 2,  3, 1,  0,  -1, -5, 4,  -3, -3, -3, 2,  2,  -3, 4,  5,  /* image 3 */
    -1, 3,  2, -5, 0,  -3, -1, 2,  -1, -3, 3,  5,  3,  -2, 2,  0}; /* image 4 */

/* A gradient that arrives, in eighths: no pattern that a norm would take away. */
const double nl_example_dy[EX_SIZE] = {
    0.125,  -0.25, 0.5,    0.375, -0.125, 0.25,  0.75,   -0.5,  0.25,  0,      -0.375,
    0.125,  0.5,   -0.625, 0.25,  0.125,  -0.75, 0.375,  0.125, 0.5,   0.25,   -0.25,
    -0.125, 0.625, -0.5,   0.125, 0.375,  0,     0.25,   0.5,   -0.25, -0.125, 0.375,
    0.125,  -0.5,  0.25,   -0.25, 0.75,   0.125, -0.375, 0.5,   0.125, -0.125, 0.25,
    -0.625, 0.25,  0.5,    -0.25, 0.125,  0.375, -0.5,   0.25,  0.75,  -0.125, 0.25,
    -0.375, 0,     0.5,    -0.25, 0.125,  0.25,  -0.125, 0.375, -0.5};

const double nl_example_gamma[EX_C] = {1, 0.5, 2, 1.5};
const double nl_example_beta[EX_C] = {0, 0.25, -1, 0.5};

const double nl_example_weight[EX_C * EX_C] = {1,  -0.5, 0.25, 0, 0.5, 1,    -1,   0.25,
                                               -1, 0.5,  1,    1, 0,   0.75, -0.5, 1}; /* (o, c) */
const double nl_example_bias[EX_C] = {0.5, 0, -0.25, 1};

int nl_example_sets(nl_example_norm norm) {
    return norm == EX_BN ? EX_C : norm == EX_LN ? EX_N : EX_N * EX_GROUPS;
}

int nl_example_set(nl_example_norm norm, int image, int channel) {
    if (norm == EX_BN) return channel;
    return norm == EX_LN ? image : image * EX_GROUPS + channel / (EX_C / EX_GROUPS);
}

static nl_norm_shape shape_of(nl_example_norm norm) {
    nl_norm_shape s = {EX_N, EX_C, EX_HW, norm == EX_GN ? EX_GROUPS : 1};
    return s;
}

static void forward(nl_example_layer *layer, double *y, const double *gamma, const double *beta,
                    nl_example_norm norm) {
    for (int c = 0; c < EX_C; c++) {
        layer->running_mean[c] = 0;
        layer->running_var[c] = 1;
    }
    if (norm == EX_BN)
        nl_norm_batch_forward_f64(y, layer->mean, layer->rstd, layer->running_mean,
                                  layer->running_var, layer->x, gamma, beta, shape_of(norm), EX_EPS,
                                  EX_MOMENTUM);
    else
        nl_norm_group_forward_f64(y, layer->mean, layer->rstd, layer->x, gamma, beta,
                                  shape_of(norm), EX_EPS);
}

/* sums[set] += a * b over the elements of each set, then divided by their number. */
static void set_means(double *sums, const double *a, const double *b, nl_example_norm norm) {
    const int sets = nl_example_sets(norm);
    memset(sums, 0, EX_SETS * sizeof *sums);
    for (int i = 0; i < EX_SIZE; i++)
        sums[nl_example_set(norm, i / (EX_C * EX_HW), i / EX_HW % EX_C)] += a[i] * (b ? b[i] : 1);
    for (int s = 0; s < sets; s++) sums[s] /= EX_SIZE / sets;
}

static void make_layer(nl_example_layer *layer, nl_example_norm norm) {
    static const double one[EX_C] = {1, 1, 1, 1}, zero[EX_C] = {0};
    forward(layer, layer->normalised, one, zero, norm);
    forward(layer, layer->y, nl_example_gamma, nl_example_beta, norm);
    double centred[EX_SIZE];
    for (int i = 0; i < EX_SIZE; i++)
        centred[i] =
            layer->x[i] - layer->mean[nl_example_set(norm, i / (EX_C * EX_HW), i / EX_HW % EX_C)];
    set_means(layer->variance, centred, centred, norm);
    for (int s = 0; s < nl_example_sets(norm); s++)
        NL_ASSERT(fabs(layer->rstd[s] * sqrt(layer->variance[s] + EX_EPS) - 1) <= 1e-14);
}

static void make_gradient(nl_example_gradient *g, const nl_example_layer *layer,
                          nl_example_norm norm) {
    if (norm == EX_BN)
        nl_norm_batch_backward_f64(g->dx, g->dgamma, g->dbeta, nl_example_dy, layer->x, layer->mean,
                                   layer->rstd, nl_example_gamma, shape_of(norm));
    else
        nl_norm_group_backward_f64(g->dx, g->dgamma, g->dbeta, nl_example_dy, layer->x, layer->mean,
                                   layer->rstd, nl_example_gamma, shape_of(norm));
    for (int i = 0; i < EX_SIZE; i++)
        g->dy_gamma[i] = nl_example_dy[i] * nl_example_gamma[i / EX_HW % EX_C];
    set_means(g->first, g->dy_gamma, NULL, norm);
    set_means(g->second, g->dy_gamma, layer->normalised, norm);
    const nl_sgd sgd = {.lr = EX_RATE, .momentum = 0.9};
    double velocity[EX_C] = {0}; /* the first step: v = g */
    memcpy(g->gamma, nl_example_gamma, sizeof g->gamma);
    memcpy(g->beta, nl_example_beta, sizeof g->beta);
    nl_sgd_update_f64(g->gamma, velocity, g->dgamma, EX_C, sgd);
    memset(velocity, 0, sizeof velocity);
    nl_sgd_update_f64(g->beta, velocity, g->dbeta, EX_C, sgd);
}

void nl_example_make(nl_example *example, nl_example_norm norm) {
    memcpy(example->one.x, nl_example_x, sizeof example->one.x);
    make_layer(&example->one, norm);
    nl_relu_forward_f64(example->relu, example->one.y, EX_SIZE);
    const nl_conv_shape shape = {EX_N, EX_C, 2, 2, EX_C, 1, 0};
    nl_conv_forward_f64(example->two.x, example->relu, nl_example_weight, nl_example_bias, shape);
    make_layer(&example->two, norm);
    make_gradient(&example->gradient, &example->one, norm);
}
