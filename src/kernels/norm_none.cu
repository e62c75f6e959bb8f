/* A stage without a norm: bias, ReLU, max pool, dropout. dz is dy brought back through them, dbias
 * its sum over images and places.
 *
 * A block owns a part of a channel. Backward, each block leaves the sum of its part, and the last
 * of a channel adds them up: one launch each way.
 */
#include "backward.cuh" // part_dz
#include "forward.cuh"  // LaunchForward

namespace {

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_none_dz(const Parts p, const Stage t) {
    const nl_k_moments plain = {0.0f, 0.0f, 1.0f, 1.0f};
    const int set = this_set(), parts = p.units.parts;
    float *sums = static_cast<float *>(t.scratch) + set * parts; /* (c, parts) */
    Sums<float, 1> s;
    s.v[0] = part_dz<Sets::channels, K, V, false>(t, plain, 0.0f, 0.0f, p);
    if (!t.dbias) return;
    block_sum(s);
    if (threadIdx.x == 0) sums[this_part()] = s.v[0];
    if (!last_to_come(t.counters + set, parts)) return;
    s.v[0] = lane_id() < parts ? __ldcg(sums + lane_id()) : 0.0f;
    warp_sum(s);
    if (threadIdx.x == 0) t.dbias[set] = s.v[0];
}

struct LaunchBackward {
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        const Parts p = parts_of(t, parts_for(t.planes * t.units, K == 0 ? 4 : 1));
        NL_LAUNCH((norm_none_dz<K, V>), grid_of(t.sets, p.units), kThreads, 0, stream, p, t);
        return launched();
    }
};

Stage make_bare(const nl_k_stage *s, int v) {
    Stage t = make_stage(s, Sets::channels, v);
    t.gamma = t.beta = nullptr;
    return t;
}

} // namespace

int nl_k_norm_none_forward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->z && s->y);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = forward_width(s);
    return by_shape(s, v, LaunchForward<Sets::channels>{make_bare(s, v), Source::none, stream});
}

int nl_k_norm_none_backward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->dy && s->z && s->dz && s->scratch && s->counters && (!s->dbias || s->bias));
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = backward_width(s);
    return by_shape(s, v, LaunchBackward{make_bare(s, v), stream});
}
