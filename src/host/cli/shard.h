/* --shard: which part of a study's runs this process trains. */
#pragma once

#include "normlab/error.h" // nl_error

/* Part `part` (from 1) of `parts`; all zero: the whole. */
typedef struct nl_shard {
    int part, parts;
} nl_shard;

/* I/N, or auto: from the environment. An array of Slurm comes before any rank, since SLURM_PROCID
 * is 0 in every task of an array; then Open MPI, PMI, srun. Errors: NL_EUSAGE, also for an array
 * with holes, which has no number of parts, and where no scheduler is seen. */
int nl_shard_parse(nl_shard *shard, const char *text, nl_error *err);
