/* Timing convolution plans; see conv_tune.h. Launches of a stream cost more than small kernels run,
 * so the candidates are compared inside a graph, where the step will run them.
 */
#include "conv_tune.h"

#include <stdint.h> // int64_t

#include "cuda/runtime/device.h" // nl_device_alloc

enum {
    CALLS = 20,
    EVENTS = NL_CONV_TIME_CALLS / CALLS, /* each behind a graph */
    FILL = 0x3c
}; /* bytes 3c make 0.0115 */

static int fill(float **tensor, int64_t count, const char *layer, nl_error *err) {
    void *memory = NULL;
    const size_t bytes = (size_t)count * sizeof(float);
    const int code = nl_device_alloc(&memory, bytes, layer, err);
    *tensor = memory;
    if (code) return code;
    return nl_cuda_check(cudaMemset(memory, FILL, bytes), "memset", err);
}

int nl_conv_buffers_open(nl_conv_buffers *buffers, nl_conv_problem problem, const char *layer,
                         nl_error *err) {
    const nl_conv_shape s = problem.shape;
    const int64_t oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    const int64_t x = (int64_t)s.n * s.c * s.h * s.w, w = (int64_t)s.o * s.c * s.k * s.k;
    const int64_t y = (int64_t)s.n * s.o * oh * ow;
    const int64_t counts[NL_CONV_DIRS][3] = {
        [NL_CONV_FORWARD] = {y, x, w}, [NL_CONV_DATA] = {x, y, w}, [NL_CONV_FILTER] = {w, y, x}};
    const int64_t *n = counts[problem.dir];
    *buffers = (nl_conv_buffers){0};
    int code = fill(&buffers->out, n[0], layer, err);
    if (!code) code = fill(&buffers->a, n[1], layer, err);
    if (!code) code = fill(&buffers->b, n[2], layer, err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(NULL), layer, err);
    if (code) nl_conv_buffers_close(buffers);
    return code;
}

void nl_conv_buffers_close(nl_conv_buffers *buffers) {
    cudaFree(buffers->out);
    cudaFree(buffers->a);
    cudaFree(buffers->b);
    *buffers = (nl_conv_buffers){0};
}

/* All is queued before anybody waits: each event but the first comes right behind a graph, and no gap
 * in which the device waits for a launch is measured, as there is none in training. */
static int measure(double *seconds, cudaGraphExec_t exec, const cudaEvent_t events[EVENTS],
                   cudaStream_t stream, nl_error *err) {
    cudaError_t status = cudaSuccess;
    for (int i = 0; i < EVENTS && !status; i++) { /* the first one warms up */
        status = cudaGraphLaunch(exec, stream);
        if (!status) status = cudaEventRecord(events[i], stream);
    }
    if (!status) status = cudaEventSynchronize(events[EVENTS - 1]);
    for (int i = 1; i < EVENTS && !status; i++) {
        float ms = 0;
        status = cudaEventElapsedTime(&ms, events[i - 1], events[i]);
        const double one = (double)ms / 1e3 / CALLS;
        if (i == 1 || one < *seconds) *seconds = one;
    }
    return nl_cuda_check(status, "timing a convolution", err);
}

int nl_conv_time(double *seconds, nl_cuda_work run, void *context, cudaStream_t stream,
                 nl_error *err) {
    cudaGraphExec_t exec = NULL;
    cudaEvent_t events[EVENTS] = {NULL};
    int code = nl_cuda_capture(&exec, stream, CALLS, run, context, err);
    for (int i = 0; i < EVENTS && !code; i++) {
        code = nl_cuda_check(cudaEventCreate(&events[i]), "event", err);
    }
    if (!code) code = measure(seconds, exec, events, stream, err);
    for (int i = 0; i < EVENTS; i++) {
        if (events[i]) cudaEventDestroy(events[i]);
    }
    if (exec) cudaGraphExecDestroy(exec);
    return code;
}
