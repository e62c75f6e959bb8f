/* Timing convolution plans: buffers to run on, and the time of one run inside a graph. */
#pragma once

#include "conv_plan.h"               // nl_conv_problem
#include "cuda/runtime/cuda_graph.h" // nl_cuda_work

/* Tensors of a problem, filled with a number that is neither 0 nor large. */
typedef struct nl_conv_buffers {
    float *out, *a, *b;
} nl_conv_buffers;

int nl_conv_buffers_open(nl_conv_buffers *buffers, nl_conv_problem problem, const char *layer,
                         nl_error *err);
void nl_conv_buffers_close(nl_conv_buffers *buffers);

/* How often nl_conv_time has run called, at most. */
enum { NL_CONV_TIME_CALLS = 120 };

/* Seconds of one call of run, which queues work on the stream: the smallest of a few measurements
 * of a graph that holds many calls, as training will run them. What cannot be captured fails. */
int nl_conv_time(double *seconds, nl_cuda_work run, void *context, cudaStream_t stream,
                 nl_error *err);
