/* The operations of the CPU engine's program on one image (ops_fast.c), and what they are handed.
 */
#pragma once

#include "net_fast.h"

/* What is the same for all images of a run over the program. */
typedef struct nl_pass {
    nl_engine *e;
    const nl_program_step *program;
    int begin, end; /* the segment */
    bool reverse;   /* every other segment starts with the images that are still in the cache */
    bool training;
    const uint32_t *images; /* (count): their numbers; NULL: from `first` on */
    uint32_t first;
    const nl_split *split;
    const nl_rotation *rotations;
    int count;
    const nl_eval_pass *wanted;
} nl_pass;

/* Where one image works. */
typedef struct nl_desk {
    int place;      /* in the batch or pass */
    uint32_t image; /* number in the data set */
    int row;        /* of cells and maps */
    float *kept, *own, *scratch, *partial;
    bool fresh_chunk;           /* the first image of its chunk: partial gradients start at zero */
    const nl_program_step *now; /* the operation at work */
} nl_desk;

static inline nl_norm_map *nl_desk_map(nl_layer_fast *f, const nl_desk *d) {
    return &f->map[f->map_stride * d->row];
}

/* A tensor of the operation's list, NL_HERE(..), NL_BELOW(..) or NL_UNDER(..), to read or to write.
 */
const float *nl_desk_in(const nl_pass *p, const nl_desk *d, uint32_t tensor);
float *nl_desk_out(const nl_pass *p, const nl_desk *d, uint32_t tensor);

/* z is there: the cells of the layer's norm, and where they are an image's own, its map. */
void nl_op_cells(const nl_pass *p, const nl_desk *d, const float *z);

/* ---- The first two layers as one (ops_first_fast.c) ---- */

void nl_op_moments(const nl_pass *p, const nl_desk *d);
void nl_op_first(const nl_pass *p, const nl_desk *d);
void nl_op_first_back(const nl_pass *p, const nl_desk *d);

/* Where the first norm pools all images: at the cut behind MOMENTS, its map; at the end of a step,
 * from the chunks' sums, the layer's gradient, which is left in the first chunk. */
void nl_first_pool(nl_engine *e, int images);
void nl_first_finish(nl_engine *e, int images, int chunks);

/* ---- All ---- */

/* Does d->now. */
void nl_op_fast(const nl_pass *p, const nl_desk *d);

static inline float *nl_param(nl_engine *e, int tensor) {
    return e->params + e->model->tensors[tensor].offset;
}
