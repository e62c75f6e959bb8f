/* Sums over a warp, over a block, and over blocks, each in an order that depends on the launch
 * alone.
 *
 * Within a warp: a butterfly, after which every lane holds the same bits. Within a block: the
 * warps' sums through shared memory, then a butterfly again. Over the blocks of one launch: each
 * leaves its part in global memory and takes a number; who takes the last number adds all parts, in
 * the order of the blocks, whatever the order in which they came. __threadfence puts a block's part
 * into memory before its number; the parts are read past the first-level cache (__ldcg), which
 * other blocks' writes do not reach.
 */
#pragma once

#include "launch.cuh" // kWarp, NL_SHARED

namespace {

__device__ inline int lane_id() {
    return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ inline int warp_id() {
    return static_cast<int>(threadIdx.x) / kWarp;
}
__device__ inline int warps() {
    return static_cast<int>(blockDim.x) / kWarp;
}

/* A sum of floats with about twice their digits, hi + lo: lo gathers what each addition to hi lost
 * (Knuth, The Art of Computer Programming 2, 4.2.2, theorem B). Many devices are slow at double. */
struct Twofold {
    float hi, lo;

    __device__ Twofold &operator+=(const Twofold &o) {
        const float sum = hi + o.hi, added = sum - hi;
        lo = (lo + o.lo) + ((hi - (sum - added)) + (o.hi - added));
        hi = sum;
        return *this;
    }
    __device__ Twofold &operator+=(float v) {
        return *this += Twofold{v, 0};
    }
    /* Past all floats hi alone tells: infinite, or NaN. */
    __device__ float rounded() const {
        return lo == lo ? hi + lo : hi;
    }
    __device__ double wide() const {
        return lo == lo ? static_cast<double>(hi) + static_cast<double>(lo) : hi;
    }
};

/* What another block of this launch left. */
__device__ inline Twofold left_by(const Twofold *p) {
    return {__ldcg(&p->hi), __ldcg(&p->lo)};
}

template <typename T> __device__ T from_lane(T v, int bits) {
    return __shfl_xor_sync(kAllLanes, v, bits);
}
__device__ inline Twofold from_lane(Twofold v, int bits) {
    return {__shfl_xor_sync(kAllLanes, v.hi, bits), __shfl_xor_sync(kAllLanes, v.lo, bits)};
}

/* N sums that are taken together. */
template <typename T, int N> struct Sums {
    T v[N] = {};
};

template <typename T, int N> __device__ void warp_sum(Sums<T, N> &s) {
    for (int bit = kWarp / 2; bit > 0; bit /= 2) {
        for (int i = 0; i < N; i++) s.v[i] += from_lane(s.v[i], bit);
    }
}

/* Every thread of the block calls it and gets the sums. */
template <typename T, int N> __device__ void block_sum(Sums<T, N> &s) {
    NL_SHARED(T, slots, kWarp * N);
    warp_sum(s);
    if (lane_id() == 0) {
        for (int i = 0; i < N; i++) slots[warp_id() * N + i] = s.v[i];
    }
    __syncthreads();
    for (int i = 0; i < N; i++) s.v[i] = lane_id() < warps() ? slots[lane_id() * N + i] : T{};
    warp_sum(s);
    __syncthreads(); // slots are free again
}

/* Every thread of the block calls it, after writing the block's part. True in the last of `blocks`
 * blocks to come; the counter is zero again by then. */
__device__ inline bool last_to_come(unsigned *counter, int blocks) {
    NL_SHARED(int, last, 1);
    const unsigned highest = static_cast<unsigned>(blocks) - 1;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last[0] = atomicInc(counter, highest) == highest;
    __syncthreads();
    __threadfence();
    return last[0] != 0;
}

} // namespace
