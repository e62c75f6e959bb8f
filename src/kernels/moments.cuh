/* Mean and variance of a set, without cancellation.
 *
 * A block takes a part of the set in two passes (the second finds it in registers, or in the
 * cache). With the part's first value x0, so that constant data give exactly x0, and d = x - m,
 *
 *     m    = x0 + mean(x - x0)
 *     mean = m + sum d / n
 *     M2   = sum d^2 - (sum d)^2 / n
 *
 * where the sum of d only repairs m's rounding. A mean is kept in two floats, m and what it lacks.
 * The parts of a set are combined about the first part's mean m0 (Chan, Golub, LeVeque, Updating
 * formulae and a pairwise algorithm for computing sample variances, 1979):
 *
 *     ahead_i = mean_i - m0
 *     delta   = sum n_i ahead_i / n
 *     mean    = m0 + delta
 *     M2      = sum M2_i + n_i (ahead_i - delta)^2
 *
 * Means lie closer together than the values do, so that the differences are exact but for the last
 * digit, and all terms of M2 are positive: floats are enough. E[x^2] - mean^2 would lose every
 * digit at mean 1000 and deviation 1.
 */
#pragma once

#include "reduce.cuh" // block_sum
#include "stage.cuh"  // Stage

namespace {

/* The mean is mean + rest. */
struct alignas(16) Part {
    float mean, rest, m2, count;
};

constexpr int kMomentPacks = 4; // of a thread, loaded at a time

/* V values of a set, counted through its planes; first_bias: of its first channel. */
template <Sets S, int V>
__device__ Pack<V> set_load(const Stage &t, Plane first, float first_bias, int unit) {
    const int row = nl_divide(unit, t.by_row);
    Pack<V> x = load<V>(t.z + place_of<S>(t, first, unit * V, row));
    const float bias = S == Sets::channels ? first_bias : __ldg(t.bias + first.channel + row);
    for (int i = 0; i < V; i++) x.v[i] += bias;
    return x;
}

/* Every thread of the block gets the part's moments. */
template <Sets S, int V> __device__ Part block_moments(const Stage &t, int set, Range r) {
    if (r.begin == r.end) return {0, 0, 0, 0};
    const Plane first = first_plane<S>(t, set);
    const float bias = bias_of(t, first.channel);
    const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    const bool kept = r.end - r.begin <= kMomentPacks * step;
    const float count = static_cast<float>((r.end - r.begin) * V);
    const float x0 = set_load<S, V>(t, first, bias, r.begin).v[0];
    Pack<V> x[kMomentPacks] = {};
    const auto read = [&](int i) {
#pragma unroll
        for (int u = 0; u < kMomentPacks; u++)
            if (i + u * step < r.end) x[u] = set_load<S, V>(t, first, bias, i + u * step);
    };
    Sums<float, 1> shift;
    for (int i = r.begin + thread; i < r.end; i += kMomentPacks * step) {
        read(i);
#pragma unroll
        for (int u = 0; u < kMomentPacks; u++) {
            if (i + u * step >= r.end) continue;
            for (int j = 0; j < V; j++) shift.v[0] += x[u].v[j] - x0;
        }
    }
    block_sum(shift);
    const float m = x0 + shift.v[0] / count;
    Sums<float, 2> s;
    for (int i = r.begin + thread; i < r.end; i += kMomentPacks * step) {
        if (!kept) read(i);
#pragma unroll
        for (int u = 0; u < kMomentPacks; u++) {
            if (i + u * step >= r.end) continue;
            for (int j = 0; j < V; j++) {
                const float d = x[u].v[j] - m;
                s.v[0] += d;
                s.v[1] += d * d;
            }
        }
    }
    block_sum(s);
    const float lost = s.v[0], m2 = s.v[1] - lost * lost / count;
    return {m, lost / count, m2 < 0 ? 0 : m2, count};
}

/* The parts that an earlier launch left, one block each, of `count` values together: each lane
 * takes one, and every lane gets the whole. */
__device__ inline Part combined(const Part *parts, int number, float count) {
    const Part first = parts[0];
    Part mine = {0, 0, 0, 0};
    if (lane_id() < number) mine = parts[lane_id()];
    const float ahead =
        mine.count == 0 ? 0.0f : (mine.mean - first.mean) + (mine.rest - first.rest);
    Sums<float, 1> s;
    s.v[0] = mine.count * ahead;
    warp_sum(s);
    const float delta = s.v[0] / count, off = ahead - delta;
    s.v[0] = mine.m2 + mine.count * (off * off);
    warp_sum(s);
    return {first.mean, first.rest + delta, s.v[0], count};
}

__device__ inline nl_k_moments moments_of(const Part &p, float eps, bool centres) {
    nl_k_moments m = {};
    Twofold mean = {p.mean, 0};
    mean += p.rest;
    m.var = p.m2 / p.count;
    if (centres) {
        m.mean = mean.hi;
        m.rest = mean.lo;
    } else {
        m.var += mean.hi * mean.hi; // about zero: mean(x^2)
    }
    m.rstd = 1.0f / sqrtf(m.var + eps) + 0.0f * m.var; // NaN, not 0, for a variance past all floats
    return m;
}

/* Where a launch leaves the parts of all sets for the next one. */
__device__ inline Part *left_parts(const Stage &t) {
    return static_cast<Part *>(t.scratch);
}

/* One part of one set a block. */
template <Sets S, int V>
__global__ __launch_bounds__(kThreads, 1) void moments_parts(const Stage t, Split s) {
    const Part p = block_moments<S, V>(t, this_set(), part_of(s, this_part()));
    if (threadIdx.x == 0) left_parts(t)[this_set() * s.parts + this_part()] = p;
}

} // namespace
