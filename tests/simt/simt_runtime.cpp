/* The runtime's shim: device memory is host memory, and work is done at once unless its stream is
 * being captured; then it is kept, in the order in which it was queued, and done at every launch of
 * the graph. That order is one that a device may choose, since work depends only on earlier work. A
 * stream joins a capture by waiting for an event of it, as in CUDA.
 */
#include "simt.h"

#include <cstdio>  // fprintf
#include <cstdlib> // aligned_alloc
#include <map>     // std::map
#include <memory>  // std::shared_ptr
#include <vector>  // std::vector

#include <time.h> // clock_gettime

struct CUgraph_st {
    std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> work;
};

/* A capture under way, shared by the streams that joined it. */
struct Capture {
    cudaStream_t origin;
    std::vector<std::function<void()>> work;
    bool ended = false;
};
struct CUstream_st {
    std::shared_ptr<Capture> capture;
    bool capturing() const {
        return capture && !capture->ended;
    }
};
struct CUevent_st {
    std::shared_ptr<Capture> capture;
    double seconds = 0;
};

namespace {

std::map<void *, size_t> allocations;
size_t allocated;
int captures; // under way
constexpr size_t kMemory = size_t{4} << 30;

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void not_while_capturing(const char *what) {
    if (captures > 0) simt::report("%s while a stream is being captured", what);
}

cudaError_t allocate(void **memory, size_t size, bool device) {
    not_while_capturing("an allocation");
    if (size > kMemory - allocated) return cudaErrorMemoryAllocation;
    *memory = aligned_alloc(256, (size + 255) / 256 * 256);
    if (!*memory) return cudaErrorMemoryAllocation;
    if (device) memset(*memory, 0xff, size); // every float a NaN
    allocations[*memory] = size;
    allocated += size;
    return cudaSuccess;
}

cudaError_t release(void *memory) {
    not_while_capturing("a release");
    if (!memory) return cudaSuccess;
    const auto it = allocations.find(memory);
    if (it == allocations.end()) simt::report("freed what was not allocated");
    allocated -= it->second;
    allocations.erase(it);
    free(memory);
    return cudaSuccess;
}

} // namespace

namespace simt {

void submit(cudaStream_t stream, std::function<void()> work) {
    if (stream && stream->capturing()) {
        stream->capture->work.push_back(std::move(work));
    } else {
        if (captures > 0 && !stream)
            report("work on the default stream while another is being captured");
        work();
    }
}

} // namespace simt

void simt_submit(cudaStream_t stream, void (*work)(void *), void *argument) {
    simt::submit(stream, [work, argument] { work(argument); });
}

// --- device ---

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device) {
    if (device != 0) return cudaErrorInvalidDevice;
    *prop = {"SIMT executor", kMemory, 9, 0, 132, 50 << 20};
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    not_while_capturing("a wait");
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    *available = kMemory - allocated;
    *total = kMemory;
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
cudaError_t cudaPeekAtLastError() {
    return cudaSuccess;
}
const char *cudaGetErrorName(cudaError_t error) {
    return error == cudaSuccess ? "cudaSuccess" : "cudaError";
}
const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorMemoryAllocation ? "out of memory"
           : error == cudaSuccess             ? "no error"
                                              : "error";
}

// --- memory ---

cudaError_t cudaMalloc(void **memory, size_t size) {
    return allocate(memory, size, true);
}
cudaError_t cudaMallocHost(void **memory, size_t size) {
    return allocate(memory, size, false);
}
cudaError_t cudaHostAlloc(void **memory, size_t size, unsigned) {
    return allocate(memory, size, false);
}
cudaError_t cudaFree(void *memory) {
    return release(memory);
}
cudaError_t cudaFreeHost(void *memory) {
    return release(memory);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind) {
    not_while_capturing("a waiting copy");
    if (size) memcpy(to, from, size);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
    simt::submit(stream, [=] {
        if (size) memcpy(to, from, size);
    });
    return cudaSuccess;
}
cudaError_t cudaMemset(void *memory, int value, size_t size) {
    not_while_capturing("a waiting fill");
    if (size) memset(memory, value, size);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *memory, int value, size_t size, cudaStream_t stream) {
    simt::submit(stream, [=] {
        if (size) memset(memory, value, size);
    });
    return cudaSuccess;
}

// --- streams and events ---

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    *stream = new CUstream_st;
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    return cudaStreamCreate(stream);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
    not_while_capturing("a wait");
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t) {
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (event->capture && !event->capture->ended) stream->capture = event->capture;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) {
    *event = new CUevent_st;
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    event->capture = stream && stream->capturing() ? stream->capture : nullptr;
    event->seconds = now();
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
    not_while_capturing("a wait");
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) {
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    *milliseconds = static_cast<float>(1e3 * (end->seconds - begin->seconds));
    return cudaSuccess;
}

// --- graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (!stream || stream->capturing()) return cudaErrorInvalidValue;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    captures++;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    if (!stream->capturing() || stream->capture->origin != stream) return cudaErrorInvalidValue;
    *graph = new CUgraph_st{std::move(stream->capture->work)};
    stream->capture->ended = true;
    stream->capture = nullptr;
    captures--;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
    *status =
        stream && stream->capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = new CUgraphExec_st{graph->work};
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    for (const auto &work : exec->work) simt::submit(stream, work);
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
