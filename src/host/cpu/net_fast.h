/* The CPU engine's inside: the network as a program of per-image operations (net_fast.c lays it
 * out, step_fast.c runs it, engine_fast.c is the backend's table).
 *
 * Where no norm looks at other images (layer, group, instance, none) the whole program, forward and
 * backward, runs for one image while its tensors are in the cache. Batch norm needs all images at
 * two places per layer: there the program is cut into segments, and between two segments the cells
 * of all images are pooled. What crosses a cut has to go through memory, so only z and the small
 * gradients do: a norm's output and its gradient are computed again.
 *
 * Images are handed to threads in chunks. A chunk sums its images' parameter gradients in order,
 * then the chunks are summed in order: the result depends neither on the number of threads nor on
 * who took which chunk. */
#pragma once

#include "fast.h"            // the operations
#include "normlab/backend.h" // nl_engine_spec, nl_step_record
#include "threads.h"         // nl_threads

enum { NL_CHUNK = 2 };

typedef enum nl_op {
    NL_OP_INPUT, /* gather, rotate and normalise the image */
    NL_OP_CONV,  /* z, and its cells */
    NL_OP_APPLY, /* y = relu(norm(z)) */
    NL_OP_POOL,  /* max pool, dropout */
    NL_OP_LOSS,  /* average pool, softmax, loss; in training its gradient */
    NL_OP_POOL_BACK,
    NL_OP_CELLS_BACK, /* the norm's sums */
    NL_OP_DZ_BACK,    /* dz and the filter's gradient */
    NL_OP_DATA_BACK   /* the gradient of the layer below */
} nl_op;

typedef struct nl_program_step {
    nl_op op;
    int layer;
    bool pool_cells; /* all images meet here: the next step starts a segment */
} nl_program_step;

/* Where a tensor of an image lies: with the image for the whole step, or with the thread that works
 * on it. */
typedef struct nl_place {
    int64_t at; /* floats */
    bool kept;  /* with the image */
} nl_place;

/* A layer with its tensors. z is y where there is no norm, dz is g where it crosses no cut. */
typedef struct nl_layer_fast {
    const nl_layer *layer;
    nl_conv_fast conv;
    int hw, cp; /* of the output */
    nl_place z, y, g, dz;
    nl_place factor, arg; /* of a pool; arg holds int32_t */
    int64_t dw, dbias;    /* in a chunk's partial gradients */
    nl_cells *cells;      /* (rows) */
    nl_norm_map *map;     /* (rows), or one for a batch norm */
    int map_stride;       /* 0 for a batch norm */
} nl_layer_fast;

struct nl_engine {
    nl_engine_spec spec;
    const nl_model *model;
    nl_threads *threads;
    nl_layer_fast layers[NL_MAX_LAYERS];
    nl_program_step forward[2 * NL_MAX_LAYERS + 2], train[8 * NL_MAX_LAYERS];
    int n_forward, n_train;
    bool phased; /* the training program has more than one segment */

    int rows;            /* images, or threads if there are more */
    float *kept, *desks; /* tensors that stay with an image (rows, ...), or with a thread */
    int64_t kept_floats, desk_floats;
    nl_place input;
    float *scratch; /* (threads, scratch_floats) */
    int64_t scratch_floats;
    float *partials; /* (chunks, partial_floats) */
    int64_t partial_floats;
    float *cell_memory;

    float *params, *momentum, *buffers, *gradient, *fresh; /* fresh: buffers after this step */
    float table[256];

    uint32_t *order; /* of the epoch */
    nl_rotation *rotations;
    bool rotated, stopped;
    uint32_t epoch;
    double lr;
    nl_step_record *records; /* (steps of an epoch) */
    double *losses;          /* (images of the largest split) */
    uint8_t *hits;           /* (the same) */
};

void nl_net_fast_init(nl_engine *e, const nl_engine_spec *spec);
void nl_net_fast_free(nl_engine *e);

/* One training step on the images order[first .. first + count - 1]. */
void nl_step_fast_train(nl_engine *e, uint32_t first, int count, nl_step_record *record);

void nl_step_fast_evaluate(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result);
