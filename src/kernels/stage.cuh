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
 *     without a pool   V consecutive values
 *     with a pool      four consecutive outputs, counted within the image, since one Philox block
 *                      draws the dropout of four; the first and last unit of a plane may hold
 *                      fewer of its own
 *
 * V floats are read and written at a time: 4 or 2 where the addresses allow it, else 1. A thread
 * takes several units at a time and loads them all before it uses the first, so that its loads wait
 * for memory together. What is only read goes by __ldg: a store to another tensor cannot change it,
 * so no load has to wait for one. No loop divides: the host prepares its divisors.
 *
 * NaN passes everywhere: no fmaxf, no x > 0 ? x : 0.
 */
#pragma once

#include <cmath> // NAN
#include <initializer_list>

#include "launch.cuh"        // __device__
#include "normlab/divisor.h" // nl_divisor
#include "normlab/error.h"   // NL_ASSERT
#include "normlab/kernels.h" // nl_k_stage

namespace {

/* What the host works out from the shape, beside what the caller filled in. */
struct Stage : nl_k_stage {
    int hw;                     /* of a plane */
    int pw, outputs;            /* of the pool: width and size of an output plane */
    int units, edge, rows;      /* of a plane; values, rows that no window or one covers */
    int quads;                  /* of an image: fours of outputs, the last may be fewer */
    int sets, planes, row_step; /* of a set; from one plane of a set to its next */
    int skip;                   /* values from the end of a row to the next one */
    float floor;                /* of y: the ReLU's 0; without it NaN, which bounds nothing */
    nl_divisor by_groups, by_planes, by_units, by_row, by_width, by_edge, by_strip;
};

/* What turns a value of one plane into y. */
struct Affine {
    float bias, mean, rest, scale, beta;
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
        t.sets = s.c, t.planes = s.n, t.row_step = s.c;
    } else {
        NL_ASSERT(s.groups > 0 && s.c % s.groups == 0);
        t.planes = s.c / s.groups;
        t.sets = s.n * s.groups, t.row_step = 1;
        t.by_groups = nl_divisor_make(s.groups);
    }
}

/* What the loops over units divide by; what is 0 has none. */
inline void set_divisors(Stage &t, int v) {
    const auto by = [](int d) { return nl_divisor_make(d > 0 ? d : 1); };
    t.by_planes = by(t.planes);
    t.by_units = by(t.units);
    t.by_row = by(t.hw / v);
    t.by_width = by(t.pw);
    t.by_edge = by(t.edge);
    t.by_strip = by(t.shape.w - t.pw * t.shape.pool);
}

/* Fours of the outputs of an image. */
inline int quads_of(const nl_k_shape &s) {
    const int pool = s.pool > 0 ? s.pool : 1;
    return ceil_div(s.c * (s.h / pool) * (s.w / pool), 4);
}

inline Stage make_stage(const nl_k_stage *stage, Sets sets, int v) {
    const nl_k_shape &s = stage->shape;
    NL_ASSERT(s.n > 0 && !too_large(&s));
    NL_ASSERT(s.pool >= 0 && s.pool <= s.h && s.pool <= s.w);
    NL_ASSERT(!stage->drop.slots || (s.pool > 0 && stage->drop.kept));
    Stage t = {};
    static_cast<nl_k_stage &>(t) = *stage;
    t.hw = s.h * s.w;
    t.outputs = t.hw;
    t.units = t.hw / v;
    t.floor = s.relu ? 0.0f : NAN;
    if (!t.drop.slots) t.drop.scale = 1;
    if (s.pool > 0) {
        t.pw = s.w / s.pool, t.outputs = s.h / s.pool * t.pw;
        t.units = t.outputs % 4 == 0 ? t.outputs / 4 : t.outputs / 4 + 2;
        t.rows = s.h / s.pool * s.pool;
        t.edge = t.hw - t.outputs * s.pool * s.pool;
    }
    t.quads = quads_of(s);
    set_sets(t, sets);
    t.skip = (t.row_step - 1) * t.hw;
    set_divisors(t, v);
    return t;
}

/* V of the way forward and of the way back: what the rows (under a pool) or planes of all tensors
 * allow. A pool of 2 takes two windows side by side where V is 4, one where it is 2. */
inline int vector_width(const nl_k_stage *s, std::initializer_list<const float *> tensors) {
    uintptr_t low = 0;
    for (const float *tensor : tensors) low |= reinterpret_cast<uintptr_t>(tensor);
    const int length = s->shape.pool == 2 ? s->shape.w : s->shape.h * s->shape.w;
    if (s->shape.pool && s->shape.pool != 2) return 1;
    if (length % 4 == 0 && low % 16 == 0) return 4;
    return s->shape.pool && length % 2 == 0 && low % 8 == 0 ? 2 : 1;
}
inline int forward_width(const nl_k_stage *s) {
    return vector_width(s, {s->z, s->y});
}
inline int backward_width(const nl_k_stage *s) {
    return vector_width(s, {s->z, s->dz, s->dy});
}

/* Calls f.run<K, V>(): K is the pool's size where it is 2 (unrolled), 0 without a pool, else -1. */
template <typename F> int by_shape(const nl_k_stage *s, int v, const F &f) {
    if (s->shape.pool == 2) {
        return v == 4   ? f.template run<2, 4>()
               : v == 2 ? f.template run<2, 2>()
                        : f.template run<2, 1>();
    }
    if (s->shape.pool > 0) return f.template run<-1, 1>();
    return v == 4 ? f.template run<0, 4>() : f.template run<0, 1>();
}

// --- places ---

/* Where a plane is. */
struct Plane {
    int at, channel, image; /* at: its number in the tensor */
};

/* The first plane of a set, and each of its rows. */
template <Sets S> __device__ inline Plane first_plane(const Stage &t, int set) {
    if (S == Sets::channels) return {set, set, 0};
    const int image = nl_divide(set, t.by_groups);
    return {set * t.planes, (set - image * t.shape.groups) * t.planes, image};
}
template <Sets S> __device__ inline Plane plane_of(const Stage &t, Plane first, int row) {
    if (S == Sets::channels) {
        return {first.at + row * t.row_step, first.channel, first.image + row};
    }
    return {first.at + row, first.channel + row, first.image};
}

/* Place of a value without a pool, `offset` values on through the set's rows. A group's rows lie one
 * behind the other. */
template <Sets S> __device__ inline int place_of(const Stage &t, Plane first, int offset, int row) {
    const int place = first.at * t.hw + offset;
    return S == Sets::channels ? place + row * t.skip : place;
}

/* This thread's units of a range, of `step` threads: U times load(unit), then as often use
 * of what it gave. */
template <int U, typename Load, typename Use>
__device__ void for_units(Range r, int thread, int step, const Load &load, const Use &use) {
    for (int i = r.begin + thread; i < r.end; i += U * step) {
        decltype(load(i)) loaded[U];
#pragma unroll
        for (int u = 0; u < U; u++) {
            if (u == 0 || i + u * step < r.end) loaded[u] = load(i + u * step);
        }
#pragma unroll
        for (int u = 0; u < U; u++) {
            if (u == 0 || i + u * step < r.end) use(loaded[u]);
        }
    }
}

// --- values ---

__device__ inline float bias_of(const Stage &t, int channel) {
    return t.bias ? __ldg(t.bias + channel) : 0.0f;
}

__device__ inline Affine affine_of(const Stage &t, nl_k_moments m, int channel) {
    const float gamma = t.gamma ? __ldg(t.gamma + channel) : 1.0f;
    const float beta = t.beta ? __ldg(t.beta + channel) : 0.0f;
    return {bias_of(t, channel), m.mean, m.rest, m.rstd * gamma, beta};
}

/* The same for each plane of a set: read once where the set is a channel. A stage with groups has
 * all of bias, gamma and beta. */
template <Sets S> struct Affines {
    const Stage &t;
    nl_k_moments m;
    Affine first;

    __device__ Affines(const Stage &stage, nl_k_moments moments, Plane plane)
        : t(stage), m(moments), first(affine_of(stage, moments, plane.channel)) {
    }
    __device__ Affine of(int channel) const {
        if (S == Sets::channels) return first;
        return {__ldg(t.bias + channel), m.mean, m.rest, m.rstd * __ldg(t.gamma + channel),
                __ldg(t.beta + channel)};
    }
};

__device__ inline float centred(const Affine &a, float z) {
    return ((z + a.bias) - a.mean) - a.rest;
}

/* The norm's output for a centred value, and what the ReLU leaves of it. */
__device__ inline float scaled(const Affine &a, float d) {
    return d * a.scale + a.beta;
}
__device__ inline float rectified(const Stage &t, float y) {
    return y < t.floor ? t.floor : y;
}

/* V consecutive values in one access. */
template <int V> struct Pack { float v[V]; };
template <int V> __device__ Pack<V> load(const float *p) {
    Pack<V> r;
    if constexpr (V == 4) {
        const float4 q = __ldg(reinterpret_cast<const float4 *>(p));
        r.v[0] = q.x, r.v[1] = q.y, r.v[2] = q.z, r.v[3] = q.w;
    } else if constexpr (V == 2) {
        const float2 q = __ldg(reinterpret_cast<const float2 *>(p));
        r.v[0] = q.x, r.v[1] = q.y;
    } else {
        r.v[0] = __ldg(p);
    }
    return r;
}
template <int V> __device__ void store(float *p, const Pack<V> &r) {
    if constexpr (V == 4) {
        *reinterpret_cast<float4 *>(p) = make_float4(r.v[0], r.v[1], r.v[2], r.v[3]);
    } else if constexpr (V == 2) {
        *reinterpret_cast<float2 *>(p) = make_float2(r.v[0], r.v[1]);
    } else {
        *p = r.v[0];
    }
}

/* A unit without a pool. */
template <int V> struct Unit {
    int at; // in the tensor
    Pack<V> z;
    Affine a;
};
template <Sets S, int V>
__device__ Unit<V> load_unit(const Stage &t, const Affines<S> &affines, Plane first, int unit) {
    const int row = nl_divide(unit, t.by_units), at = place_of<S>(t, first, unit * V, row);
    return {at, load<V>(t.z + at), affines.of(plane_of<S>(t, first, row).channel)};
}

} // namespace
