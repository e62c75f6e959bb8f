/* Launching, and the few macros through which a .cu file also compiles as plain C++: the tests run
 * the kernels on the CPU (tests/simt), where shared arrays and launches are functions of the
 * executor.
 */
#pragma once

#include <cuda_runtime.h> // __global__, cudaGetLastError
#include <stdint.h>       // int64_t

#ifndef NL_SIMT
#define NL_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
    kernel<<<grid, block, shared, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)
#define NL_SHARED(type, name, count) __shared__ type name[count]
#endif

namespace {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// --- sizes of a launch: by the shape alone, so that every device sums in the same order ---

constexpr int kThreads = 256;     // of a block that shares its set with others
constexpr int kMaxThreads = 1024; // of a block that owns one
constexpr int kMaxParts = 32;     // blocks a set: a warp combines what they leave, one lane each
constexpr int kOwnSet = 16384;    // values up to which one block takes a whole set, saving a launch

__host__ __device__ inline int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

/* Threads of a block that owns a set of so many units. */
inline int threads_for(int units) {
    const int wanted = ceil_div(ceil_div(units, 2), kWarp) * kWarp;
    return wanted < 2 * kWarp ? 2 * kWarp : wanted < kMaxThreads ? wanted : kMaxThreads;
}

/* In how many parts a set of so many units is split, about `each` to a thread. */
inline int parts_for(int units, int each) {
    const int wanted = ceil_div(units, kThreads * each);
    return wanted < kMaxParts ? wanted : kMaxParts;
}

/* The units [begin, end) of one part; the last parts may be shorter, or empty. */
struct Range {
    int begin, end;
};
__host__ __device__ inline Range part_of(int units, int parts, int part) {
    const int share = ceil_div(units, parts), begin = share * part;
    const int end = begin + share < units ? begin + share : units;
    return {begin < units ? begin : units, end};
}

inline int launched() {
    return static_cast<int>(cudaGetLastError());
}

} // namespace
