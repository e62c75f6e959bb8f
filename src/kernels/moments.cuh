/* Mean and variance of a set, without cancellation.
 *
 * A block takes a part of the set in two passes (the second finds it in the cache). With the part's
 * first value x0, so that constant data give exactly x0, and d = x - m,
 *
 *     m    = x0 + mean(x - x0)
 *     mean = m + sum d / n
 *     M2   = sum d^2 - (sum d)^2 / n
 *
 * where the sum of d only repairs m's rounding. The parts of a set are combined in double (Chan,
 * Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979,
 * equation 2.1):
 *
 *     delta = mean_b - mean_a
 *     mean  = mean_a + delta n_b / n
 *     M2    = M2_a + M2_b + delta^2 n_a n_b / n
 *
 * E[x^2] - mean^2 would lose every digit at mean 1000 and deviation 1.
 */
#pragma once

#include "reduce.cuh" // block_sum
#include "stage.cuh"  // Stage

namespace {

struct Part {
    double mean, m2, count;
};

/* Part of a set: units of V values, counted through its planes. */
template <int V> __device__ Pack<V> set_load(const Stage &t, int set, int unit) {
    const int row_units = t.hw / V, row = unit / row_units;
    const int plane = plane_of(t, set, row);
    Pack<V> x = load<V>(t.z + plane * t.hw + (unit - row * row_units) * V);
    const float bias = bias_of(t, plane % t.shape.c);
    for (int i = 0; i < V; i++) x.v[i] += bias;
    return x;
}

/* Every thread of the block gets the part's moments. */
template <int V> __device__ Part block_moments(const Stage &t, int set, Range r) {
    const double count = static_cast<double>(r.end - r.begin) * V;
    if (r.begin == r.end) return {0, 0, 0};
    const int first = r.begin + static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    const float x0 = set_load<V>(t, set, r.begin).v[0];
    Sums<float, 1> shift;
    for (int i = first; i < r.end; i += step) {
        const Pack<V> x = set_load<V>(t, set, i);
        for (int j = 0; j < V; j++) shift.v[0] += x.v[j] - x0;
    }
    block_sum(shift);
    const float m = x0 + shift.v[0] / static_cast<float>(count);
    Sums<float, 2> s;
    for (int i = first; i < r.end; i += step) {
        const Pack<V> x = set_load<V>(t, set, i);
        for (int j = 0; j < V; j++) {
            const float d = x.v[j] - m;
            s.v[0] += d;
            s.v[1] += d * d;
        }
    }
    block_sum(s);
    const double lost = s.v[0], m2 = s.v[1] - lost * lost / count;
    return {m + lost / count, m2 < 0 ? 0 : m2, count};
}

/* Lane i holds part i of a set, lanes without one a count of 0; every lane gets the whole. */
__device__ inline Part combine(Part a) {
    for (int delta = kWarp / 2; delta > 0; delta /= 2) {
        const Part b = {__shfl_down_sync(kAllLanes, a.mean, delta),
                        __shfl_down_sync(kAllLanes, a.m2, delta),
                        __shfl_down_sync(kAllLanes, a.count, delta)};
        if (lane_id() + delta >= kWarp || b.count == 0) continue;
        const double n = a.count + b.count, d = b.mean - a.mean;
        a = {a.mean + d * (b.count / n), a.m2 + b.m2 + d * d * (a.count * b.count / n), n};
    }
    return {__shfl_sync(kAllLanes, a.mean, 0), __shfl_sync(kAllLanes, a.m2, 0),
            __shfl_sync(kAllLanes, a.count, 0)};
}

/* The parts that an earlier launch left, one block each. */
__device__ inline Part combined(const Part *parts, int count) {
    Part mine = {0, 0, 0};
    if (lane_id() < count) mine = parts[lane_id()];
    return combine(mine);
}

__device__ inline nl_k_moments moments_of(const Part &p, float eps, bool centres) {
    nl_k_moments m = {};
    if (centres) {
        m.mean = static_cast<float>(p.mean);
        m.rest = static_cast<float>(p.mean - m.mean);
        m.var = static_cast<float>(p.m2 / p.count);
    } else {
        m.var = static_cast<float>(p.m2 / p.count + p.mean * p.mean); // about zero: mean(x^2)
    }
    m.rstd = 1.0f / sqrtf(m.var + eps) + 0.0f * m.var; // NaN, not 0, for a variance past all floats
    return m;
}

/* Where a launch leaves the parts of all sets for the next one. */
__device__ inline Part *left_parts(const Stage &t) {
    return static_cast<Part *>(t.scratch);
}

/* One part of one set a block. */
template <int V>
__global__ __launch_bounds__(kThreads, 1) void moments_parts(const Stage t, int parts) {
    const int set = static_cast<int>(blockIdx.x) / parts,
              part = static_cast<int>(blockIdx.x) % parts;
    const Part p = block_moments<V>(t, set, part_of(t.planes * (t.hw / V), parts, part));
    if (threadIdx.x == 0) left_parts(t)[blockIdx.x] = p;
}

} // namespace
