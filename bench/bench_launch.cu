/* What a launch costs on a GPU, before anything is computed: the numbers that estimates of a step's
 * time rest on. Prints one line of JSON:
 *
 *     stream_us      45 empty kernels, launched one after the other into a stream
 *     graph_us       45 in a graph
 *     graph_16_us    45 of the 720 in one graph of 16 steps
 *     barrier_us     one barrier of all blocks of a grid with one block a multiprocessor
 *
 * Microseconds, the smallest of a few measurements. Only in a build with CUDA.
 */
#include <cooperative_groups.h> // grid_group
#include <cuda_runtime.h>
#include <stdio.h>  // printf
#include <stdlib.h> // exit

namespace {

constexpr int kKernels = 45; // about as many as a step has
constexpr int kSteps = 16;   // of the longer graph
constexpr int kBarriers = 100, kRepeats = 20;

__global__ void empty() {
}

__global__ void barriers(int count) {
    for (int i = 0; i < count; i++) cooperative_groups::this_grid().sync();
}

cudaStream_t stream;
cudaEvent_t events[2];

void check(cudaError_t status, const char *what) {
    if (status == cudaSuccess) return;
    fprintf(stderr, "normlab: bench_launch: %s: %s\n", what, cudaGetErrorString(status));
    exit(4);
}

/* The smallest time of work(), which queues on the stream; the first one warms up. The clock starts behind
 * the same work: the device is busy while it is launched, as in training. */
template <typename Work> double microseconds(Work work) {
    double best = 0;
    for (int i = 0; i <= kRepeats; i++) {
        float ms = 0;
        work();
        check(cudaEventRecord(events[0], stream), "event");
        work();
        check(cudaEventRecord(events[1], stream), "event");
        check(cudaEventSynchronize(events[1]), "event");
        check(cudaEventElapsedTime(&ms, events[0], events[1]), "event");
        if (i == 1 || (i > 1 && 1e3 * ms < best)) best = 1e3 * ms;
    }
    return best;
}

void launch_all(int count) {
    for (int i = 0; i < count; i++) empty<<<1, 32, 0, stream>>>();
    check(cudaGetLastError(), "launch");
}

double in_graph(int count) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "graph");
    launch_all(count);
    check(cudaStreamEndCapture(stream, &graph), "graph");
    check(cudaGraphInstantiate(&exec, graph, 0), "graph");
    const double us =
        microseconds([exec] { check(cudaGraphLaunch(exec, stream), "launch of a graph"); });
    check(cudaGraphExecDestroy(exec), "graph");
    check(cudaGraphDestroy(graph), "graph");
    return us;
}

double of_barrier(int blocks) {
    const auto cooperate = [blocks](int count) {
        void *arguments[] = {&count};
        check(cudaLaunchCooperativeKernel(reinterpret_cast<const void *>(barriers), dim3(blocks),
                                          dim3(256), arguments, 0, stream),
              "launch of a grid");
    };
    const double none = microseconds([cooperate] { cooperate(0); });
    return (microseconds([cooperate] { cooperate(kBarriers); }) - none) / kBarriers;
}

} // namespace

int main() {
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, 0), "device");
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    for (cudaEvent_t &event : events) check(cudaEventCreate(&event), "event");
    launch_all(1); // its code has to be there before it is recorded
    check(cudaStreamSynchronize(stream), "first launch");
    const double queued = microseconds([] { launch_all(kKernels); });
    printf("{\"kernels\": %d, \"stream_us\": %.2f, \"graph_us\": %.2f, \"graph_16_us\": %.2f, "
           "\"barrier_us\": %.3f, \"blocks\": %d}\n",
           kKernels, queued, in_graph(kKernels), in_graph(kSteps * kKernels) / kSteps,
           of_barrier(device.multiProcessorCount), device.multiProcessorCount);
    return 0;
}
