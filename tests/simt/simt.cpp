/* Runs kernels on the CPU. The threads of a block are fibers in one thread of the host:
 * each runs until it ends or has to wait for others, then the next one, in the order of the
 * schedule. Since a thread runs undisturbed between two waits, a missing barrier shows as a result
 * that depends on the order: tests run every kernel under several schedules and demand the same
 * bits.
 *
 * What is found wrong ends the program with a line that names kernel, block, thread and place. An
 * index outside an array is found by AddressSanitizer, which is told of every change of stack.
 */
#include "simt.h"

#include <cstdarg> // va_list
#include <cstdio>  // fprintf
#include <cstdlib> // abort, getenv
#include <map>     // std::map
#include <memory>  // std::unique_ptr
#include <set>     // std::set
#include <string>  // std::string
#include <utility> // std::swap
#include <vector>  // std::vector

#include "fiber.h" // fiber_resume

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace simt {
namespace {

constexpr unsigned kWarp = 32, kMaxThreads = 1024;
constexpr size_t kMaxShared = 48 * 1024; // of a kernel that was told nothing
constexpr unsigned kSideBySide = 2;      // the schedule in which warps do not run ahead

enum class State { ready, waiting, done };

struct Fiber {
    Stack stack;
    State state = State::done;
    Op op;
    unsigned mask;
    uint64_t value, result;
    int argument;
    const char *file;
    int line;
};

Fiber fibers[kMaxThreads];
unsigned threads, live, at_barrier, current;
bool inside;           // a kernel is running
const Launch *running; // which
uint64_t block_number; // counts all blocks ever run, from 1
size_t static_shared;  // bytes of the running block
char *dynamic_memory;
std::vector<std::pair<const void *, size_t>> shared_arrays; // of the running block
size_t shared_of_device = 227 * 1024;
std::map<const void *, size_t> shared_of_kernels; // bytes a block; see allow_shared
unsigned schedule = [] {
    const char *given = getenv("NL_SIMT_SCHEDULE");
    return given ? static_cast<unsigned>(strtoul(given, nullptr, 10)) : 0u;
}();
uint64_t random_state, pick_state = schedule;
bool idle; // see simt_idle

const char *name_of(Op op) {
    static const char *const names[] = {"__syncthreads",  "__syncwarp",       "__shfl_sync",
                                        "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync",
                                        "__ballot_sync"};
    return names[static_cast<int>(op)];
}

// --- order ---

unsigned random_below(unsigned n, uint64_t &state = random_state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>((state >> 33) % n);
}

/* The order of n things under the schedule; a shuffled one is another at every call. */
void make_order(std::vector<unsigned> &order, unsigned n) {
    order.resize(n);
    for (unsigned i = 0; i < n; i++) order[i] = schedule == 1 ? n - 1 - i : i;
    if (schedule < 2) return;
    for (unsigned i = n; i > 1; i--) std::swap(order[i - 1], order[random_below(i)]);
}

// --- threads ---

void try_release_barrier();

/* A fiber lives as long as the program: one thread of one block after another. */
void thread_main() {
    fiber_begin();
    for (;;) {
        running->body();
        fibers[current].state = State::done;
        live--;
        try_release_barrier();
        fiber_yield(fibers[current].stack);
    }
}

void resume(unsigned t) {
    current = t;
    threadIdx.x = t % blockDim.x;
    threadIdx.y = t / blockDim.x % blockDim.y;
    threadIdx.z = t / blockDim.x / blockDim.y;
    fiber_resume(fibers[t].stack, thread_main);
}

// --- meeting ---

/* Lets the block go on when every live thread waits at one and the same barrier. */
void try_release_barrier() {
    if (live == 0 || at_barrier < live) return;
    const Fiber *first = nullptr;
    for (unsigned t = 0; t < threads; t++) {
        const Fiber &f = fibers[t];
        if (f.state != State::waiting) continue;
        if (!first) first = &f;
        if (f.line != first->line || strcmp(f.file, first->file) != 0) {
            report("divergent barrier: thread %u waits at %s:%d, thread %u at %s:%d",
                   static_cast<unsigned>(first - fibers), first->file, first->line, t, f.file,
                   f.line);
        }
    }
    at_barrier = 0;
    for (unsigned t = 0; t < threads; t++) {
        if (fibers[t].state == State::waiting) fibers[t].state = State::ready;
    }
}

uint64_t lane_result(const Fiber *warp, unsigned lane, unsigned votes) {
    const Fiber &f = warp[lane];
    const unsigned argument = static_cast<unsigned>(f.argument);
    unsigned from = lane;
    if (f.op == Op::ballot) return votes;
    if (f.op == Op::shfl) from = argument % kWarp;
    if (f.op == Op::shfl_up && lane >= argument) from = lane - argument;
    if (f.op == Op::shfl_down && lane + argument < kWarp) from = lane + argument;
    if (f.op == Op::shfl_xor) from = (lane ^ argument) % kWarp;
    if (!(f.mask >> from & 1)) {
        report("%s at %s:%d: lane %u reads lane %u, which its mask %08x does not name",
               name_of(f.op), f.file, f.line, lane, from, f.mask);
    }
    return warp[from].value;
}

/* Lets the lanes of a warp function go on when all that the mask names have come. */
void try_release_warp(unsigned t) {
    const unsigned base = t / kWarp * kWarp;
    Fiber *const warp = fibers + base;
    const Fiber &me = fibers[t];
    if (!(me.mask >> (t - base) & 1)) {
        report("%s at %s:%d: thread %u is not in its own mask %08x", name_of(me.op), me.file,
               me.line, t, me.mask);
    }
    unsigned votes = 0;
    for (unsigned lane = 0; lane < kWarp; lane++) {
        if (!(me.mask >> lane & 1)) continue;
        if (base + lane >= threads || warp[lane].state == State::done) {
            report(
                "%s at %s:%d: missing lane %u: mask %08x names it, but it has ended or never was",
                name_of(me.op), me.file, me.line, lane, me.mask);
        }
        const Fiber &f = warp[lane];
        if (f.state != State::waiting || f.op == Op::barrier) return;
        if (f.op != me.op || f.mask != me.mask) {
            report("lanes of one warp disagree: %s mask %08x at %s:%d, %s mask %08x at %s:%d",
                   name_of(me.op), me.mask, me.file, me.line, name_of(f.op), f.mask, f.file,
                   f.line);
        }
        votes |= static_cast<unsigned>(f.value & 1) << lane;
    }
    for (unsigned lane = 0; lane < kWarp; lane++) {
        if (me.mask >> lane & 1) warp[lane].result = lane_result(warp, lane, votes);
    }
    for (unsigned lane = 0; lane < kWarp; lane++) {
        if (me.mask >> lane & 1) warp[lane].state = State::ready;
    }
}

[[noreturn]] void report_stuck() {
    for (unsigned t = 0; t < threads; t++) {
        const Fiber &f = fibers[t];
        if (f.state != State::waiting || f.op == Op::barrier) continue;
        for (unsigned lane = 0; lane < kWarp; lane++) {
            const unsigned other = t / kWarp * kWarp + lane;
            if (!(f.mask >> lane & 1) || other == t) continue;
            if (fibers[other].state == State::done) {
                report("%s at %s:%d: missing lane %u has ended", name_of(f.op), f.file, f.line,
                       lane);
            }
            if (fibers[other].op == Op::barrier) {
                report(
                    "deadlock: thread %u waits in %s at %s:%d for thread %u, which waits at %s:%d",
                    t, name_of(f.op), f.file, f.line, other, fibers[other].file,
                    fibers[other].line);
            }
        }
    }
    report("deadlock: no thread can go on");
}

// --- blocks ---

/* Runs what is ready of the warp, until nothing is; false if nothing was. */
bool run_warp(unsigned warp, const std::vector<unsigned> &lanes) {
    bool moved = false;
    for (bool again = true; again;) {
        again = false;
        for (const unsigned lane : lanes) {
            const unsigned t = warp * kWarp + lane;
            if (t >= threads || fibers[t].state != State::ready) continue;
            again = moved = true;
            resume(t);
        }
    }
    return moved;
}

/* Every thread once, as far as it gets: warps go side by side. */
bool run_threads() {
    static std::vector<unsigned> order;
    bool moved = false;
    make_order(order, threads);
    for (const unsigned t : order) {
        if (fibers[t].state != State::ready) continue;
        moved = true;
        resume(t);
    }
    return moved;
}

/* One warp after another, each as far as it gets: a warp that no barrier holds runs far ahead. */
bool run_warps() {
    static std::vector<unsigned> warps, lanes;
    bool moved = false;
    make_order(warps, (threads + kWarp - 1) / kWarp);
    make_order(lanes, kWarp);
    for (const unsigned warp : warps) moved = run_warp(warp, lanes) || moved;
    return moved;
}

void run_block() {
    live = threads;
    at_barrier = 0;
    for (unsigned t = 0; t < threads; t++) fibers[t].state = State::ready;
    while (live > 0) {
        if (!(schedule == kSideBySide ? run_threads() : run_warps())) report_stuck();
    }
}

void check_limits(const Launch &l) {
    const uint64_t count = uint64_t{l.block.x} * l.block.y * l.block.z;
    const bool block_ok = count >= 1 && count <= kMaxThreads && l.block.z <= 64;
    const bool grid_ok = l.grid.x >= 1 && l.grid.x <= 0x7fffffffu && l.grid.y >= 1 &&
                         l.grid.y <= 65535 && l.grid.z >= 1 && l.grid.z <= 65535;
    if (!block_ok || !grid_ok || l.shared > l.allowed) {
        report("launch limits: grid %u x %u x %u, block %u x %u x %u, %zu bytes shared", l.grid.x,
               l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z, l.shared);
    }
}

void note_launch(const Launch &l) {
    static std::set<std::string> seen;
    std::string name = l.name;
    while (!name.empty() && name.front() == '(') name.erase(0, 1);
    name = name.substr(0, name.find_first_of("<)"));
    if (seen.insert(name).second) simt_note("kernel", name.c_str());
}

} // namespace

unsigned pick(unsigned n) {
    return schedule == 0 ? 0 : schedule == 1 ? n - 1 : random_below(n, pick_state);
}

bool at_once() {
    return schedule == 0;
}

void report(const char *format, ...) {
    fflush(stdout);
    if (running) {
        fprintf(stderr, "simt: kernel %s, block (%u,%u,%u): ", running->name, blockIdx.x,
                blockIdx.y, blockIdx.z);
    } else {
        fprintf(stderr, "simt: ");
    }
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

uint64_t meet(Op op, unsigned mask, uint64_t value, int argument, const char *file, int line) {
    Fiber &f = fibers[current];
    f.op = op;
    f.mask = mask;
    f.value = value;
    f.argument = argument;
    f.file = file;
    f.line = line;
    f.state = State::waiting;
    if (op == Op::barrier) {
        at_barrier++;
        try_release_barrier();
    } else {
        try_release_warp(current);
    }
    fiber_yield(f.stack);
    return f.result;
}

void Shared::enter() {
    if (filled == block_number) return;
    filled = block_number;
    shared_arrays.push_back({memory, size});
    static_shared += size;
    const size_t most = running->allowed > kMaxShared ? shared_of_device : kMaxShared;
    if (static_shared + running->shared > most) {
        report("launch limits: more than %zu bytes of shared memory", most);
    }
    memset(memory, 0xff, size);
}

size_t most_shared() {
    return shared_of_device;
}

size_t allowed_shared(const void *kernel) {
    const auto it = shared_of_kernels.find(kernel);
    return it == shared_of_kernels.end() ? kMaxShared : it->second;
}

cudaError_t allow_shared(const void *kernel, int bytes) {
    const auto wanted = static_cast<size_t>(bytes);
    if (wanted > shared_of_device) return cudaErrorInvalidValue;
    shared_of_kernels[kernel] = wanted > kMaxShared ? wanted : kMaxShared;
    return cudaSuccess;
}

void *dynamic_shared() {
    return dynamic_memory;
}

void want_global(const void *p, const char *what) {
    const auto at = reinterpret_cast<uintptr_t>(p);
    for (const auto &[memory, size] : shared_arrays) {
        const auto begin = reinterpret_cast<uintptr_t>(memory);
        if (at >= begin && at < begin + size) report("%s of shared memory", what);
    }
}

void execute(const Launch &launch) {
    if (inside) report("a kernel launched from a kernel");
    running = &launch;
    blockIdx = {0, 0, 0};
    check_limits(launch);
    note_launch(launch);
    if (idle) {
        running = nullptr;
        return;
    }
    begin_counting(launch.name);
    inside = true;
    gridDim = launch.grid;
    blockDim = launch.block;
    threads = launch.block.x * launch.block.y * launch.block.z;
    random_state = schedule;
    std::vector<unsigned> order;
    make_order(order, launch.grid.x * launch.grid.y * launch.grid.z);
    for (const unsigned b : order) {
        const std::unique_ptr<char[]> memory(
            new char[launch.shared]); // exact: the sanitizer guards its end
        memset(memory.get(), 0xff, launch.shared);
        dynamic_memory = memory.get();
        shared_arrays = {{dynamic_memory, launch.shared}};
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        block_number++;
        static_shared = 0;
        run_block();
    }
    end_counting();
    inside = false;
    running = nullptr;
}

} // namespace simt

// --- for tests ---

void simt_shared(size_t bytes) {
    simt::shared_of_device = bytes;
    simt::shared_of_kernels.clear();
}

void simt_idle(int idle) {
    simt::finish_all();
    simt::idle = idle;
}

void simt_schedule(unsigned value) {
    simt::finish_all(); // what was queued was queued under the schedule before
    simt::schedule = value;
    simt::pick_state = value;
    simt_note("schedule", std::to_string(value).c_str());
}
