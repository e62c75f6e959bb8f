/* The runtime's shim, function by function. Memory and calls that fail: simt_memory.h; streams and
 * graphs: simt_stream.h.
 */
#include "simt_memory.h"

#include <memory> // std::shared_ptr
#include <string> // std::to_string
#include <vector> // std::vector

// --- simt.h ---

namespace simt {

void submit(cudaStream_t stream, std::function<void()> work, const char *name,
            References references) {
    if (stream && stream->capturing()) {
        capture_node(*stream, {std::move(work), {}, name, std::move(references)});
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

void find_references(References &found, const void *bytes, size_t size) {
    for (size_t i = 0; i + sizeof(void *) <= size; i += sizeof(void *)) {
        const void *p;
        memcpy(&p, static_cast<const char *>(bytes) + i, sizeof p);
        const auto it = allocation_of(p);
        if (it != allocations.end())
            found.push_back({it->first, it->second.number, it->second.size});
    }
}

void finish_all() {
    Tasks all = default_stream.last;
    for (const CUstream_st *stream : streams) append(all, stream->last);
    finish(all);
}

} // namespace simt

void simt_submit(cudaStream_t stream, void (*work)(void *), void *argument) {
    simt_submit_on(stream, work, argument, 0);
}

void simt_submit_on(cudaStream_t stream, void (*work)(void *), void *argument, size_t size) {
    simt::References found;
    simt::find_references(found, argument, size);
    simt::submit(
        stream, [work, argument] { work(argument); }, "host work", std::move(found));
}

cudaError_t simt::fails(const char *name) {
    return fault_of(name);
}

cudaError_t simt::kept(cudaError_t error) {
    if (error) last_error = error;
    return error;
}

void simt_break(cudaError_t error) {
    lasting = error;
}

void simt_memory(size_t bytes) {
    capacity = allocated + bytes;
}

void simt_fail_at(const char *name, long n, cudaError_t error) {
    fault = {name, n, error, false, {}};
    last_error = lasting = cudaSuccess;
}

void simt_break_at(long n, cudaError_t error) {
    simt_fail_at(nullptr, n, error);
    fault.stays = true;
}

long simt_calls(void) {
    return static_cast<long>(fault.called.size());
}

const char *simt_called(long n) {
    return fault.called.at(static_cast<size_t>(n - 1));
}

int simt_alive(void) {
    return static_cast<int>(allocations.size() + streams.size()) + events + graphs;
}

// --- device ---

static const int kCache = 50 << 20;

cudaError_t cudaGetDeviceCount(int *count) {
    MAY_FAIL();
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    MAY_FAIL();
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    MAY_FAIL();
    return simt::kept(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device) {
    MAY_FAIL();
    if (device != 0) return simt::kept(cudaErrorInvalidDevice);
    *prop = {"SIMT executor", capacity, 9, 0, 132, kCache};
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device) {
    MAY_FAIL();
    if (device != 0) return simt::kept(cudaErrorInvalidDevice);
    *value = which == cudaDevAttrL2CacheSize ? kCache : static_cast<int>(simt::most_shared());
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    MAY_FAIL();
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    MAY_FAIL();
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    MAY_FAIL();
    *available = capacity - allocated;
    *total = capacity;
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    const cudaError_t own = fault_of(__func__), error = last_error;
    last_error = cudaSuccess;
    return lasting ? lasting : own ? own : error;
}
cudaError_t cudaPeekAtLastError() {
    MAY_FAIL();
    return lasting ? lasting : last_error;
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
    MAY_FAIL();
    return simt::kept(allocate(memory, size, true));
}
cudaError_t cudaMallocHost(void **memory, size_t size) {
    MAY_FAIL();
    return simt::kept(allocate(memory, size, false));
}
cudaError_t cudaHostAlloc(void **memory, size_t size, unsigned) {
    MAY_FAIL();
    return simt::kept(allocate(memory, size, false));
}
/* What releases does so, whatever it returns. */
cudaError_t cudaFree(void *memory) {
    release(memory);
    return fault_of(__func__);
}
cudaError_t cudaFreeHost(void *memory) {
    release(memory);
    return fault_of(__func__);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind kind) {
    MAY_FAIL();
    not_while_capturing("a waiting copy");
    const bool stage = kind == cudaMemcpyHostToDevice && is_pageable(from);
    copy(to, from, size, stage, nullptr);
    if (!stage && kind != cudaMemcpyDeviceToDevice) finish(before(nullptr));
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind,
                            cudaStream_t stream) {
    MAY_FAIL();
    copy(to, from, size, false, stream);
    return cudaSuccess;
}
static void fill(void *memory, int value, size_t size, cudaStream_t stream) {
    simt::References one;
    simt::find_references(one, &memory, sizeof memory);
    const auto work = [=] {
        if (size) memset(memory, value, size);
    };
    simt::submit(stream, work, "fill", std::move(one));
}
cudaError_t cudaMemset(void *memory, int value, size_t size) {
    MAY_FAIL();
    not_while_capturing("a fill");
    fill(memory, value, size, nullptr);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *memory, int value, size_t size, cudaStream_t stream) {
    MAY_FAIL();
    fill(memory, value, size, stream);
    return cudaSuccess;
}

// --- streams and events ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    MAY_FAIL();
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
    return fault_of(__func__);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    MAY_FAIL();
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
    MAY_FAIL();
    CUstream_st &waits = known(stream);
    if (event->capture) return simt::kept(wait_for_captured(waits, *event));
    if (event->after.empty()) return cudaSuccess; // never recorded
    if (waits.capturing())
        return simt::kept(invalidate(waits.capture, cudaErrorStreamCaptureIsolation));
    append(waits.last, event->after);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    MAY_FAIL();
    not_while_capturing("a wait");
    simt::finish_all();
    return lasting;
}
static cudaError_t make_event(cudaEvent_t *event) {
    *event = new CUevent_st;
    events++;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) {
    MAY_FAIL();
    return make_event(event);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    MAY_FAIL();
    return make_event(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    events--;
    return fault_of(__func__);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    MAY_FAIL();
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
    MAY_FAIL();
    not_while_capturing("a wait");
    if (event->capture) return simt::kept(cudaErrorCapturedEvent);
    finish(event->after);
    return lasting;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    return cudaEventSynchronize(event);
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin, cudaEvent_t end) {
    MAY_FAIL();
    if (!begin->seconds || !end->seconds) return simt::kept(cudaErrorInvalidValue);
    if (!not_done(begin->after).empty() || !not_done(end->after).empty()) return cudaErrorNotReady;
    *milliseconds = static_cast<float>(1e3 * (*end->seconds - *begin->seconds));
    return cudaSuccess;
}

// --- graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    MAY_FAIL();
    if (!stream || stream->capturing()) return simt::kept(cudaErrorInvalidValue);
    stream->capture = std::make_shared<Capture>();
    stream->capture->origin = stream;
    stream->last_captured.clear();
    captures++;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = nullptr;
    if (!stream->capturing() || stream->capture->origin != stream)
        return simt::kept(cudaErrorInvalidValue);
    const std::shared_ptr<Capture> capture = stream->capture;
    capture->ended = true;
    captures--;
    MAY_FAIL();
    if (capture->invalid) return simt::kept(cudaErrorStreamCaptureInvalidated);
    if (!all_joined(capture->nodes, stream->last_captured))
        return simt::kept(cudaErrorStreamCaptureUnjoined);
    *graph = new CUgraph_st{std::move(capture->nodes)};
    graphs++;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
    *status =
        stream && stream->capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    MAY_FAIL();
    *exec = new CUgraphExec_st{graph->nodes};
    graphs++;
    simt_note("graph", (std::to_string(graph->nodes.size()) + " nodes").c_str());
    return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    MAY_FAIL();
    not_while_capturing("the launch of a graph");
    const Tasks first = before(stream);
    std::vector<bool> is_last(exec->nodes.size(), true);
    Tasks made, last;
    for (const Node &node : exec->nodes) {
        check_references(node);
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
    graphs--;
    return fault_of(__func__);
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    graphs--;
    return fault_of(__func__);
}
