/* The plain network: a model's layers run one after another over a batch with the plain operations,
 * every intermediate result kept for the backward pass. Compiled for float and for double.
 *
 *     plain_net net;
 *     OP(net_open)(&net, &config, &model, 64);
 *     ... fill net.x ...
 *     logits = OP(net_forward)(&net, params, buffers, batch);
 *     OP(net_backward)(&net, grads, dlogits, params, batch);
 *     OP(net_close)(&net);
 */
#pragma once

#include "normlab/model.h" // nl_model
#include "real.h"

/* What one layer keeps. */
typedef struct net_store {
    real *z;  /* convolution: before norm and ReLU; NULL without norm, if no caller allocates it */
    real *y;  /* the layer's output, after norm and ReLU, or after dropout */
    real *dy; /* convolution: the gradient at y, kept where a caller allocates it; else NULL */
    real *mean; /* of the norm's channels, or groups */
    real *rstd;
    int32_t *arg; /* max pool */
} net_store;

typedef struct plain_net {
    const nl_config *config; /* eps, momentum and dropout */
    const nl_model *model;
    int capacity; /* images */
    real *x;      /* (capacity, channels, height, width): the input, which the caller fills */
    net_store stores[NL_MAX_LAYERS];
    real *work[2]; /* gradients on their way back, each as large as the largest activation */
} plain_net;

typedef struct net_batch {
    bool train; /* batch statistics and dropout; else running values and none */
    int n;
    uint32_t seed, epoch;   /* of the dropout; training only */
    const uint32_t *images; /* (n) number of the image in each slot; training only */
} net_batch;

void OP(net_open)(plain_net *net, const nl_config *config, const nl_model *model, int capacity);
void OP(net_close)(plain_net *net);

/* Returns the logits (n, 10), inside the net. In training the running values in buffers are
 * updated. */
const real *OP(net_forward)(plain_net *net, const real *params, real *buffers, net_batch b);

/* Writes the gradient of every parameter; the arena's padding is left alone. Follows a forward pass
 * in training with the same params and batch. */
void OP(net_backward)(plain_net *net, real *grads, const real *dlogits, const real *params,
                      net_batch b);
