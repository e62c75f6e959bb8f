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
#define NL_SHARED_DYNAMIC(type, name)                                                              \
    extern __shared__ float4 nl_dynamic_shared[];                                                  \
    type *const name = reinterpret_cast<type *>(nl_dynamic_shared)
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

/* A set's units, cut in parts. The grid has the sets in x and the parts in y. */
struct Split {
    int units, parts, share;
};
inline Split split(int units, int parts) {
    return {units, parts, ceil_div(units, parts)};
}
inline dim3 grid_of(int sets, Split s) {
    return dim3(static_cast<unsigned>(sets), static_cast<unsigned>(s.parts));
}
__device__ inline int this_set() {
    return static_cast<int>(blockIdx.x);
}
__device__ inline int this_part() {
    return static_cast<int>(blockIdx.y);
}

/* The units [begin, end) of one part; the last parts may be shorter, or empty. */
struct Range {
    int begin, end;
};
__device__ inline Range part_of(Split s, int part) {
    const int begin = min(s.share * part, s.units);
    return {begin, min(begin + s.share, s.units)};
}

inline int launched() {
    return static_cast<int>(cudaGetLastError());
}

} // namespace
