/* Recording launches into a CUDA graph; see cuda_graph.h. */
#include "cuda_graph.h"

#include "device.h" // nl_cuda_check

int nl_cuda_capture(cudaGraphExec_t *exec, cudaStream_t stream, int times, nl_cuda_work work,
                    void *context, nl_error *err) {
    *exec = NULL;
    int code = nl_cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                             "begin of a graph", err);
    if (code) return code;
    for (int i = 0; i < times && !code; i++) code = work(context, err);
    cudaGraph_t graph = NULL;
    const cudaError_t status = cudaStreamEndCapture(stream, &graph);
    if (!code) code = nl_cuda_check(status, "end of a graph", err);
    if (!code) code = nl_cuda_check(cudaGraphInstantiate(exec, graph, 0), "graph", err);
    if (graph) cudaGraphDestroy(graph);
    if (code) (void)cudaGetLastError(); /* a failed recording is no fault of the device */
    return code;
}
