/* The way forward through a stage, for every norm: y from z and the moments of its set. A block
 * owns a part of a set, or the whole set where it is small; then it takes the moments itself.
 */
#pragma once

#include "moments.cuh" // block_moments
#include "window.cuh"  // Quad

namespace {

enum class Source {
    own,     // the block owns its set and takes the moments
    parts,   // an earlier launch left them in parts
    running, // evaluation of batch norm: the running values of the channel
    none     // no norm
};

struct Forward {
    Source source;
    int moment_parts, parts; /* blocks a set, of the launch before and here */
};

template <int V>
__device__ nl_k_moments set_moments(const Forward &f, const Stage &t, int set, int part) {
    if (f.source == Source::none) return {0.0f, 0.0f, 1.0f, 1.0f};
    if (f.source == Source::running) {
        const float var = t.running_var[set];
        return {t.running_mean[set], 0.0f, 1.0f / sqrtf(var + t.eps), var};
    }
    const Part p = f.source == Source::own
                       ? block_moments<V>(t, set, {0, t.planes * (t.hw / V)})
                       : combined(left_parts(t) + set * f.moment_parts, f.moment_parts);
    const nl_k_moments m = moments_of(p, t.eps, t.centres != 0);
    if (part == 0 && threadIdx.x == 0) {
        t.saved[set] = m;
        if (t.fresh_mean) t.fresh_mean[set] = m.mean;
        if (t.fresh_var) t.fresh_var[set] = static_cast<float>(p.m2 / (p.count - 1));
    }
    return m;
}

template <int K, int V>
__device__ void forward_unit(const Stage &t, const Affine &a, int plane, int unit) {
    const float *z = t.z + plane * t.hw;
    if constexpr (K == 0) {
        Pack<V> x = load<V>(z + unit * V);
        for (int i = 0; i < V; i++) x.v[i] = activated(t, a, x.v[i]);
        store(t.y + plane * t.hw + unit * V, x);
    } else {
        const Quad q = quad_of(t, plane, unit);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (j < q.first || j >= q.last) continue;
            const Winner best = winner_of<K>(t, a, z, window_at<K>(t, q.output + j));
            t.y[plane * t.outputs + q.output + j] = dropped(q, j, best.y);
        }
    }
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void forward(const Forward f, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / f.parts,
              part = static_cast<int>(blockIdx.x) % f.parts;
    const nl_k_moments m = set_moments<V>(f, t, set, part);
    const Range r = part_of(t.planes * t.units, f.parts, part);
    for (int i = r.begin + static_cast<int>(threadIdx.x); i < r.end;
         i += static_cast<int>(blockDim.x)) {
        const int row = i / t.units, plane = plane_of(t, set, row);
        forward_unit<K, V>(t, affine_of(t, m, plane % t.shape.c), plane, i - row * t.units);
    }
}

// --- host side ---

inline bool owns_set(const Stage &t) {
    return static_cast<int64_t>(t.planes) * t.hw <= kOwnSet;
}

struct LaunchForward {
    Stage t;
    Source source;
    void *stream;

    template <int K, int V> int run() const {
        Forward g = {source, 0, 0};
        int threads = kThreads;
        g.parts = parts_for(t.planes * t.units, K == 0 ? 4 : 1);
        if (g.source == Source::parts && owns_set(t)) {
            g.source = Source::own;
            g.parts = 1;
            threads = threads_for(t.planes * (t.hw / V));
        } else if (g.source == Source::parts) {
            g.moment_parts = parts_for(t.planes * (t.hw / V), 4);
            NL_LAUNCH((moments_parts<V>), t.sets * g.moment_parts, kThreads, 0, stream, t,
                      g.moment_parts);
        }
        NL_LAUNCH((forward<K, V>), t.sets * g.parts, threads, 0, stream, g, t);
        return launched();
    }
};

} // namespace
