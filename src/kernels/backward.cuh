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

__device__ inline float masked(const Stage &t, float y, float dy) {
    return t.shape.relu && y <= 0 ? 0.0f : dy;
}

/* sums += g, g d, and d where N is 3. */
template <int K, int V, int N>
__device__ void unit_sums(Sums<float, N> &s, const Stage &t, const Affine &a, int plane, int unit) {
    const float *z = t.z + plane * t.hw;
    if constexpr (K == 0) {
        const Pack<V> x = load<V>(z + unit * V), up = load<V>(t.dy + plane * t.hw + unit * V);
        for (int i = 0; i < V; i++) {
            const float d = centred(a, x.v[i]), g = masked(t, activated(t, a, x.v[i]), up.v[i]);
            s.v[0] += g;
            s.v[1] += g * d;
            if constexpr (N == 3) s.v[2] += d;
        }
    } else {
        const int k = K > 0 ? K : t.shape.pool;
        const Quad q = quad_of(t, plane, unit);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (j < q.first || j >= q.last) continue;
            const int at = window_at<K>(t, q.output + j);
            const Winner best = winner_of<K>(t, a, z, at);
            const float g =
                masked(t, best.y, dropped(q, j, t.dy[plane * t.outputs + q.output + j]));
            s.v[0] += g;
            s.v[1] += g * centred(a, z[best.at]);
            if constexpr (N == 3) {
                for (int i = 0; i < k * k; i++)
                    s.v[2] += centred(a, z[at + i / k * t.shape.w + i % k]);
            }
        }
    }
}

/* NORM false: there is no norm, and dz is g itself (never 0 times an infinite d). Returns the sum
 * of g. */
template <bool NORM> __device__ float slope(const Affine &a, Slope s, float z, float g) {
    return NORM ? a.scale * g - s.p - centred(a, z) * s.q : g;
}

template <int K, int V, bool NORM>
__device__ float unit_dz(const Stage &t, const Affine &a, Slope s, int plane, int unit) {
    const float *z = t.z + plane * t.hw;
    float *out = t.dz + plane * t.hw, sum = 0;
    if constexpr (K == 0) {
        const Pack<V> x = load<V>(z + unit * V);
        Pack<V> g = load<V>(t.dy + plane * t.hw + unit * V);
        for (int i = 0; i < V; i++) {
            g.v[i] = masked(t, activated(t, a, x.v[i]), g.v[i]);
            sum += g.v[i];
            g.v[i] = slope<NORM>(a, s, x.v[i], g.v[i]);
        }
        store(out + unit * V, g);
    } else {
        const int k = K > 0 ? K : t.shape.pool;
        const Quad q = quad_of(t, plane, unit);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (j < q.first || j >= q.last) continue;
            const int at = window_at<K>(t, q.output + j);
            const Winner best = winner_of<K>(t, a, z, at);
            const float g =
                masked(t, best.y, dropped(q, j, t.dy[plane * t.outputs + q.output + j]));
            sum += g;
            for (int i = 0; i < k * k; i++) {
                const int p = at + i / k * t.shape.w + i % k;
                out[p] = slope<NORM>(a, s, z[p], p == best.at ? g : 0.0f);
            }
        }
    }
    return sum;
}

/* dz of one part of a set, and the sum of its g for this thread. */
template <int K, int V, bool NORM>
__device__ float part_dz(const Stage &t, nl_k_moments m, float A, float B, int set, int parts,
                         int part) {
    const Slope s = {m.rstd * A, m.rstd * m.rstd * B};
    const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    float sum = 0;
    const Range r = part_of(t.planes * t.units, parts, part);
    for (int i = r.begin + first; i < r.end; i += step) {
        const int row = i / t.units, plane = plane_of(t, set, row);
        const Affine a = affine_of(t, m, plane % t.shape.c);
        sum += unit_dz<K, V, NORM>(t, a, s, plane, i - row * t.units);
    }
    if (K == 0 || t.edge == 0) return sum;
    const Range e = part_of(t.planes * t.edge, parts, part);
    for (int i = e.begin + first; i < e.end; i += step) {
        const int row = i / t.edge, plane = plane_of(t, set, row);
        const int at = plane * t.hw + edge_at(t, i - row * t.edge);
        t.dz[at] = slope<NORM>(affine_of(t, m, plane % t.shape.c), s, t.z[at], 0.0f);
    }
    return sum;
}

} // namespace
