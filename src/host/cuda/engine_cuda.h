/* The CUDA engine of one run: the network, the data set on the device, the recorded graphs. */
#pragma once

#include "cuda/runtime/cuda_graph.h" // nl_cuda_capture
#include "cuda_net.h"                // nl_cuda_net
#include "cuda/runtime/device.h"     // nl_device
#include "first_way.h"               // nl_first_way

/* NL_CUDA_STEPS: steps of one long graph. NL_CUDA_BURST: what train enqueues at once. */
enum { NL_CUDA_STEPS = 16, NL_CUDA_BURST = 64, NL_CUDA_MARKS = 8 };

/* One split of the data set on the device, with what an evaluation pass over it uses. */
typedef struct nl_cuda_split {
    const nl_split *host;
    uint8_t *images, *labels;
    nl_rotation *rotations;          /* of an evaluation pass */
    cudaGraphExec_t one[2], many[2]; /* evaluation steps without and with rotations; lazily made */
} nl_cuda_split;

/* The end of some enqueued steps: their records have arrived once the event is done. */
typedef struct nl_cuda_mark {
    cudaEvent_t event;
    uint32_t end; /* steps of the epoch that are covered */
} nl_cuda_mark;

struct nl_engine {
    nl_engine_spec spec;
    nl_device device;
    nl_cuda_net net;
    nl_first_way way;
    nl_cuda_split train, test;

    nl_cuda_form full, last; /* training; last.n is 0 where the batches are all full */
    uint32_t steps;          /* of a whole epoch */
    uint32_t *order;         /* (train.count), on the device */
    nl_rotation *rotations;  /* (train.count), on the device, of the epoch */
    bool rotated;            /* what the graphs were recorded with */
    cudaGraphExec_t many_steps, one_step, last_step;
    double step_seconds; /* of a full step, where it was timed, else 0 */
    nl_k_state *state;
    nl_k_record *records; /* (steps), on the device */
    nl_k_record *arrived; /* (steps), page-locked on the host */
    nl_cuda_mark marks[NL_CUDA_MARKS];
    uint32_t calls; /* of enqueue: the next mark is calls % NL_CUDA_MARKS */
    uint32_t next;  /* the step that the device's counter shows when all is done */

    nl_k_state *eval_state;
    nl_k_record *eval_records; /* (steps of the larger split) */
    nl_k_outputs outputs;      /* (images of the larger split) */
};

/* Copies to the device, behind what is queued, and waits: from pageable memory the runtime need not
 * have read the source before (where the device reaches the host's memory it does not). */
int nl_cuda_upload(nl_engine *engine, void *to, const void *from, size_t size, const char *what,
                   nl_error *err);
/* Writes the part of the device's state that begins at `offset`. */
int nl_cuda_write_state(nl_engine *engine, const nl_k_state *state, size_t offset, size_t size,
                        nl_error *err);
int nl_cuda_clear_state(nl_engine *engine, nl_error *err);

/* Runs one step of each kind on zeros, before anything is recorded: the device loads a kernel's
 * code when it first runs, which a recording does not allow. set_state brings the real state. */
int nl_cuda_train_warm_up(nl_engine *engine, nl_error *err);
/* Filter gradients on a branch of their own or not, as it measures; the bits are the same. Where the
 * branch cannot be recorded or timed, here or later, it is left with a warning. The
 * steps have a learning rate of 0, and there must be enough of them in an epoch. */
int nl_cuda_choose_fork(nl_engine *engine, nl_error *err);

/* See backend.h. */
int nl_cuda_begin_epoch(nl_engine *engine, const nl_epoch *epoch, nl_error *err);
int nl_cuda_enqueue(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err);
int nl_cuda_collect(nl_engine *engine, uint32_t first, uint32_t count, nl_step_record *records,
                    nl_error *err);

/* One evaluation pass; see backend.h. */
int nl_cuda_evaluate(nl_engine *engine, const nl_eval_pass *pass, nl_eval_result *result,
                     nl_error *err);

/* Runs one evaluation step on whatever the memory holds, so that all its code is on the device. */
int nl_cuda_eval_warm_up(nl_engine *engine, nl_error *err);
