/* The fused norms under one signature: from cells to maps, over the sets of each. */
#pragma once

#include "fast.h"          // nl_cells, nl_norm_map
#include "normlab/model.h" // NL_SETS

/* Whose cells are pooled: n images where the sets reach over all of them, else one. */
typedef struct nl_norm_job {
    const float *gamma, *beta; /* (c) */
    float *mean, *var;         /* (c) running values; NULL where the norm keeps none */
    int n, c, groups, hw;
    double eps, momentum;
    bool centres;
} nl_norm_job;

typedef void nl_norm_pooling(nl_norm_map *map, const nl_cells *cells, const nl_norm_job *job);

typedef struct nl_norm_over {
    nl_norm_pooling *forward, *backward;
    nl_norm_pooling *evaluate; /* of a norm that cuts: without cells, once for all images */
    bool cuts; /* one map for all images, made where they meet: the program is cut there */
} nl_norm_over;

extern const nl_norm_over nl_norms_fast[]; /* (NL_SETS) */
