/* The network on the device: its blocks, the memory they work in, their convolutions' plans.
 *
 * A block is a convolution with all that one launch does behind it: bias, norm, ReLU, max pool and
 * dropout; or a pool that follows no convolution. The last block's bias belongs to the launch of
 * the loss where nothing else stands between them. Forward keeps z, the convolution's output, and
 * the moments; backward makes dz of it. dy, the gradient of a block's output, is needed by one
 * launch only and shared by all.
 */
#pragma once

#include <stdbool.h> // bool

#include <cuda_runtime_api.h> // cudaStream_t

#include "cuda/conv/conv_plan.h" // nl_convs
#include "normlab/backend.h"     // nl_engine_spec
#include "normlab/kernels.h"     // nl_k_stage

typedef struct nl_cuda_block {
    const nl_layer *conv, *pool; /* NULL: none */
    nl_k_stage stage;            /* of the full batch, in training */
    bool to_loss;                /* z goes to the loss: no y */
    const float *in;             /* (n, in_c, in_h, in_w): the input, or the y before */
    float *z;          /* stage.z, to be written by the convolution; NULL: stage.z is in */
    cudaEvent_t ready; /* dz is there */
} nl_cuda_block;

/* A batch size with its convolutions' plans. */
typedef struct nl_cuda_form {
    int n;
    bool train;
    int plans[NL_MAX_LAYERS][NL_CONV_DIRS];
} nl_cuda_form;

enum { NL_CUDA_BLOCKS_MAX = 512 };

typedef struct nl_cuda_net {
    const nl_model *model;
    nl_cuda_block blocks[NL_MAX_LAYERS];
    int n_blocks, batch; /* no more than there are images to train with */

    /* device memory */
    nl_k_arenas arenas;
    float *grads, *fresh; /* the same as in arenas, to be written */
    float *x;             /* (batch, channels, height, width): the images */
    uint32_t *slots;      /* (batch): image numbers */
    uint8_t *picked;      /* (batch): labels */
    float *dy;            /* as large as the largest y */
    nl_pixel_table *table;
    void *scratch;
    uint32_t *counters;
    void *owned[NL_CUDA_BLOCKS_MAX]; /* all of it */
    int n_owned;

    bool own_first;   /* blocks 0 and 1, up to z of 1, by the kernels of nl_k_first */
    nl_k_first first; /* then: of the full batch; stage and running are each step's */

    nl_convs *convs;
    cudaStream_t stream, branch; /* the branch: filter gradients */
    bool fork;                   /* whether the branch is used */
    cudaEvent_t joined;          /* the branch is done */
    nl_k_sgd rule;
} nl_cuda_net;

/* Device memory that the net frees at its end. */
int nl_cuda_net_alloc(void **memory, nl_cuda_net *net, int64_t count, size_t size, const char *what,
                      nl_error *err);

/* Images of a full batch: no more than there are to train with. */
int nl_cuda_batch(const nl_engine_spec *spec);

/* Streams, blocks and memory; the caller opens net->convs afterwards. On failure close it too.
 * own_first: the first block's shape for its own kernels (first_way.h), or NULL. */
int nl_cuda_net_open(nl_cuda_net *net, const nl_engine_spec *spec, const nl_k_first *own_first,
                     nl_error *err);
void nl_cuda_net_close(nl_cuda_net *net);

/* The plans of a batch size; without `train` only those of the forward direction. A single image
 * cannot be trained with where a batch norm would see one value a channel: form->train is false. */
int nl_cuda_form_make(nl_cuda_form *form, nl_cuda_net *net, int n, bool train, nl_error *err);

/* Where the images of a pass come from, on the device. */
typedef struct nl_cuda_source {
    const uint8_t *images;        /* (count, channels, height, width) */
    const uint8_t *labels;        /* (count) */
    const uint32_t *order;        /* (count), or NULL: file order */
    const nl_rotation *rotations; /* (count), or NULL */
    nl_k_state *state;
    nl_k_record *records;
} nl_cuda_source;

/* Queue one step on the net's stream: nothing is allocated and nobody waits. */
int nl_cuda_train_step(nl_cuda_net *net, const nl_cuda_form *form, const nl_cuda_source *source,
                       nl_error *err);
int nl_cuda_eval_step(nl_cuda_net *net, const nl_cuda_form *form, const nl_cuda_source *source,
                      const nl_k_outputs *out, nl_error *err);
