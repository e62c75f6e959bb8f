/* A whole stage (bias, norm, ReLU, pool, dropout), forward and backward, by the kernels against the
 * plain operations in double. The error may be 4 times that of the plain operations in float, and 4
 * ulp of the largest value more. */
#pragma once

#include "normlab/kernels.h"    // nl_k_shape
#include "support/norm_truth.h" // norm_input

typedef enum stage_norm { STAGE_PLAIN, STAGE_BATCH, STAGE_GROUP, STAGE_RMS } stage_norm;

typedef struct stage_case {
    stage_norm norm;
    nl_k_shape s;
    double drop;      /* p of the dropout; 0: none */
    norm_input input; /* of z */
    int shift;        /* 1: tensors whose addresses allow no vector access */
    bool eval;        /* batch norm with running values, forward alone */
    bool bare;        /* no bias (STAGE_PLAIN) */
    bool poison;      /* one value of z is NaN */
} stage_case;

void check_stage(const stage_case *c);
