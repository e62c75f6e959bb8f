/* The way back through a stage, unit by unit: dy comes through dropout, pool and ReLU to g, the
 * gradient at the norm's output. With d = x - mean, the norm's gradient is
 *
 *     dz = rstd (gamma g - A - xhat B)
 *        = scale g - p - d q
 *
 *     A     = mean(gamma g) over the set
 *     B     = mean(gamma g xhat) over the set
 *     scale = rstd gamma
 *     p     = rstd A
 *     q     = rstd^2 B
 *
 * So a first pass sums g and g d over
 * each plane (or set), and a second writes dz. Under a pool one value of each window has a g other
 * than 0: its winner.
 */
#pragma once

#include "reduce.cuh" // Sums
#include "window.cuh" // Quad

namespace {

struct Slope {
    float p, q;
};

/* What comes through the ReLU at y. */
__device__ inline float masked(const Stage &t, float y, float dy) {
    return y <= t.floor ? 0.0f : dy;
}

/* A unit without a pool, and the gradient of its outputs. */
template <int V> struct UnitBack : Unit<V> { Pack<V> dy; };
template <Sets S, int V>
__device__ UnitBack<V> load_back(const Stage &t, const Affines<S> &affines, Plane first, int unit) {
    const Unit<V> u = load_unit<S, V>(t, affines, first, unit);
    return {u, load<V>(t.dy + u.at)};
}

constexpr int kBackUnits = 2; // of a thread, loaded at a time

/* g of the winner of element j's window. */
__device__ inline float window_gradient(const Stage &t, const Winner &best, const Quad &q, int j,
                                        float dy) {
    return masked(t, best.y, dropped(t, q, j, dy));
}

template <int K, int V, int N>
__device__ void window_sums(Sums<float, N> &s, const Stage &t, const Affine &a, Plane plane,
                            int unit) {
    const Quad q = quad_of<Mask::left>(t, plane, unit);
    for_windows<K, V>(t, a, t.z + plane.at * t.hw, t.dy + plane.at * t.outputs, q,
                      [&](const auto &w, int element, int) {
                          for (int j = 0; j < kAbreast<V>; j++) {
                              const Winner best = winner_of(a, w, j);
                              const float g = window_gradient(t, best, q, element + j, w.dy.v[j]);
                              s.v[0] += g;
                              s.v[1] += g * best.d;
                              if constexpr (N == 3) s.v[2] += window_total(a, w, j);
                          }
                      });
}

/* sums += g, g d, and d where N is 3, of this thread's units of a range: of a channel, or of a
 * plane, whose first row is the only one. */
template <int K, int V, int N>
__device__ void range_sums(Sums<float, N> &s, const Stage &t, nl_k_moments m, Plane first, Range r,
                           int thread, int step) {
    const Affines<Sets::channels> affines(t, m, first);
    if constexpr (K == 0) {
        for_units<kBackUnits>(
            r, thread, step,
            [&](int i) { return load_back<Sets::channels, V>(t, affines, first, i); },
            [&](const UnitBack<V> &u) {
                for (int j = 0; j < V; j++) {
                    const float d = centred(u.a, u.z.v[j]);
                    const float g = masked(t, scaled(u.a, d), u.dy.v[j]);
                    s.v[0] += g;
                    s.v[1] += g * d;
                    if constexpr (N == 3) s.v[2] += d;
                }
            });
    } else {
        for (int i = r.begin + thread; i < r.end; i += step) {
            const int row = nl_divide(i, t.by_units);
            const Plane plane = plane_of<Sets::channels>(t, first, row);
            window_sums<K, V>(s, t, affines.first, plane, i - row * t.units);
        }
    }
}

/* NORM false: there is no norm, and dz is g itself (never 0 times an infinite d). */
template <bool NORM> __device__ float slope(const Affine &a, Slope s, float d, float g) {
    return NORM ? a.scale * g - s.p - d * s.q : g;
}

/* dz of one unit, and the sum of its g. */
template <int V, bool NORM>
__device__ float unit_dz(const Stage &t, Slope s, const UnitBack<V> &u) {
    float sum = 0;
    Pack<V> dz;
    for (int j = 0; j < V; j++) {
        const float d = centred(u.a, u.z.v[j]), g = masked(t, scaled(u.a, d), u.dy.v[j]);
        sum += g;
        dz.v[j] = slope<NORM>(u.a, s, d, g);
    }
    store(t.dz + u.at, dz);
    return sum;
}

template <int K, int V, bool NORM>
__device__ float window_dz(const Stage &t, const Affine &a, Slope s, Plane plane, int unit) {
    const Quad q = quad_of<Mask::left>(t, plane, unit);
    float *out = t.dz + plane.at * t.hw, sum = 0;
    for_windows<K, V>(t, a, t.z + plane.at * t.hw, t.dy + plane.at * t.outputs, q,
                      [&](auto &w, int element, int) {
                          for (int j = 0; j < kAbreast<V>; j++) {
                              const Winner best = winner_of(a, w, j);
                              const float g = window_gradient(t, best, q, element + j, w.dy.v[j]);
                              sum += g;
                              w.replace(out, a, j, [&](int at, float d) {
                                  return slope<NORM>(a, s, d, at == best.at ? g : 0.0f);
                              });
                          }
                          w.write(t, out);
                      });
    return sum;
}

/* What no window covers has no g. */
template <Sets S, bool NORM>
__device__ void edge_dz(const Stage &t, const Affines<S> &affines, Slope s, Plane first, Range r,
                        int thread, int step) {
    for (int i = r.begin + thread; i < r.end; i += step) {
        const int row = nl_divide(i, t.by_edge);
        const Plane plane = plane_of<S>(t, first, row);
        const int at = plane.at * t.hw + edge_at(t, i - row * t.edge);
        const Affine a = affines.of(plane.channel);
        t.dz[at] = slope<NORM>(a, s, centred(a, __ldg(t.z + at)), 0.0f);
    }
}

/* Of a set: its units, and what no window covers, in as many parts. */
struct Parts {
    Split units, edges;
};

/* dz of one part of a set, and the sum of its g for this thread. */
template <Sets S, int K, int V, bool NORM>
__device__ float part_dz(const Stage &t, nl_k_moments m, float A, float B, const Parts &p) {
    const Slope s = {m.rstd * A, m.rstd * m.rstd * B};
    const int thread = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    const Plane first = first_plane<S>(t, this_set());
    const Affines<S> affines(t, m, first);
    const Range r = part_of(p.units, this_part());
    float sum = 0;
    if constexpr (K == 0) {
        for_units<kBackUnits>(
            r, thread, step, [&](int i) { return load_back<S, V>(t, affines, first, i); },
            [&](const UnitBack<V> &u) { sum += unit_dz<V, NORM>(t, s, u); });
    } else {
        for (int i = r.begin + thread; i < r.end; i += step) {
            const int row = nl_divide(i, t.by_units);
            const Plane plane = plane_of<S>(t, first, row);
            const Affine a = affines.of(plane.channel);
            sum += window_dz<K, V, NORM>(t, a, s, plane, i - row * t.units);
        }
        edge_dz<S, NORM>(t, affines, s, first, part_of(p.edges, this_part()), thread, step);
    }
    return sum;
}

// --- host side ---

inline Parts parts_of(const Stage &t, int parts) {
    return {split(t.planes * t.units, parts), split(t.planes * t.edge, parts)};
}

} // namespace
