/* Windows of the max pool, with the dropout behind it. Forward and backward find a window's winner
 * and its dropout the same way, from z and the generator alone.
 */
#pragma once

#include "normlab/rng.h" // nl_dropout_words
#include "stage.cuh"     // Stage, activated

namespace {

/* A unit: four outputs of one image, of which [first, last) lie in this plane. */
struct Quad {
    int output; /* of element 0, within the plane; negative where the unit begins in the plane
                   before */
    int first, last;
    float factor[4]; /* of the dropout: 0, or scale */
    bool drops;
};

__device__ inline Quad quad_of(const Stage &t, int plane, int unit) {
    const int channel = plane % t.shape.c, begin = channel * t.outputs, quad = begin / 4 + unit;
    Quad q;
    q.output = quad * 4 - begin;
    q.first = q.output < 0 ? -q.output : 0;
    q.last = t.outputs - q.output < 4 ? t.outputs - q.output : 4;
    q.drops = t.drop.slots != nullptr;
    if (!q.drops || q.first >= q.last) return q;
    const uint32_t image = t.drop.slots[plane / t.shape.c];
    const nl_philox words = nl_dropout_words(t.drop.state->seed, t.drop.state->epoch, image,
                                             t.drop.layer, static_cast<uint32_t>(quad));
#pragma unroll
    for (int j = 0; j < 4; j++) q.factor[j] = words.v[j] >= t.drop.threshold ? t.drop.scale : 0.0f;
    return q;
}

/* A dropped value is 0 even where it was NaN. */
__device__ inline float dropped(const Quad &q, int j, float v) {
    if (!q.drops) return v;
    return q.factor[j] == 0 ? 0.0f : v * q.factor[j];
}

/* Place of the window's first value in its plane. */
template <int K> __device__ int window_at(const Stage &t, int output) {
    const int k = K > 0 ? K : t.shape.pool;
    return output / t.pw * k * t.shape.w + output % t.pw * k;
}

struct Winner {
    int at; /* in the plane */
    float y;
};

/* The first largest value; a NaN is larger than any number. */
template <int K>
__device__ Winner winner_of(const Stage &t, const Affine &a, const float *plane, int at) {
    const int k = K > 0 ? K : t.shape.pool;
    Winner best = {at, activated(t, a, plane[at])};
#pragma unroll(K > 0 ? K : 1)
    for (int u = 0; u < k; u++) {
#pragma unroll(K > 0 ? K : 1)
        for (int v = 0; v < k; v++) {
            const float y = activated(t, a, plane[at + u * t.shape.w + v]);
            if (y > best.y || (y != y && best.y == best.y)) best = {at + u * t.shape.w + v, y};
        }
    }
    return best;
}

/* Place of value e of those that no window covers: first the strip below, then the one on the
 * right. */
__device__ inline int edge_at(const Stage &t, int e) {
    const int covered = t.pw * t.shape.pool, rows = t.outputs / t.pw * t.shape.pool,
              below = t.hw - rows * t.shape.w;
    if (e < below) return rows * t.shape.w + e;
    const int strip = t.shape.w - covered, i = e - below;
    return i / strip * t.shape.w + covered + i % strip;
}

} // namespace
