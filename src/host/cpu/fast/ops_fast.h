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
    const uint32_t *images; /* (count): their numbers; NULL: as they stand in the file */
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

/* Does d->now. */
void nl_op_fast(const nl_pass *p, const nl_desk *d);

static inline float *nl_param(nl_engine *e, int tensor) {
    return e->params + e->model->tensors[tensor].offset;
}
