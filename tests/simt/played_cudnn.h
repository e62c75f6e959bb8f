/* A cuDNN that is played, and no cuBLAS, behind the functions of src/host/cuda/conv. What a candidate
 * does is in its name. "good W": works, with W bytes of workspace. "refused": cannot be made. "live":
 * runs, but not in a capture. "breaks": takes the device with it.
 */
#pragma once

#include "cuda/conv/conv_graph.h"

/* What cuDNN offers, until NULL. */
extern const char *const *played_candidates;
/* That there are now. */
extern int played_handles;

/* Every convolution that was run, in order. */
typedef struct played_job {
    float *out;
    char *workspace;
    int64_t size;
    cudaStream_t stream;
} played_job;
enum { PLAYED_JOBS = 1 << 15 };
extern played_job played_jobs[PLAYED_JOBS];
extern int played_jobs_made;
