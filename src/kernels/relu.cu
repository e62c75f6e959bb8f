/* A stage without a norm: bias, ReLU, max pool, dropout. dz is dy brought back through them, dbias
 * its sum over images and places.
 *
 * A block owns a part of a channel. Backward, each block leaves the sum of its part, and the last
 * of a channel adds them up: one launch each way.
 */
#include "backward.cuh" // part_dz
#include "forward.cuh"  // LaunchForward

namespace {

struct Backward {
    float *dz, *dbias; /* dbias NULL: not wanted */
    const float *dy;
    float *sums;        /* (c, parts) */
    unsigned *counters; /* (c) */
    int parts;
};

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void relu_dz(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.parts,
              part = static_cast<int>(blockIdx.x) % b.parts;
    const nl_k_moments plain = {0.0f, 0.0f, 1.0f, 1.0f};
    Sums<float, 1> s;
    s.v[0] = part_dz<K, V, false>(b.dz, b.dy, t, plain, 0.0f, 0.0f, set, b.parts, part);
    if (!b.dbias) return;
    block_sum(s);
    if (threadIdx.x == 0) b.sums[blockIdx.x] = s.v[0];
    if (!last_to_come(b.counters + set, b.parts)) return;
    s.v[0] = lane_id() < b.parts ? __ldcg(b.sums + set * b.parts + lane_id()) : 0.0f;
    warp_sum(s);
    if (threadIdx.x == 0) b.dbias[set] = s.v[0];
}

struct LaunchBackward {
    Backward b;
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        Backward c = b;
        c.parts = parts_for(t.planes * t.units, K == 0 ? 4 : 1);
        NL_LAUNCH((relu_dz<K, V>), t.sets * c.parts, kThreads, 0, stream, c, t);
        return launched();
    }
};

} // namespace

int nl_k_relu_forward(float *y, const float *z, const float *bias, const nl_k_shape *s,
                      const nl_k_dropout *drop, void *stream) {
    NL_ASSERT(y && z);
    if (too_large(s)) return cudaErrorInvalidValue;
    const int v = vector_width(s, z, s->pool ? z : y);
    const Stage t = make_stage(z, bias, nullptr, nullptr, s, drop, Sets::channels, v);
    Forward f = {};
    f.y = y, f.source = Source::none;
    return by_shape(s, v, LaunchForward{f, t, stream});
}

int nl_k_relu_backward(float *dz, float *dbias, const float *dy, const float *z, const float *bias,
                       const nl_k_shape *s, const nl_k_dropout *drop, void *scratch,
                       uint32_t *counters, void *stream) {
    NL_ASSERT(dz && dy && z && scratch && counters && (!dbias || bias));
    if (too_large(s)) return cudaErrorInvalidValue;
    const int v = vector_width(s, z, dz) == 4 ? vector_width(s, z, s->pool ? z : dy) : 1;
    const Stage t = make_stage(z, bias, nullptr, nullptr, s, drop, Sets::channels, v);
    Backward b = {};
    b.dz = dz, b.dbias = dbias, b.dy = dy, b.sums = static_cast<float *>(scratch),
    b.counters = counters;
    return by_shape(s, v, LaunchBackward{b, t, stream});
}
