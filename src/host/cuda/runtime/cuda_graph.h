/* Recording a sequence of launches into a CUDA graph. */
#pragma once

#include <cuda_runtime_api.h> // cudaGraphExec_t

#include "normlab/error.h" // nl_error

/* Queues work on a stream; returns an exit code. */
typedef int (*nl_cuda_work)(void *context, nl_error *err);

/* Records `times` calls of work, which queue on `stream`, into one graph. What cannot be recorded
 * is an error, and leaves the stream usable. */
int nl_cuda_capture(cudaGraphExec_t *exec, cudaStream_t stream, int times, nl_cuda_work work,
                    void *context, nl_error *err);
