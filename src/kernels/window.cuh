/* Windows of the max pool, with the dropout behind it. Forward and backward find a window's winner
 * the same way, from z alone. Forward draws the dropout and leaves it to backward, a quarter of a byte
 * a value: drawing it again would cost more.
 */
#pragma once

#include "normlab/rng.h" // nl_dropout_words
#include "stage.cuh"     // Stage, centred

namespace {

/* A unit: four outputs of one image, of which those in [0, outputs) lie in this plane. */
struct Quad {
    int output;    // of element 0, within the plane; negative where it begins in the plane before
    unsigned kept; // bit j: the dropout keeps element j
};

enum class Mask {
    drawn, // forward: by the generator, and left for the way back
    left   // backward
};

template <Mask M> __device__ Quad quad_of(const Stage &t, Plane plane, int unit) {
    const unsigned begin = static_cast<unsigned>(plane.channel * t.outputs);
    const int quad = static_cast<int>(begin / 4) + unit;
    Quad q = {quad * 4 - static_cast<int>(begin), 0xf};
    if (!t.drop.slots) return q;
    uint8_t *const kept = t.drop.kept + plane.image * t.quads;
    if constexpr (M == Mask::left) {
        q.kept = __ldg(kept + min(quad, t.quads - 1)); // the last unit may have none of its own
        return q;
    }
    const nl_philox words = nl_dropout_words(
        __ldg(&t.drop.state->seed), __ldg(&t.drop.state->epoch), __ldg(t.drop.slots + plane.image),
        t.drop.layer, static_cast<uint32_t>(quad));
    q.kept = 0;
#pragma unroll
    for (int j = 0; j < 4; j++) q.kept |= words.v[j] >= t.drop.threshold ? 1u << j : 0u;
    if (q.output >= 0 && q.output < t.outputs) kept[quad] = static_cast<uint8_t>(q.kept);
    return q;
}

/* What the dropout makes of element j: a dropped value is 0 even where it was NaN. */
__device__ inline float dropped(const Stage &t, const Quad &q, int j, float v) {
    return q.kept >> j & 1 ? v * t.drop.scale : 0.0f;
}

/* Windows that stand side by side in V values of a row. */
template <int V> constexpr int kAbreast = V == 4 ? 2 : 1;

/* The centred values of as many windows, and on the way back the gradients of their outputs.
 * replace gives each value of window j another, f(place in the window, value), and write puts those
 * into a plane. With K > 0 all of it is in registers. */
template <int K, int V> struct Windows {
    static constexpr int kRow = K * kAbreast<V>;
    float d[K][kRow];
    int at; // place of the first value in the plane
    Pack<kAbreast<V>> dy;

    __device__ void read(const Stage &t, const float *plane, int output) {
        at = K * (output + nl_divide(output, t.by_width) * (t.shape.w - t.pw));
#pragma unroll
        for (int u = 0; u < K; u++) {
#pragma unroll
            for (int i = 0; i < kRow; i += V) {
                const Pack<V> x = load<V>(plane + at + u * t.shape.w + i);
                for (int e = 0; e < V; e++) d[u][i + e] = x.v[e];
            }
        }
    }
    __device__ void centre(const Affine &a) {
#pragma unroll
        for (int u = 0; u < K; u++) {
#pragma unroll
            for (int i = 0; i < kRow; i++) d[u][i] = centred(a, d[u][i]);
        }
    }
    __device__ int size() const {
        return K;
    }
    __device__ float value(const Affine &, int j, int u, int v) const {
        return d[u][j * K + v];
    }
    template <typename F> __device__ void replace(float *, const Affine &, int j, const F &f) {
#pragma unroll
        for (int u = 0; u < K; u++) {
#pragma unroll
            for (int v = 0; v < K; v++) d[u][j * K + v] = f(u * K + v, d[u][j * K + v]);
        }
    }
    __device__ void write(const Stage &t, float *plane) const {
#pragma unroll
        for (int u = 0; u < K; u++) {
#pragma unroll
            for (int i = 0; i < kRow; i += V) {
                Pack<V> x;
                for (int e = 0; e < V; e++) x.v[e] = d[u][i + e];
                store(plane + at + u * t.shape.w + i, x);
            }
        }
    }
};

/* A window of any size: its values are read each time, and written at once. */
template <> struct Windows<-1, 1> {
    const float *first;
    int at, k, w;
    Pack<1> dy;

    __device__ void read(const Stage &t, const float *plane, int output) {
        k = t.shape.pool, w = t.shape.w;
        at = k * (output + nl_divide(output, t.by_width) * (w - t.pw));
        first = plane + at;
    }
    __device__ void centre(const Affine &) {
    }
    __device__ int size() const {
        return k;
    }
    __device__ float value(const Affine &a, int, int u, int v) const {
        return centred(a, __ldg(first + u * w + v));
    }
    template <typename F>
    __device__ void replace(float *plane, const Affine &a, int j, const F &f) {
        for (int u = 0; u < k; u++) {
            for (int v = 0; v < k; v++) plane[at + u * w + v] = f(u * k + v, value(a, j, u, v));
        }
    }
    __device__ void write(const Stage &, float *) const {
    }
};

/* use(windows, element of the quad, output) for the windows of a quad that lie in the plane, all
 * read before the first is used. dy: of the plane's outputs, or NULL. */
template <int K, int V, typename Use>
__device__ void for_windows(const Stage &t, const Affine &a, const float *plane, const float *dy,
                            const Quad &q, const Use &use) {
    constexpr int kGroups = 4 / kAbreast<V>;
    Windows<K, V> w[kGroups];
#pragma unroll
    for (int i = 0; i < kGroups; i++) {
        const int wanted = q.output + i * kAbreast<V>;
        const int output = min(max(wanted, 0), t.outputs - kAbreast<V>);
        w[i].read(t, plane, output);
        if (dy) w[i].dy = load<kAbreast<V>>(dy + output);
    }
#pragma unroll
    for (int i = 0; i < kGroups; i++) {
        const int output = q.output + i * kAbreast<V>;
        if (output < 0 || output >= t.outputs) continue;
        w[i].centre(a);
        use(w[i], i * kAbreast<V>, output);
    }
}

template <int K, int V>
__device__ float window_total(const Affine &a, const Windows<K, V> &w, int j) {
    const int k = w.size();
    float sum = 0;
#pragma unroll(K > 0 ? K : 1)
    for (int u = 0; u < k; u++) {
#pragma unroll(K > 0 ? K : 1)
        for (int v = 0; v < k; v++) sum += w.value(a, j, u, v);
    }
    return sum;
}

struct Winner {
    int at; /* row by row in its window */
    float y, d;
};

/* The first largest value before the ReLU, which keeps the order; a NaN is larger than any number.
 * Where the ReLU makes all of them 0, another one is the first: no gradient passes it then. */
template <int K, int V>
__device__ Winner winner_of(const Affine &a, const Windows<K, V> &w, int j) {
    const int k = w.size();
    const float d0 = w.value(a, j, 0, 0);
    Winner best = {0, scaled(a, d0), d0};
#pragma unroll(K > 0 ? K : 1)
    for (int u = 0; u < k; u++) {
#pragma unroll(K > 0 ? K : 1)
        for (int v = 0; v < k; v++) {
            const float d = w.value(a, j, u, v), y = scaled(a, d);
            if (!(y <= best.y) && best.y == best.y) best = {u * k + v, y, d};
        }
    }
    return best;
}

/* Place of value e of those that no window covers: first the strip below, then the one on the
 * right. */
__device__ inline int edge_at(const Stage &t, int e) {
    const int covered = t.pw * t.shape.pool, strip = t.shape.w - covered,
              below = t.hw - t.rows * t.shape.w;
    if (e < below) return t.rows * t.shape.w + e;
    const int row = nl_divide(e - below, t.by_strip);
    return row * t.shape.w + covered + (e - below - row * strip);
}

} // namespace
