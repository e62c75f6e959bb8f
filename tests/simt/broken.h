/* Kernels with one fault each, and sound ones, for the executor's own tests. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum { BROKEN_THREADS = 64 };

/* A kernel that works on (64) floats in device memory: out[i] from in. */
typedef void broken_kernel(float *out, const float *in);

broken_kernel sound_reverse;      /* out[i] = in[63 - i], through shared memory */
broken_kernel sound_sum;          /* every out[i] = sum of in, warp by warp, last block's finish */
broken_kernel sound_sums;         /* the same by two block sums in a row */
broken_kernel missing_barrier;    /* reverse without the barrier */
broken_kernel missing_syncwarp;   /* neighbours exchange through shared memory without __syncwarp */
broken_kernel uninitialised;      /* reads a shared element that nobody wrote */
broken_kernel dynamic_unwritten;  /* the same with dynamic shared memory */
broken_kernel divergent_barrier;  /* halves of the block wait at two barriers */
broken_kernel barrier_and_warp;   /* half a warp waits at a barrier, half in a shuffle: deadlock */
broken_kernel missing_lane;       /* a lane ends before a shuffle that names it */
broken_kernel wrong_mask;         /* a lane calls with a mask that leaves it out */
broken_kernel other_mask;         /* lanes of one warp call with different masks */
broken_kernel reads_outsider;     /* reads from a lane outside the mask */
broken_kernel other_function;     /* one lane shuffles, its warp votes */
broken_kernel past_shared;        /* index one past a shared array */
broken_kernel ldg_of_shared;      /* shared memory by a load that reaches global memory alone */
broken_kernel past_dynamic;       /* the same with dynamic shared memory */
broken_kernel past_global;        /* writes one past an allocation */
broken_kernel past_odd_global;    /* writes one past an allocation of 259 bytes */
broken_kernel race_of_blocks;     /* two blocks write one place */
broken_kernel too_many_threads;   /* 1056 threads a block */
broken_kernel too_many_blocks;    /* 65536 blocks along y */
broken_kernel too_much_shared;    /* 48 KiB and one array more */
broken_kernel nothing_to_do;      /* an empty grid */
broken_kernel counts_down;        /* each thread takes the next number: order of threads */
broken_kernel waits_in_capture;   /* allocates while a stream is being captured */
broken_kernel captured_unloaded;  /* captures a kernel that never ran */
broken_kernel outside_of_capture; /* uses the default stream meanwhile */

#ifdef __cplusplus
}
#endif
