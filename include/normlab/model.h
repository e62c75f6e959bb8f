/* A config's layers turned into shapes, and the one table of tensors that optimiser, L1, zeroing,
 * checkpoints and tests walk.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int64_t

#include "normlab/config.h" // nl_config, nl_layer_kind

enum { NL_MAX_TENSORS = 6 * NL_MAX_LAYERS };

/* What shares mean and deviation in a norm: a channel over the batch, or a group of channels of one
 * image. Engines choose by this alone, each from one table of NL_SETS rows. */
typedef enum nl_sets { NL_SETS_BATCH, NL_SETS_GROUPS, NL_SETS } nl_sets;

/* A norm: one row of the table in src/host/model/norms.c. Its name is its word in a config
 * (nl_norm_words). */
typedef struct nl_norm_row {
    nl_sets sets;
    int (*groups)(int channels, int group_size); /* 0: the size does not divide; NULL: no groups */
    bool centres;                                /* takes the mean off */
    bool runs;                                   /* keeps running values, which evaluation takes */
    const char *paper;
} nl_norm_row;

/* NULL for NL_NORM_NONE. */
const nl_norm_row *nl_norm_find(nl_norm norm);

/* One layer: convolution + norm + ReLU, or max pool + dropout, or the global average pool. An index
 * into the table of tensors is -1 where the layer has no such tensor. */
typedef struct nl_layer {
    nl_layer_kind kind;
    int in_c, in_h, in_w;
    int out_c, out_h, out_w;
    int kernel, pad, stride; /* of convolution or pool */
    int conv;                /* ordinal of the convolution, from 1; 0: none */
    const nl_norm_row *norm; /* NULL: none */
    int groups;              /* of NL_SETS_GROUPS; else 0 */
    bool relu;
    int dropout;       /* ordinal of the dropout, from 1; 0: none */
    int rf, jump;      /* receptive field and distance of neighbours, in input pixels */
    int64_t macs;      /* multiply-adds of one image, forward */
    int weight, bias;  /* (out_c, in_c, k, k) and (out_c) */
    int gamma, beta;   /* norm<i>.weight, norm<i>.bias: (out_c) */
    int r_mean, r_var; /* running values of batch norm, in the buffer arena: (out_c) */
    char label[32];    /* for errors and tables: conv1, pool3 ... */
} nl_layer;

/* Parameters and buffers (running values) each lie in one arena of their own. Offsets are multiples
 * of 4 elements; the padding in between is zero and stays zero. */
typedef struct nl_tensor {
    char name[32]; /* as in PyTorch's state dict: conv1.weight, norm1.running_var */
    bool buffer;   /* in the buffer arena, not a parameter */
    int rank;
    int64_t shape[4];
    int64_t offset, count; /* elements */
} nl_tensor;

typedef struct nl_model {
    nl_picture picture; /* the first layer's input; the last one ends with its classes */
    nl_layer layers[NL_MAX_LAYERS];
    int n_layers;
    nl_tensor tensors[NL_MAX_TENSORS];
    int n_tensors;
    int64_t n_params;                  /* true parameters, without padding */
    int64_t params_size, buffers_size; /* of the arenas, in elements */
    int64_t macs;                      /* of one image, forward */
} nl_model;

/* Errors: NL_EUSAGE naming the layer (a kernel larger than its input, a group size that does not
 * divide, an output that is not (classes, 1, 1)). A batch in training whose norm would see one value a
 * channel or group is refused here too: `last_batch` is the smallest batch that will be trained on,
 * 0 for evaluation only. */
int nl_model_build(nl_model *model, const nl_config *config, int last_batch, nl_error *err);

/* nl_config_check, and whether the network can be built. Errors: NL_EUSAGE. */
int nl_model_check(const nl_config *config, nl_error *err);

/* nl_config_from_json and nl_model_check: a config from a file that anybody may have written.
 * Errors: NL_EDATA at `where`. */
struct json_t;
int nl_model_config_from_json(nl_config *config, const struct json_t *json, const char *where,
                              nl_error *err);

/* Initial values: convolutions from the generator, gamma 1, beta 0, running mean 0, running
 * variance 1. */
void nl_model_init(const nl_model *model, float *params, float *buffers, uint32_t seed);

/* How many sets the norm of a layer has in that many images, and which of them a channel of an
 * image belongs to. */
int64_t nl_norm_sets(const nl_layer *layer, int images);
int64_t nl_norm_set_of(const nl_layer *layer, int64_t image, int channel);

/* The tensor of that name, or NULL. */
const nl_tensor *nl_model_find(const nl_model *model, const char *name);

/* The table that `normlab summary` prints. */
void nl_model_print(const nl_model *model, int batch);
