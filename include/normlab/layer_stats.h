/* What flows through each convolution of a network, forward and backward: the numbers that a norm
 * is there to keep in range. */
#pragma once

#include "normlab/backend.h" // nl_engine_spec, nl_state

/* Mean and population standard deviation. */
typedef struct nl_mean_sd {
    double mean, sd;
} nl_mean_sd;

/* One convolution, over all images, channels and pixels of a batch. z: its output, bias added,
 * before norm and ReLU; y: behind both; dy and dw: the gradients of the batch's mean cross-entropy
 * (no penalty) at y and at the filter. zero: the share of values of y that are 0; dead: the share
 * of channels that are 0 on every pixel of every image; both NaN without a ReLU. */
typedef struct nl_layer_stats {
    const char *label; /* conv1 ...; the model's */
    nl_mean_sd z, y, dy, dw;
    double zero, dead;
} nl_layer_stats;

/* One step of the plain network in training, forward and backward, on a state as get_state gives it
 * (elements of real_size bytes), which is left alone. The batch is always the same: the first
 * images of the training set, as many as a batch of the config has, not rotated, without dropout;
 * so what differs from call to call is the weights' doing. Returns the number of convolutions. */
int nl_layer_stats_of(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                      const nl_state *state, int real_size);
