/* The runtime's shim: the device and its memory, which is memory of the host, each allocation as
 * large as was asked for, so that AddressSanitizer sees what goes past its end. Streams and
 * graphs: simt_stream.h. A copy is as late as the real one may be: a waiting copy to the device, or
 * a fill, waits for nothing but that the host's bytes have been read.
 */
#include "simt_stream.h"

#include <cstdlib> // posix_memalign
#include <map>     // std::map
#include <memory>  // std::shared_ptr
#include <string>  // std::to_string
#include <vector>  // std::vector

// --- simt.h ---

namespace simt {

void submit(cudaStream_t stream, std::function<void()> work) {
    if (stream && stream->capturing()) {
        capture_node(*stream, std::move(work));
        return;
    }
    if (captures > 0 && !stream)
        report("work on the default stream while another is being captured");
    end_with(stream, {make_task(std::move(work), before(stream))});
}

void load(const void *kernel, const char *name, cudaStream_t stream) {
    static std::set<const void *> loaded;
    if (!stream || !stream->capturing()) {
        loaded.insert(kernel);
    } else if (loaded.count(kernel) == 0) {
        report("kernel %s is captured before it ever ran", name);
    }
}

void finish_all() {
    Tasks all = default_stream.last;
    for (const CUstream_st *stream : streams) append(all, stream->last);
    finish(all);
}

} // namespace simt

void simt_submit(cudaStream_t stream, void (*work)(void *), void *argument) {
    simt::submit(stream, [work, argument] { work(argument); });
}

namespace {

std::map<const void *, size_t> allocations;
size_t allocated, capacity = size_t{4} << 30;
cudaError_t lasting = cudaSuccess; // see simt_break

cudaError_t allocate(void **memory, size_t size, bool device) {
    not_while_capturing("an allocation");
    if (size > capacity - allocated) return cudaErrorMemoryAllocation;
    if (posix_memalign(memory, 256, size) != 0) return cudaErrorMemoryAllocation;
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
    simt::finish_all();
    allocated -= it->second;
    allocations.erase(it);
    free(memory);
    return cudaSuccess;
}

/* Memory of the host that the runtime did not give, from which and to which it copies at once. */
bool is_pageable(const void *p) {
    auto it = allocations.upper_bound(p);
    if (it == allocations.begin()) return true;
    --it;
    return static_cast<const char *>(p) >= static_cast<const char *>(it->first) + it->second;
}

void copy(void *to, const void *from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
    cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(stream, &status);
    if (size == 0) return;
    if (status == cudaStreamCaptureStatusNone && kind == cudaMemcpyHostToDevice &&
        is_pageable(from)) {
        const auto bytes = static_cast<const char *>(from);
        const auto staged = std::make_shared<std::vector<char>>(bytes, bytes + size);
        simt::submit(stream, [=] { memcpy(to, staged->data(), size); });
    } else {
        simt::submit(stream, [=] { memcpy(to, from, size); });
    }
}

} // namespace

void simt_break(cudaError_t error) {
    lasting = error;
}

void simt_memory(size_t bytes) {
    capacity = allocated + bytes;
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
    *prop = {"SIMT executor", capacity, 9, 0, 132, 50 << 20};
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int device) {
    cudaDeviceProp prop;
    const cudaError_t status = cudaGetDeviceProperties(&prop, device);
    if (status == cudaSuccess) *value = prop.l2CacheSize;
    return status;
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
    *available = capacity - allocated;
    *total = capacity;
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    return lasting;
}
cudaError_t cudaPeekAtLastError() {
    return lasting;
}
const char *cudaGetErrorName(cudaError_t error) {
    return error == cudaSuccess ? "cudaSuccess" : "cudaError";
}
const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorIllegalAddress:
        return "an illegal memory access was encountered";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    case cudaErrorStreamCaptureMerge:
        return "operation would result in a merge of separate capture sequences";
    case cudaErrorStreamCaptureUnjoined:
        return "capturing stream has unjoined work";
    case cudaErrorStreamCaptureIsolation:
        return "dependency created on uncaptured work in another stream";
    case cudaErrorCapturedEvent:
        return "operation not permitted on an event last recorded in a capturing stream";
    default:
        return "error";
    }
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
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind kind) {
    not_while_capturing("a waiting copy");
    copy(to, from, size, kind, nullptr);
    const bool returns_early =
        kind == cudaMemcpyDeviceToDevice || (kind == cudaMemcpyHostToDevice && is_pageable(from));
    if (!returns_early) finish(before(nullptr));
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(stream, &status);
    copy(to, from, size, kind, stream);
    if (status == cudaStreamCaptureStatusNone && kind == cudaMemcpyDeviceToHost && is_pageable(to))
        finish(before(stream));
    return cudaSuccess;
}
cudaError_t cudaMemset(void *memory, int value, size_t size) {
    not_while_capturing("a fill");
    return cudaMemsetAsync(memory, value, size, nullptr);
}
cudaError_t cudaMemsetAsync(void *memory, int value, size_t size, cudaStream_t stream) {
    simt::submit(stream, [=] {
        if (size) memset(memory, value, size);
    });
    return cudaSuccess;
}

// --- streams and events ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    *stream = new CUstream_st;
    (*stream)->blocking = flags != cudaStreamNonBlocking;
    streams.insert(*stream);
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    finish(stream->last);
    streams.erase(stream);
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    not_while_capturing("a wait");
    finish(before(stream));
    return lasting;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    not_while_capturing("a question");
    finish(before(stream));
    return lasting;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    CUstream_st &waits = known(stream);
    if (event->capture) return wait_for_captured(waits, *event);
    if (event->after.empty()) return cudaSuccess; // never recorded
    if (waits.capturing()) return invalidate(waits.capture, cudaErrorStreamCaptureIsolation);
    append(waits.last, event->after);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    not_while_capturing("a wait");
    simt::finish_all();
    return lasting;
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
    *event = {};
    if (stream && stream->capturing()) {
        event->capture = stream->capture;
        event->captured = stream->last_captured;
        return cudaSuccess;
    }
    const auto seconds = event->seconds = std::make_shared<double>(0);
    simt::submit(stream, [seconds] { *seconds = now(); });
    event->after = known(stream).last;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    not_while_capturing("a wait");
    if (event->capture) return cudaErrorCapturedEvent;
    finish(event->after);
    return lasting;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return cudaEventSynchronize(event);
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    if (!begin->seconds || !end->seconds) return cudaErrorInvalidValue;
    if (!not_done(begin->after).empty() || !not_done(end->after).empty()) return cudaErrorNotReady;
    *milliseconds = static_cast<float>(1e3 * (*end->seconds - *begin->seconds));
    return cudaSuccess;
}

// --- graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    if (!stream || stream->capturing()) return cudaErrorInvalidValue;
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->last_captured.clear();
    captures++;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = nullptr;
    if (!stream->capturing() || stream->capture->origin != stream) return cudaErrorInvalidValue;
    const std::shared_ptr<Capture> capture = stream->capture;
    capture->ended = true;
    captures--;
    if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
    if (!all_joined(capture->nodes, stream->last_captured)) return cudaErrorStreamCaptureUnjoined;
    *graph = new CUgraph_st{std::move(capture->nodes)};
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
    *status =
        stream && stream->capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = new CUgraphExec_st{graph->nodes};
    simt_note("graph", (std::to_string(graph->nodes.size()) + " nodes").c_str());
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    not_while_capturing("the launch of a graph");
    const Tasks first = before(stream);
    std::vector<bool> is_last(exec->nodes.size(), true);
    Tasks made, last;
    for (const Node &node : exec->nodes) {
        Tasks after;
        for (const size_t at : node.after) {
            after.push_back(made[at]);
            is_last[at] = false;
        }
        made.push_back(make_task(node.work, node.after.empty() ? first : after));
    }
    for (size_t i = 0; i < made.size(); i++) {
        if (is_last[i]) last.push_back(made[i]);
    }
    end_with(stream, made.empty() ? first : last);
    return lasting;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
