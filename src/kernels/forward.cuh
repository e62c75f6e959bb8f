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
    Split units;      /* of a set, here */
    int moment_parts; /* blocks a set, of the launch before */
    float count;      /* values of a set */
};

template <Sets S, int V>
__device__ nl_k_moments set_moments(const Forward &f, const Stage &t, int set) {
    if (f.source == Source::none) return {0.0f, 0.0f, 1.0f, 1.0f};
    if (f.source == Source::running) {
        const float var = t.running_var[set];
        return {t.running_mean[set], 0.0f, 1.0f / sqrtf(var + t.eps), var};
    }
    const Part p = f.source == Source::own
                       ? block_moments<S, V>(t, set, {0, t.planes * (t.hw / V)})
                       : combined(left_parts(t) + set * f.moment_parts, f.moment_parts, f.count);
    const nl_k_moments m = moments_of(p, t.eps, t.centres != 0);
    if (this_part() == 0 && threadIdx.x == 0) {
        t.saved[set] = m;
        if (t.fresh_mean) t.fresh_mean[set] = m.mean;
        if (t.fresh_var) t.fresh_var[set] = p.m2 / (p.count - 1);
    }
    return m;
}

template <int K, int V>
__device__ void forward_windows(const Stage &t, const Affine &a, Plane plane, int unit) {
    const Quad q = quad_of<Mask::drawn>(t, plane, unit);
    float *out = t.y + plane.at * t.outputs;
    for_windows<K, V>(t, a, t.z + plane.at * t.hw, nullptr, q,
                      [&](const auto &w, int element, int output) {
                          Pack<kAbreast<V>> y;
                          for (int j = 0; j < kAbreast<V>; j++) {
                              const float largest = rectified(t, winner_of(a, w, j).y);
                              y.v[j] = dropped(t, q, element + j, largest);
                          }
                          store(out + output, y);
                      });
}

template <Sets S, int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void forward(const Forward f, const Stage t) {
    const nl_k_moments m = set_moments<S, V>(f, t, this_set());
    const Plane first = first_plane<S>(t, this_set());
    const Affines<S> affines(t, m, first);
    const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    const Range r = part_of(f.units, this_part());
    if constexpr (K == 0) {
        for_units<4>(
            r, thread, step, [&](int i) { return load_unit<S, V>(t, affines, first, i); },
            [&](const Unit<V> &unit) {
                Pack<V> y;
                for (int j = 0; j < V; j++)
                    y.v[j] = rectified(t, scaled(unit.a, centred(unit.a, unit.z.v[j])));
                store(t.y + unit.at, y);
            });
    } else {
        for (int i = r.begin + thread; i < r.end; i += step) {
            const int row = nl_divide(i, t.by_units);
            const Plane plane = plane_of<S>(t, first, row);
            forward_windows<K, V>(t, affines.of(plane.channel), plane, i - row * t.units);
        }
    }
}

// --- host side ---

inline bool owns_set(const Stage &t) {
    return static_cast<int64_t>(t.planes) * t.hw <= kOwnSet;
}

template <Sets S> struct LaunchForward {
    Stage t;
    Source source;
    void *stream;

    template <int K, int V> int run() const {
        const int units = t.planes * t.units, packs = t.planes * (t.hw / V);
        Forward f = {source, split(units, parts_for(units, K == 0 ? 4 : 1)), 0,
                     static_cast<float>(t.planes * t.hw)};
        int threads = kThreads;
        if (source == Source::parts && owns_set(t)) {
            f.source = Source::own;
            f.units = split(units, 1);
            threads = threads_for(packs);
        } else if (source == Source::parts) {
            const Split s = split(packs, parts_for(packs, 4));
            f.moment_parts = s.parts;
            NL_LAUNCH((moments_parts<S, V>), grid_of(t.sets, s), kThreads, 0, stream, t, s);
        }
        NL_LAUNCH((forward<S, K, V>), grid_of(t.sets, f.units), threads, 0, stream, f, t);
        return launched();
    }
};

} // namespace
