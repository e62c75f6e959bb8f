/* See broken.h. Each kernel is as small as its fault allows. */
#include "broken.h"

#include "reduce.cuh" // what the kernels sum with; with it the executor

namespace {

constexpr int kCount = BROKEN_THREADS;

enum class Fault {
    none,
    no_barrier,
    unwritten,
    divergent,
    barrier_and_warp,
    missing_lane,
    wrong_mask,
    other_mask,
    outsider,
    other_function,
    past_shared
};

template <Fault fault> __global__ void reverse(float *out, const float *in) {
    NL_SHARED(float, tile, kCount);
    const unsigned i = threadIdx.x;
    if (fault != Fault::unwritten || i != 5) tile[fault == Fault::past_shared ? i + 1 : i] = in[i];
    if (fault == Fault::divergent && i < 32) {
        __syncthreads();
    } else if (fault != Fault::no_barrier) {
        __syncthreads();
    }
    out[i] = tile[kCount - 1 - i];
}

__global__ void neighbours(float *out, const float *in) {
    NL_SHARED(float, tile, kCount);
    tile[threadIdx.x] = in[threadIdx.x];
    out[threadIdx.x] = tile[threadIdx.x ^ 1u];
}

__global__ void dynamic(float *out, const float *in, int first, int shift) {
    NL_SHARED_DYNAMIC(float, tile);
    const int i = static_cast<int>(threadIdx.x);
    if (i >= first) tile[i + shift] = in[i];
    __syncthreads();
    out[i] = tile[kCount - 1 - i];
}

__global__ void constants(float *out, const float *in, int shared) {
    NL_SHARED(float, tile, kCount);
    const int i = static_cast<int>(threadIdx.x);
    tile[i] = in[i];
    __syncthreads();
    out[i] = __ldg((shared ? tile : in) + i);
}

template <Fault fault> __global__ void warps(float *out, const float *in) {
    const unsigned i = threadIdx.x, lane = i % 32;
    unsigned mask = kAllLanes;
    if (fault == Fault::missing_lane && lane == 7) return;
    if (fault == Fault::barrier_and_warp && lane < 16) __syncthreads();
    if (fault == Fault::wrong_mask && lane == 3) mask = kAllLanes & ~8u;
    if (fault == Fault::other_mask && lane == 3) mask = 15u;
    if (fault == Fault::outsider) mask = lane < 16 ? 0xffffu : 0xffff0000u;
    float v = in[i];
    if (fault == Fault::other_function && lane == 3) {
        out[i] = static_cast<float>(__ballot_sync(mask, true));
        return;
    }
    for (int bit = 16; bit > 0; bit /= 2) v += __shfl_xor_sync(mask, v, bit);
    out[i] = v;
}

/* A block a warp; the last to finish adds what the others left. */
__global__ void sum_of_blocks(float *out, float *partial, unsigned *counter, const float *in) {
    NL_SHARED(bool, last, 1);
    float v = in[blockIdx.x * 32 + threadIdx.x];
    for (int delta = 16; delta > 0; delta /= 2) v += __shfl_down_sync(kAllLanes, v, delta);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = v;
        __threadfence();
        last[0] = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0]) return;
    const float sum = __ldcg(partial) + __ldcg(partial + 1);
    out[threadIdx.x] = out[threadIdx.x + 32] = sum;
}

/* Sums one right after the other, through the same shared array. */
__global__ void sums_in_a_row(float *out, const float *in) {
    Sums<float, 1> a, b;
    a.v[0] = in[threadIdx.x];
    block_sum(a);
    b.v[0] = a.v[0] + in[threadIdx.x];
    block_sum(b);
    out[threadIdx.x] = b.v[0] - kCount * a.v[0];
}

__global__ void past_end(float *out, const float *in) {
    out[threadIdx.x + 1] = in[threadIdx.x];
}

__global__ void same_place(float *out, const float *in) {
    out[threadIdx.x] = in[threadIdx.x] + static_cast<float>(blockIdx.x);
}

__global__ void next_number(float *out, unsigned *counter) {
    out[threadIdx.x] = static_cast<float>(atomicInc(counter, 1000));
}

__global__ void large_shared(float *out) {
    NL_SHARED(float, full, 48 * 256);
    NL_SHARED(float, more, 1);
    out[threadIdx.x] = full[threadIdx.x] + more[0];
}

} // namespace

#define REVERSE(name, fault)                                                                       \
    void name(float *out, const float *in) {                                                       \
        NL_LAUNCH(reverse<fault>, 1, kCount, 0, nullptr, out, in);                                 \
    }
#define WARPS(name, fault)                                                                         \
    void name(float *out, const float *in) {                                                       \
        NL_LAUNCH(warps<fault>, 1, kCount, 0, nullptr, out, in);                                   \
    }

REVERSE(sound_reverse, Fault::none)
REVERSE(missing_barrier, Fault::no_barrier)
REVERSE(uninitialised, Fault::unwritten)
REVERSE(divergent_barrier, Fault::divergent)
REVERSE(past_shared, Fault::past_shared)
WARPS(barrier_and_warp, Fault::barrier_and_warp)
WARPS(missing_lane, Fault::missing_lane)
WARPS(wrong_mask, Fault::wrong_mask)
WARPS(other_mask, Fault::other_mask)
WARPS(reads_outsider, Fault::outsider)
WARPS(other_function, Fault::other_function)

void sound_sum(float *out, const float *in) {
    static unsigned counter;
    static float partial[2];
    NL_LAUNCH(sum_of_blocks, 2, 32, 0, nullptr, out, partial, &counter, in);
}
void sound_sums(float *out, const float *in) {
    NL_LAUNCH(sums_in_a_row, 1, kCount, 0, nullptr, out, in);
}
void missing_syncwarp(float *out, const float *in) {
    NL_LAUNCH(neighbours, 1, kCount, 0, nullptr, out, in);
}
void dynamic_unwritten(float *out, const float *in) {
    NL_LAUNCH(dynamic, 1, kCount, kCount * sizeof(float), nullptr, out, in, 1, 0);
}
void ldg_of_shared(float *out, const float *in) {
    NL_LAUNCH(constants, 1, kCount, 0, nullptr, out, in, 1);
}
void past_dynamic(float *out, const float *in) {
    NL_LAUNCH(dynamic, 1, kCount, kCount * sizeof(float), nullptr, out, in, 0, 1);
}
void past_global(float *out, const float *in) {
    NL_LAUNCH(past_end, 1, kCount, 0, nullptr, out, in);
}
void past_odd_global(float *, const float *in) {
    void *memory; // of a size that is no multiple of anything
    cudaMalloc(&memory, (kCount + 1) * sizeof(float) - 1);
    NL_LAUNCH(past_end, 1, kCount, 0, nullptr, static_cast<float *>(memory), in);
}
void race_of_blocks(float *out, const float *in) {
    NL_LAUNCH(same_place, 2, kCount, 0, nullptr, out, in);
}
void too_many_threads(float *out, const float *in) {
    NL_LAUNCH(past_end, 1, 1056, 0, nullptr, out, in);
}
void too_many_blocks(float *out, const float *in) {
    NL_LAUNCH(past_end, dim3(1, 65536), kCount, 0, nullptr, out, in);
}
void nothing_to_do(float *out, const float *in) {
    NL_LAUNCH(past_end, 0, kCount, 0, nullptr, out, in);
}
void too_much_shared(float *out, const float *) {
    NL_LAUNCH(large_shared, 1, kCount, 0, nullptr, out);
}
void counts_down(float *out, const float *) {
    static unsigned counter;
    NL_LAUNCH(next_number, 1, kCount, 0, nullptr, out, &counter);
}
void waits_in_capture(float *, const float *) {
    cudaStream_t stream;
    void *memory;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    cudaMalloc(&memory, 64);
}
void captured_unloaded(float *out, const float *in) {
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    NL_LAUNCH(reverse<Fault::none>, 1, kCount, 0, stream, out, in);
}
void outside_of_capture(float *out, const float *in) {
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    sound_reverse(out, in);
}
