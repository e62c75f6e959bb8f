/* The norms of one device under one signature, for bench_norm: norm, ReLU and, where the device has
 * it in the same pass, max pool. Tensors are (n, c, h, w) on the host. */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

#include "normlab/verify.h" // nl_verify_case

typedef struct norm_work norm_work; /* a case on the device, private to each room */

typedef struct norm_room {
    const char *name;
    bool pools;                                  /* has cases with a max pool */
    size_t (*cache)(void);                       /* bytes of the last cache */
    double (*copy_gb_s)(void);                   /* of memory, bytes read and written */
    norm_work *(*open)(const nl_verify_case *c); /* a block, which stays the caller's */
    void (*close)(norm_work *work);

    /* Seconds of one forward or backward pass, the median of `repeats`. cold: nothing of the case
     * is in the caches when it starts. backward needs a forward before it. */
    double (*time)(norm_work *work, bool backward, bool cold, int repeats);

    /* What the passes left, by output: each of the case's that is not counted 0. */
    void (*read)(norm_work *work, double *const out[]);
} norm_room;

/* Where the device cannot be used: NULL, with a line on standard error. */
const norm_room *norm_room_cpu(int threads);
#ifdef NORMLAB_WITH_CUDA
const norm_room *norm_room_cuda(void);
#endif
