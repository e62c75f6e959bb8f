/* The cases of bench_norm, and whether a device gets them right: cases, truth and comparison are
 * those of normlab/verify.h. */
#pragma once

#include "support/norm_room.h" // norm_room

/* A norm with a ReLU and, where pool is not 0, a max pool; groups 0: batch norm. No bias, and no
 * running values. nl_verify_case_free frees it. */
nl_verify_case norm_case_make(int n, int c, int h, int w, int groups, int pool);

/* Runs one pass each way and compares what they leave with double precision. Says on standard error
 * which output is too far off. `worst` gets the largest error as a part of what is allowed. */
bool norm_is_right(const norm_room *room, norm_work *work, const nl_verify_case *c,
                   const char *name, double *worst);
