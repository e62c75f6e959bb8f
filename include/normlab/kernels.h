/* The launchers of src/kernels: what the host side of the CUDA backend may ask of a device.
 *
 * Tensors are float32, NCHW, in device memory. Every launcher queues its work on `stream` (a
 * cudaStream_t; NULL is the default stream), neither allocates nor waits, may be captured into a
 * graph, and returns 0 or the runtime's error number (cudaError_t). A wrong shape is a programmer's
 * mistake and aborts; but one too large for the kernels (NL_K_MOST_VALUES), which a batch size may
 * make, is cudaErrorInvalidValue, and nothing is launched. Outputs come first and never overlap
 * inputs. Everything is deterministic: sums are taken in a fixed order, without float atomics.
 *
 * A block of the network is
 *
 *     z = conv(in, w)
 *     x = z + bias
 *     y = norm(x)
 *     relu, max pool, dropout
 *
 * where each step behind the convolution may be missing. The convolution adds no bias: what stands
 * behind it is a stage, and one launcher does it all, forward or backward. Only z and the moments
 * of each set are kept for the way back, and which values the dropout keeps; the way back computes
 * the normalised value, the ReLU's mask and the pool's choice again. The gradients of bias, gamma and beta are written by
 * the same launch that makes dz.
 *
 * Of the tensors a launcher of a stage asks for no more than this: without a norm z once each way,
 * and dy once; with one z and dy twice, in two launches, or, where a set has at most 16384 values, in
 * one whose second time finds them in a register or the cache. y and dz are written once. All else
 * is small: values of channels, sets and planes, and the mask of the dropout.
 *
 * scratch and counters: launches on one stream share them; a parallel branch of a graph needs its
 * own. `scratch` holds nl_k_scratch_size bytes (the largest of all shapes used with it) and need
 * not be cleared. `counters` holds nl_k_counters entries, zeroed once: every launch leaves them
 * zero.
 */
#pragma once

#include <stddef.h> // size_t
#include <stdint.h> // uint32_t

#include "normlab/rotation.h" // nl_rotation

#ifdef __cplusplus
extern "C" {
#endif

/* --- what lives on the device beside the tensors --- */

/* Where a run stands. In device memory, so that one captured graph serves every step: the host
 * writes it at the beginning of an epoch (or pass), the launches at the end of each step advance
 * it. */
typedef struct nl_k_state {
    uint32_t seed;
    uint32_t epoch;
    uint32_t step; /* of the epoch or pass: its images stand at places step * batch .. */
    uint32_t stop; /* 1: a loss or penalty was not finite; from then on nothing is updated */
    float lr;
    uint32_t unused; /* a multiple of 8 bytes */
    double penalty;  /* l1 * sum |p| of the weights as they are */
} nl_k_state;

/* What one step reports, at index state->step of the array of records. */
typedef struct nl_k_record {
    double loss;    /* sum over the images of the cross-entropy: divide by images for the mean */
    double penalty; /* l1 * sum |p| before the update */
    uint32_t hits;
    uint32_t images;
} nl_k_record;

/* Mean and deviation of one set of values. The mean is mean + rest: one float is too coarse where
 * the mean is far larger than the deviation. */
typedef struct nl_k_moments {
    float mean, rest;
    float rstd; /* 1 / sqrt(var + eps) */
    float var;  /* biased */
} nl_k_moments;

/* --- shapes --- */

/* z is (n, c, h, w). pool 0: none, the output is (n, c, h, w); pool k: max pool k/k, the output is
 * (n, c, h / k, w / k) and what is left over at the edge is dropped. */
typedef struct nl_k_shape {
    int n, c, h, w;
    int groups; /* of group norm; otherwise not looked at */
    int pool;
    int relu; /* 0 or 1 */
} nl_k_shape;

/* Dropout behind the pool (pool 1 where there is no pool but dropout). */
typedef struct nl_k_dropout {
    /* (n), on the device: image number of each slot, as nl_k_gather wrote them. NULL: no dropout */
    const uint32_t *slots;
    const nl_k_state *state; /* on the device: seed and epoch */
    uint32_t layer;          /* ordinal of the dropout, from 1 */
    uint32_t threshold;      /* nl_dropout_threshold(p) */
    float scale;             /* nl_dropout_scale(p) */
    uint8_t *kept;           /* nl_k_kept_size bytes, on the device: which values are kept, from
                                forward for backward; four of an image in a byte */
} nl_k_dropout;

/* Of a tensor: the kernels count in int, some of them several times what there is. */
enum { NL_K_MOST_VALUES = INT32_MAX / 4 };

/* For any launcher with this shape, or with a smaller n. */
size_t nl_k_scratch_size(const nl_k_shape *s); /* bytes */
int nl_k_counters(const nl_k_shape *s);        /* uint32_t entries */
size_t nl_k_kept_size(const nl_k_shape *s);    /* bytes of drop.kept */

/* --- input --- */

/* A batch of n images, at most `batch`, out of a data set of `count`. */
typedef struct nl_k_input {
    float *x;        /* (n, c, h, w) */
    uint32_t *slots; /* (n): image numbers */
    uint8_t *picked; /* (n): labels */

    const uint8_t *images, *labels; /* (count, c, h, w), (count) */
    nl_image_shape shape;
    const uint32_t *order;        /* (places): image number; NULL: the place itself */
    const nl_rotation *rotations; /* (count), 16 bytes aligned, by image number; NULL: none */
    const nl_pixel_table *table;
    const nl_k_state *state;
    int n, batch;
} nl_k_input;

/* x[i] = table of the rotated pixels of image number slots[i] = order[step * batch + i], outside
 * the image that of byte 0; picked[i] its label. */
int nl_k_gather(const nl_k_input *in, void *stream);

/* --- a stage: bias, norm, ReLU, pool and dropout, as they are there --- */

/* Everything that the launchers of a stage may want: filled once for a layer, and each launcher
 * reads what it needs. All pointers are to device memory, which stays the caller's; tensors of the
 * same stage may lie anywhere, but an output is never an input. out below is (n, c, h, w) without a
 * pool, else (n, c, h / pool, w / pool). */
typedef struct nl_k_stage {
    nl_k_shape shape;
    int centres; /* 1: the norm takes the mean off; 0 (group norm alone): RMS norm */
    float eps;
    nl_k_dropout drop;

    const float *z;                          /* (n, c, h, w) */
    const float *bias, *gamma, *beta;        /* (c) */
    const float *running_mean, *running_var; /* (c): evaluation of batch norm */

    /* forward */
    float *y;                      /* out */
    nl_k_moments *saved;           /* (c) of batch norm, (n, groups) of group norm: for backward */
    float *fresh_mean, *fresh_var; /* (c), batch norm: the batch's mean and unbiased variance */

    /* backward */
    const float *dy;               /* out */
    float *dz;                     /* (n, c, h, w) */
    float *dgamma, *dbeta, *dbias; /* (c) */

    void *scratch;
    uint32_t *counters;
} nl_k_stage;

/* Batch norm: the sets are channels, n * h * w values each, at least 2 in training. nl_k_update
 * takes the fresh values into the running ones, unless the step's loss is not finite. dbias is
 * exactly 0 in exact arithmetic, since the norm takes any constant away: 0 is written. In
 * evaluation the running values stand for the batch's, and there is no dropout. */
int nl_k_norm_batch_forward(const nl_k_stage *s, void *stream);
int nl_k_norm_batch_backward(const nl_k_stage *s, void *stream);
int nl_k_norm_batch_eval(const nl_k_stage *s, void *stream);

/* Group norm: the sets are groups of channels of one image (1 group: layer norm; c: instance norm),
 * at least 2 values each. RMS norm is the same without centring: saved means are 0, deviations are
 * about 0, a group may be one value, and dbias is not 0. */
int nl_k_norm_group_forward(const nl_k_stage *s, void *stream);
int nl_k_norm_group_backward(const nl_k_stage *s, void *stream);

/* No norm: neither gamma and beta nor moments. bias NULL: none, for a pool that follows no
 * convolution; dbias NULL: not wanted, and so without a bias. */
int nl_k_norm_none_forward(const nl_k_stage *s, void *stream);
int nl_k_norm_none_backward(const nl_k_stage *s, void *stream);

/* --- the first block: conv1, norm, ReLU and a 1 x 1 convolution, without conv1's tensor --- */

typedef enum nl_k_sets { NL_K_SETS_NONE, NL_K_SETS_CHANNELS, NL_K_SETS_GROUPS } nl_k_sets;

/* Everything that its launchers may want. `stage` is conv1's, of shape (n, c, oh, ow) and without a
 * pool or dropout; of its tensors only those of (c) values are read or written. sets: what shares
 * mean and deviation, as in the launchers above. */
typedef struct nl_k_first {
    nl_k_stage stage;
    nl_k_sets sets;
    int running;                /* 1: evaluation of batch norm, by the running values */
    int channels, h, w;         /* of the input */
    int k, pad;                 /* of conv1, stride 1 */
    int outputs;                /* channels of conv2 */
    const float *x;             /* (n, channels, h, w) */
    const float *filter1;       /* (c, channels, k, k) */
    const float *filter2;       /* (outputs, c) */
    float *z2;                  /* (n, outputs, oh, ow): forward */
    const float *dz2;           /* (n, outputs, oh, ow): backward */
    float *dfilter1, *dfilter2; /* as the filters */
    void *keep;                 /* nl_k_first_keep bytes: what backward needs of forward */
} nl_k_first;

/* Bytes of shared memory that a block of these launches takes, which is to be held against what the
 * device allows; 0: the kernels were not made for this shape. */
size_t nl_k_first_shared(const nl_k_first *f);
/* Bytes of keep, and entries of stage.counters; for a smaller n too. */
size_t nl_k_first_keep(const nl_k_first *f);
int nl_k_first_counters(const nl_k_first *f);

/* Mean and deviation of the sets of a batch norm (not running) or group norm, from the moments of the
 * input's patches: left in keep, for all launchers below. */
int nl_k_first_moments(const nl_k_first *f, void *stream);

/* z2 = conv2(relu(norm(conv1(x) + bias))), conv2 without its bias. */
int nl_k_first_forward(const nl_k_first *f, void *stream);

/* From dz2, with keep as the launchers above left it for the same x and weights: sums in keep, from
 * which the gradient's launcher makes those of both filters and of bias, gamma and beta. Nothing in
 * front of conv1 learns: the gradient of its output is never formed. */
int nl_k_first_backward(const nl_k_first *f, void *stream);
int nl_k_first_gradient(const nl_k_first *f, void *stream);

/* --- loss: bias, global average pool, softmax, cross-entropy and its gradient, all in one --- */

/* What evaluation wants of each image, at its place step * batch + i; each may be NULL. */
typedef struct nl_k_outputs {
    float *logits, *probs; /* (places, classes) */
    uint8_t *predictions;  /* (places): first largest logit */
} nl_k_outputs;

/* The head of the network. */
typedef struct nl_k_head {
    int n, batch, classes, hw; /* n at most batch, classes at most NL_MAX_CLASSES */
    const float *z;            /* (n, classes, hw) */
    const float *bias;         /* (classes); NULL: none */
    const uint8_t *labels;     /* (n) */
    float *dz, *dbias;         /* (n, classes, hw), (classes): training; dbias NULL: not wanted */
    nl_k_outputs out;          /* evaluation */
    nl_k_record *records;
    nl_k_state *state;
    void *scratch; /* nl_k_softmax_loss_scratch bytes */
    uint32_t *counters;
} nl_k_head;

/* logits = mean over hw of z + bias. Training: out is all NULL; dz is the gradient of the batch's
 * mean loss, dbias its sum; a loss or a state->penalty that is not finite raises state->stop.
 * nl_k_update then ends the step. Evaluation: dz and dbias are NULL, and the step ends here:
 * state->step goes one on. Either writes loss, hits and images of records[state->step]; evaluation
 * also sets penalty to 0. */
int nl_k_softmax_loss(const nl_k_head *h, void *stream);
/* Bytes, enough for a smaller n; one counter. */
size_t nl_k_softmax_loss_scratch(int n, int classes);

/* --- update: the end of a training step --- */

/* The whole arenas of parameters and running values. What lies between tensors is zero in all of
 * them, and stays zero. */
typedef struct nl_k_arenas {
    float *params, *momentum; /* (params_size) */
    const float *grads;       /* (params_size) */
    int64_t params_size;
    float *buffers;     /* (buffers_size): running means and variances */
    const float *fresh; /* (buffers_size): this batch's, laid out alike */
    int64_t buffers_size;
} nl_k_arenas;

typedef struct nl_k_sgd {
    float momentum, weight_decay;
    double l1; /* rounded to float in the gradient */
    int nesterov;
    float norm_momentum;
} nl_k_sgd;

/* With state->lr, and nothing of it once state->stop is up:
 *
 *     g  = dw + l1 sign(w) + weight_decay w
 *     v  = momentum v + g
 *     w -= lr (nesterov ? g + momentum v : v)
 *     running = (1 - norm_momentum) running + norm_momentum fresh
 *
 * Then records[state->step].penalty = state->penalty, that of the weights before, which becomes
 * that of the weights after, and state->step goes one on. */
int nl_k_update(const nl_k_arenas *a, nl_k_sgd rule, nl_k_record *records, nl_k_state *state,
                void *scratch, uint32_t *counters, void *stream);
size_t nl_k_update_scratch(int64_t params_size,
                           int64_t buffers_size); /* bytes of scratch; one counter */

/* state->penalty of weights that no update made, with the same bits as if one had. */
int nl_k_penalty(const nl_k_arenas *a, nl_k_sgd rule, nl_k_state *state, void *scratch,
                 uint32_t *counters, void *stream);

#ifdef __cplusplus
}
#endif
