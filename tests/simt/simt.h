/* CUDA's device language for g++, as far as normlab's kernels use it: built-in variables, barriers,
 * warp functions, atomics, vector types, shared arrays and launches. simt.cpp runs the threads of a
 * block as fibers in one thread of the host; blocks run one after another.
 *
 * NL_SIMT tells src/kernels/launch.cuh to take the macros of this file.
 */
#pragma once

#define NL_SIMT 1

#include <cmath>      // expf
#include <cstdint>    // uint64_t
#include <cstring>    // memcpy
#include <functional> // std::function
#include <tuple>      // std::apply
#include <vector>     // std::vector

#include "cuda_runtime_api.h" // cudaStream_t

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

// --- built-in types and variables ---

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {
    }
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
inline float2 make_float2(float x, float y) {
    return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

// --- the executor ---

namespace simt {

enum class Op { barrier, syncwarp, shfl, shfl_up, shfl_down, shfl_xor, ballot };

/* Waits until every thread that has to take part is at this place. Returns what the warp function
 * gives this lane. */
uint64_t meet(Op op, unsigned mask, uint64_t value, int argument, const char *file, int line);

/* The first thread of a block that gets here fills the array with NaN (all bits set). */
struct Shared {
    void *memory;
    size_t size;
    uint64_t filled = 0; // the block it was last filled for
    void enter();
};
void *dynamic_shared();
/* Reports what is in shared memory, which `what` cannot reach. */
void want_global(const void *p, const char *what);

[[noreturn]] void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct Launch {
    const char *name;
    dim3 grid, block;
    size_t shared, allowed; // bytes of dynamic shared memory
    std::function<void()> body;
};
/* What a block may have at most; what one of a kernel may, after it was told so (from outside by
 * cudaFuncSetAttribute). */
size_t most_shared();
size_t allowed_shared(const void *kernel);
cudaError_t allow_shared(const void *kernel, int bytes);
/* Which of n things that could be next comes next, and whether work is done as it is queued. */
unsigned pick(unsigned n);
bool at_once();

/* Does all work that was queued. */
void finish_all();

/* Memory of the device that queued work refers to: an allocation, by its place and number. */
struct Reference {
    const void *memory;
    uint64_t number;
    size_t size;
};
using References = std::vector<Reference>;
/* Adds every word of these bytes that is an address in an allocation. */
void find_references(References &found, const void *bytes, size_t size);

/* name: for reports; references: for what is captured. */
void submit(cudaStream_t stream, std::function<void()> work, const char *name = "work",
            References references = {});

/* Whether this call of the runtime is made to fail (simt_fail_at). */
cudaError_t fails(const char *function);
/* A call that fails leaves its error for cudaGetLastError. */
cudaError_t kept(cudaError_t error);

/* A kernel's code comes to the device when it first runs, which a capture does not allow. */
void load(const void *kernel, const char *name, cudaStream_t stream);
void execute(const Launch &launch);

/* Around a kernel: see simt_bytes.h. */
void begin_counting(const char *kernel);
void end_counting();
/* A kernel reads (way 0) or writes (1) these bytes. */
void touch(const void *p, size_t size, int way);

template <typename... P, typename... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            cudaStream_t stream, A... args) {
    std::tuple<P...> values{static_cast<P>(args)...};
    if (fails("cudaLaunchKernel")) return; // cudaGetLastError tells
    load(reinterpret_cast<const void *>(kernel), name, stream);
    Launch it{name,
              grid,
              block,
              shared,
              allowed_shared(reinterpret_cast<const void *>(kernel)),
              [kernel, values] { std::apply(kernel, values); }};
    References found;
    std::apply([&](const auto &...value) { (find_references(found, &value, sizeof value), ...); },
               values);
    submit(
        stream, [it] { execute(it); }, name, std::move(found));
}

template <typename T> uint64_t pack(T value) {
    static_assert(sizeof(T) <= 8, "a warp function moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}
template <typename T> T unpack(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

} // namespace simt

#define NL_LAUNCH(kernel, grid, block, shared, stream, ...)                                        \
    simt::launch(#kernel, kernel, grid, block, shared, static_cast<cudaStream_t>(stream),          \
                 __VA_ARGS__)
#define NL_SHARED(type, name, count)                                                               \
    alignas(16) static type name[count];                                                           \
    static simt::Shared name##_shared{name, sizeof name};                                          \
    name##_shared.enter()
#define NL_SHARED_DYNAMIC(type, name) type *const name = static_cast<type *>(simt::dynamic_shared())

template <typename... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute, int bytes) {
    const cudaError_t error = simt::fails("cudaFuncSetAttribute");
    if (error) return error;
    return simt::kept(simt::allow_shared(reinterpret_cast<const void *>(kernel), bytes));
}

// --- functions of the device; where they were called is part of the check ---

#define SIMT_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(SIMT_HERE) {
    simt::meet(simt::Op::barrier, 0, 0, 0, file, line);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_HERE) {
    simt::meet(simt::Op::syncwarp, mask, 0, 0, file, line);
}
template <typename T> T __shfl_sync(unsigned mask, T v, int lane, SIMT_HERE) {
    return simt::unpack<T>(simt::meet(simt::Op::shfl, mask, simt::pack(v), lane, file, line));
}
template <typename T> T __shfl_up_sync(unsigned mask, T v, int delta, SIMT_HERE) {
    return simt::unpack<T>(simt::meet(simt::Op::shfl_up, mask, simt::pack(v), delta, file, line));
}
template <typename T> T __shfl_down_sync(unsigned mask, T v, int delta, SIMT_HERE) {
    return simt::unpack<T>(simt::meet(simt::Op::shfl_down, mask, simt::pack(v), delta, file, line));
}
template <typename T> T __shfl_xor_sync(unsigned mask, T v, int bits, SIMT_HERE) {
    return simt::unpack<T>(simt::meet(simt::Op::shfl_xor, mask, simt::pack(v), bits, file, line));
}
inline unsigned __ballot_sync(unsigned mask, bool vote, SIMT_HERE) {
    return static_cast<unsigned>(simt::meet(simt::Op::ballot, mask, vote, 0, file, line));
}

/* Blocks run one after another, so the memory model cannot be broken here. */
inline void __threadfence() {
}
template <typename T> T __ldcg(const T *p) {
    return *p;
}
template <typename T> T __ldg(const T *p) {
    simt::want_global(p, "__ldg");
    return *p;
}
inline unsigned atomicInc(unsigned *p, unsigned limit) {
    const unsigned old = *p;
    *p = old >= limit ? 0 : old + 1;
    return old;
}

using std::isfinite;

inline int min(int a, int b) {
    return a < b ? a : b;
}
inline int max(int a, int b) {
    return a > b ? a : b;
}
