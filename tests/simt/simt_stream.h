/* Work that was handed to the device, and what it waits for: streams, events and graphs behind
 * simt_runtime.cpp, which alone includes this.
 *
 * A task waits for the tasks before it in its stream, for events, and, unless its stream was made
 * non-blocking, for the default stream; for nothing else. Under schedule 0 it is done at once.
 * Under the others it is done when somebody waits for it, and what nothing holds back goes in the
 * order of the schedule: work that lacks an edge is done too late, or too early.
 *
 * A capture keeps the same tasks with places in a list instead of pointers; a launch of the graph
 * makes tasks of them. A stream joins a capture by waiting for an event of it, as in CUDA, and has
 * to be joined again.
 */
#pragma once

#include "simt.h" // pick

#include <algorithm> // std::sort
#include <memory>    // std::shared_ptr
#include <set>       // std::set
#include <vector>    // std::vector

#include <time.h> // clock_gettime

namespace simt {

struct Task;
using Tasks = std::vector<std::shared_ptr<Task>>;
struct Task {
    uint64_t number; // in the order in which they came
    std::function<void()> work;
    Tasks after;
    bool done = false;
};

using Places = std::vector<size_t>;
struct Node {
    std::function<void()> work;
    Places after;
    const char *name;
    References references;
};

/* A capture under way, shared by the streams that joined it. */
struct Capture {
    cudaStream_t origin;
    std::vector<Node> nodes;
    bool ended = false, invalid = false;
};

} // namespace simt

using simt::Node, simt::Places, simt::Task, simt::Tasks, simt::Capture;

struct CUgraph_st {
    std::vector<Node> nodes;
};
struct CUgraphExec_st {
    std::vector<Node> nodes;
};
struct CUstream_st {
    bool blocking = true;
    Tasks last; // what the next task waits for
    std::shared_ptr<Capture> capture;
    Places last_captured;
    bool capturing() const {
        return capture && !capture->ended;
    }
};
struct CUevent_st {
    Tasks after;
    std::shared_ptr<double> seconds;
    std::shared_ptr<Capture> capture; // it was recorded in, or NULL
    Places captured;
};

namespace {

CUstream_st default_stream;
std::set<CUstream_st *> streams; // but the default one
int captures;                    // under way
uint64_t tasks_made;

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <typename T> void append(T &to, const T &from) {
    to.insert(to.end(), from.begin(), from.end());
}

// --- doing tasks ---

Tasks not_done(const Tasks &roots) {
    std::set<Task *> seen;
    Tasks found, open = roots;
    while (!open.empty()) {
        const std::shared_ptr<Task> task = open.back();
        open.pop_back();
        if (task->done || !seen.insert(task.get()).second) continue;
        found.push_back(task);
        append(open, task->after);
    }
    std::sort(found.begin(), found.end(),
              [](const auto &a, const auto &b) { return a->number < b->number; });
    return found;
}

bool is_ready(const Task &task) {
    return std::all_of(task.after.begin(), task.after.end(),
                       [](const auto &before) { return before->done; });
}

void finish(const Tasks &roots) {
    Tasks left = not_done(roots);
    while (!left.empty()) {
        Places ready;
        for (size_t i = 0; i < left.size(); i++) {
            if (is_ready(*left[i])) ready.push_back(i);
        }
        const size_t at = ready[simt::pick(static_cast<unsigned>(ready.size()))];
        const std::shared_ptr<Task> task = left[at];
        left.erase(left.begin() + static_cast<ptrdiff_t>(at));
        task->work();
        task->work = nullptr;
        task->after.clear();
        task->done = true;
    }
}

CUstream_st &known(cudaStream_t stream) {
    return stream ? *stream : default_stream;
}

/* What new work on a stream waits for. */
Tasks before(cudaStream_t stream) {
    Tasks all = known(stream).last;
    if (stream && stream->blocking) append(all, default_stream.last);
    if (!stream) {
        for (const CUstream_st *other : streams) {
            if (other->blocking) append(all, other->last);
        }
    }
    return all;
}

std::shared_ptr<Task> make_task(std::function<void()> work, Tasks after) {
    auto task = std::make_shared<Task>();
    task->number = ++tasks_made;
    task->work = std::move(work);
    task->after = std::move(after);
    return task;
}

void end_with(cudaStream_t stream, Tasks last) {
    known(stream).last = std::move(last);
    if (simt::at_once()) finish(known(stream).last);
}

// --- captures ---

void not_while_capturing(const char *what) {
    if (captures > 0) simt::report("%s while a stream is being captured", what);
}

void capture_node(CUstream_st &stream, Node node) {
    std::vector<Node> &nodes = stream.capture->nodes;
    node.after = stream.last_captured;
    nodes.push_back(std::move(node));
    stream.last_captured = {nodes.size() - 1};
}

/* Whether all that was captured comes before what the origin ends with. */
bool all_joined(const std::vector<Node> &nodes, const Places &last) {
    std::vector<bool> reached(nodes.size());
    Places open = last;
    while (!open.empty()) {
        const size_t at = open.back();
        open.pop_back();
        if (reached[at]) continue;
        reached[at] = true;
        append(open, nodes[at].after);
    }
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

cudaError_t invalidate(const std::shared_ptr<Capture> &capture, cudaError_t error) {
    capture->invalid = true;
    return error;
}

cudaError_t wait_for_captured(CUstream_st &stream, const CUevent_st &event) {
    if (event.capture->ended) return cudaErrorCapturedEvent;
    if (&stream == &default_stream) return invalidate(event.capture, cudaErrorInvalidValue);
    if (!stream.capturing()) {
        stream.capture = event.capture;
        stream.last_captured.clear();
    }
    if (stream.capture != event.capture) {
        invalidate(stream.capture, cudaErrorStreamCaptureMerge);
        return invalidate(event.capture, cudaErrorStreamCaptureMerge);
    }
    append(stream.last_captured, event.captured);
    return cudaSuccess;
}

} // namespace
