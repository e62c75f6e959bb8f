/* A whole stage (bias, norm, ReLU, pool, dropout), forward and backward, by the kernels against the
 * plain operations in double: the case, the truth and the comparison are those of normlab/verify.h.
 */
#pragma once

#include "normlab/config.h"     // nl_norm
#include "normlab/kernels.h"    // nl_k_shape
#include "support/norm_truth.h" // norm_input

typedef struct stage_case {
    nl_norm norm;
    nl_k_shape s;
    double drop;      /* p of the dropout; 0: none */
    norm_input input; /* of z */
    int shift;        /* 1: tensors whose addresses allow no vector access */
    bool eval;        /* forward alone; batch norm with running values */
    bool bare;        /* no bias (NL_NORM_NONE) */
    bool poison;      /* one value of z is NaN */
} stage_case;

void check_stage(const stage_case *c);
