/* A stage of the network behind its convolution, as all norm kernels see it:
 *
 *     x = z + bias
 *     y = ((x - mean) - rest) rstd gamma + beta
 *     ReLU, max pool k/k, dropout
 *
 * A plane is the h x w values of one channel of one image. A set is what shares mean and deviation:
 * a channel's planes in all images (batch norm), or the planes of a group of channels of one image.
 * The work on a plane is cut into units, one for a thread at a time:
 *
 *     without a pool   V consecutive values; V is 4 where the addresses allow 16-byte loads, else 1
 *     with a pool      four consecutive outputs, counted within the image, since one Philox block
 *                      draws the dropout of four; the first and last unit of a plane may hold
 *                      fewer of its own
 *
 * NaN passes everywhere: no fmaxf, no x > 0 ? x : 0.
 */
#pragma once

#include <initializer_list>

#include "launch.cuh"        // __device__
#include "normlab/error.h"   // NL_ASSERT
#include "normlab/kernels.h" // nl_k_stage

namespace {

/* What the host works out from the shape, beside what the caller filled in. */
struct Stage : nl_k_stage {
    int hw;                               /* of a plane */
    int pw, outputs;                      /* of the pool: width and size of an output plane */
    int units, edge;                      /* of a plane; its values that no window covers */
    int sets, planes, set_step, row_step; /* plane r of set s is s * set_step + r * row_step */
};

/* What turns a value of one plane into y. */
struct Affine {
    float bias, mean, rest, rstd, scale, beta;
};

// --- host side ---

enum class Sets { channels, groups };

/* More values than the kernels can count; a user's batch size may come to that. */
inline bool too_large(int64_t n, int64_t c, int64_t hw) {
    return c * hw > 0 && n > NL_K_MOST_VALUES / (c * hw);
}
inline bool too_large(const nl_k_shape *s) {
    return too_large(s->n, s->c, static_cast<int64_t>(s->h) * s->w);
}

inline void set_sets(Stage &t, Sets sets) {
    const nl_k_shape &s = t.shape;
    if (sets == Sets::channels) {
        t.sets = s.c, t.planes = s.n, t.set_step = 1, t.row_step = s.c;
    } else {
        NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
        t.planes = t.set_step = s.c / s.groups;
        t.sets = s.n * s.groups, t.row_step = 1;
    }
}

inline Stage make_stage(const nl_k_stage *stage, Sets sets, int v) {
    const nl_k_shape &s = stage->shape;
    NL_ASSERT(s.n > 0 && !too_large(&s));
    NL_ASSERT(s.pool >= 0 && s.pool <= s.h && s.pool <= s.w && (!stage->drop.slots || s.pool > 0));
    Stage t = {};
    static_cast<nl_k_stage &>(t) = *stage;
    t.hw = s.h * s.w;
    t.outputs = t.hw;
    t.units = t.hw / v;
    if (s.pool > 0) {
        t.pw = s.w / s.pool, t.outputs = s.h / s.pool * t.pw;
        t.units = t.outputs % 4 == 0 ? t.outputs / 4 : t.outputs / 4 + 2;
        t.edge = t.hw - t.outputs * s.pool * s.pool;
    }
    set_sets(t, sets);
    return t;
}

/* V of the way forward and of the way back: 4 where the planes of all tensors that are cut alike
 * allow it. Under a pool outputs are written one by one. */
inline int vector_width(const nl_k_stage *s, std::initializer_list<const float *> tensors) {
    uintptr_t low = 0;
    for (const float *tensor : tensors) low |= reinterpret_cast<uintptr_t>(tensor);
    return s->shape.h * s->shape.w % 4 == 0 && low % 16 == 0 ? 4 : 1;
}
inline int forward_width(const nl_k_stage *s) {
    return s->shape.pool ? vector_width(s, {s->z}) : vector_width(s, {s->z, s->y});
}
inline int backward_width(const nl_k_stage *s) {
    return s->shape.pool ? vector_width(s, {s->z, s->dz}) : vector_width(s, {s->z, s->dz, s->dy});
}

/* Calls f.run<K, V>(): K is the pool's size where it is 2 (unrolled), 0 without a pool, else -1. */
template <typename F> int by_shape(const nl_k_stage *s, int v, const F &f) {
    if (s->shape.pool == 2) return v == 4 ? f.template run<2, 4>() : f.template run<2, 1>();
    if (s->shape.pool > 0) return f.template run<-1, 1>();
    return v == 4 ? f.template run<0, 4>() : f.template run<0, 1>();
}

// --- values ---

__device__ inline int plane_of(const Stage &t, int set, int row) {
    return set * t.set_step + row * t.row_step;
}

__device__ inline float bias_of(const Stage &t, int channel) {
    return t.bias ? t.bias[channel] : 0.0f;
}

__device__ inline Affine affine_of(const Stage &t, nl_k_moments m, int channel) {
    const float gamma = t.gamma ? t.gamma[channel] : 1.0f, beta = t.beta ? t.beta[channel] : 0.0f;
    return {bias_of(t, channel), m.mean, m.rest, m.rstd, m.rstd * gamma, beta};
}

__device__ inline float centred(const Affine &a, float z) {
    return ((z + a.bias) - a.mean) - a.rest;
}

__device__ inline float activated(const Stage &t, const Affine &a, float z) {
    const float y = centred(a, z) * a.scale + a.beta;
    return t.shape.relu && y < 0 ? 0.0f : y;
}

/* V consecutive values in one access. */
template <int V> struct Pack { float v[V]; };
template <int V> __device__ Pack<V> load(const float *p) {
    Pack<V> r;
    if constexpr (V == 4) {
        const float4 q = *reinterpret_cast<const float4 *>(p);
        r.v[0] = q.x, r.v[1] = q.y, r.v[2] = q.z, r.v[3] = q.w;
    } else {
        r.v[0] = *p;
    }
    return r;
}
template <int V> __device__ void store(float *p, const Pack<V> &r) {
    if constexpr (V == 4) {
        *reinterpret_cast<float4 *>(p) = make_float4(r.v[0], r.v[1], r.v[2], r.v[3]);
    } else {
        *p = r.v[0];
    }
}

} // namespace
