/* The CPU engine's inside: the network as a program of per-image operations (program_fast.c decides
 * their order, net_fast.c makes room, ops_fast.c does them, step_fast.c runs a step, engine_fast.c
 * is the backend's table).
 *
 * Where no norm looks at other images (layer, group, instance, none) the whole program, forward and
 * backward, runs for one image while its tensors are in the cache. Batch norm needs all images at
 * two places per layer: there the program is cut into segments, and between two segments the cells
 * of all images are pooled. What crosses a cut has to go through memory, so only z and the small
 * gradients do: a norm's output and its gradient are computed again.
 *
 * Images are handed to threads in chunks. A chunk sums its images' parameter gradients in order,
 * then the chunks are summed in order: the result depends neither on the number of threads nor on
 * who took which chunk.
 *
 * Who owns what, who writes it, and how long it holds:
 *
 *     tensors (nl_value)    see below
 *     scratch               thread    within one operation
 *     moments, M w          image     MOMENTS                           to the end of the step
 *     the same, pooled      engine    the cut behind MOMENTS            to the end of the step
 *     cells                 image     CONV, CELLS_BACK (training)       to the end of the step
 *     map, of an image      image     CONV, CELLS_BACK                  to the end of the step
 *     map, of a batch       engine    the cut behind CONV, CELLS_BACK;  to the end of the step,
 *                                     the start of an evaluation        or of the evaluation
 *     partials              chunk     DZ_BACK                           to the end of the step
 *     losses, hits          image     LOSS                              to the end of the step
 *     fresh                 engine    the cut behind CONV               to the end of the step
 *
 * (of the first layer where FIRST does it: MOMENTS for CONV, FIRST_BACK for CELLS_BACK and DZ_BACK;
 * and of the second: FIRST for CONV.)
 *
 * A tensor belongs to one image. What each operation reads and writes is stated once, in
 * program_fast.c (state_uses), and the rest follows: what is read behind a cut that its writing was
 * before is kept with the image, all else lies with the thread that works on the image and is lost
 * at the end of a segment. When an engine is opened its programs are followed from write to read,
 * and an operation gets at a tensor only through its own list: a wrong lifetime is a failed
 * assertion, not a wrong loss. Debug builds fill what is not alive with NaN. */
#pragma once

#include "fast.h"            // the norms
#include "cpu/simd/first.h"  // nl_first_fast
#include "norms_fast.h"      // nl_norm_job
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
    NL_OP_CELLS_BACK,  /* the norm's sums */
    NL_OP_DZ_BACK,     /* dz and the bias' gradient */
    NL_OP_FILTER_BACK, /* the filter's gradient */
    NL_OP_DATA_BACK,   /* the gradient of the layer below */
    NL_OP_MOMENTS,     /* of the input's patches, and from them the first layer's cells */
    NL_OP_FIRST,       /* the first layer, and z and cells of the second (first.h) */
    NL_OP_FIRST_BACK   /* both filters' gradients, and what the first norm's sums give */
} nl_op;

/* The tensors that an image has at each layer. */
typedef enum nl_value {
    NL_Z,      /* a convolution's output where a norm follows */
    NL_Y,      /* the layer's output; of layer -1, the network's input */
    NL_G,      /* the gradient of y */
    NL_DZ,     /* the gradient of the convolution's output */
    NL_FACTOR, /* of a max pool: its dropout */
    NL_ARG,    /* of a max pool: which input won, as int32_t */
    NL_VALUES
} nl_value;

/* A tensor of a step's own layer, of the layer below, or of the one under that, as a bit of a set.
 */
#define NL_HERE(value) (1U << (value))
#define NL_BELOW(value) (1U << (NL_VALUES + (value)))
#define NL_UNDER(value) (1U << (2 * NL_VALUES + (value)))

typedef struct nl_program_step {
    nl_op op;
    int layer;
    bool pool_cells;        /* all images meet here: the next step starts a segment */
    uint32_t reads, writes; /* sets of tensors */
} nl_program_step;

/* Where a tensor lies: with the image until the end of the step, or with the thread that works on
 * the image until the end of the segment. */
typedef struct nl_place {
    int64_t at; /* floats */
    bool kept;  /* with the image */
} nl_place;

typedef struct nl_layer_fast {
    const nl_layer *layer;
    nl_conv_fast conv;
    int hw, cp; /* of the output */
    nl_place places[NL_VALUES];
    bool in_place;     /* dz lies where g lay */
    int64_t dw, dbias; /* in a chunk's partial gradients */
    nl_cells *cells;   /* (rows) */
    nl_norm_map *map;  /* (rows), or one where all images meet */
    int map_stride;    /* 0 where all share one map */
} nl_layer_fast;

struct nl_engine {
    nl_engine_spec spec;
    const nl_model *model;
    const nl_simd *simd; /* the operations */
    nl_threads *threads;
    nl_layer_fast layers[NL_MAX_LAYERS];
    bool fuses_first;          /* the first two layers go by first.h */
    nl_first_fast first;       /* if so */
    nl_patch_moments *moments; /* (rows + 1) where the first layer has a norm; the last: pooled */
    float *mw;                 /* (rows, taps, cp): M w of these; the first: of the pooled */
    nl_program_step forward[2 * NL_MAX_LAYERS + 2], train[8 * NL_MAX_LAYERS];
    int n_forward, n_train;

    int rows;            /* images, or threads if there are more */
    float *kept, *desks; /* tensors that stay with an image (rows, ...), or with a thread */
    int64_t kept_floats, desk_floats;
    nl_place input;
    int input_cp;   /* floats a pixel: of a convolution its channels, else padded like all others */
    float *scratch; /* (threads, scratch_floats) */
    int64_t scratch_floats;
    float *partials; /* (chunks, partial_floats) */
    int64_t partial_floats;
    float *cell_memory;

    float *params, *momentum, *buffers, *gradient, *fresh; /* fresh: buffers after this step */
    nl_pixel_table table;

    uint32_t *order; /* of the epoch */
    nl_rotation *rotations;
    bool rotated, stopped;
    uint32_t epoch;
    double lr;
    nl_step_record *records; /* (steps of an epoch) */
    double *losses;          /* (images of the largest split) */
    uint8_t *hits;           /* (the same) */
};

/* Whether the network's first two layers are one operation, as cpu/simd/first.h has it: a
 * convolution of few taps (k k c <= NL_PATCH_TAPS) with any norm or none, with ReLU or without, and
 * behind it a 1 x 1 convolution without padding: one position of it needs one position of y. There
 * have to be as many positions as taps: where a single one is a set, its variance is exactly 0 only
 * if mean and value are rounded alike. Any other network goes layer by layer. */
bool nl_first_fits(const nl_model *model);

/* Whether all images meet at the layer's norm. */
bool nl_cuts(const nl_layer *layer);

/* What the pooling of a layer's cells is told; buffers: where its running values lie. */
nl_norm_job nl_norm_job_of(nl_engine *e, const nl_layer_fast *layer, float *buffers, int images);

/* From the model: both programs, and which tensors are kept. The places follow in net_fast.c. */
void nl_program_fast_init(nl_engine *e);

/* Aborts if a step would read what was never written, is overwritten, or was lost at a cut. */
void nl_program_fast_check(nl_engine *e);

nl_place *nl_place_of(nl_engine *e, int layer, nl_value value);

/* Where an image's S1 and G lie in the scratch of the first two layers' operation: behind what its
 * loops need. */
int64_t nl_first_loop_floats(const nl_engine *e);

void nl_net_fast_init(nl_engine *e, const nl_engine_spec *spec, const nl_simd *simd);
void nl_net_fast_free(nl_engine *e);

/* One training step on the images order[first .. first + count - 1]. */
void nl_step_fast_train(nl_engine *e, uint32_t first, int count, nl_step_record *record);

void nl_step_fast_evaluate(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result);
