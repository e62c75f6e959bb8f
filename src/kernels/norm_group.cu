/* Group norm: Wu, He, Group Normalization, 2018, equations 1, 2, 7. One group is layer norm, a
 * channel a group instance norm. Over the m = h w C / groups values of a group in one image
 *
 *     xhat = (x - mean) rstd
 *     y    = gamma xhat + beta
 *
 *     A  = sum(gamma g) / m
 *     B  = sum(gamma g xhat) / m
 *     dz = rstd (gamma g - A - xhat B)
 *
 * gamma and beta belong to channels: dgamma, dbeta and dbias sum over the images. With the sums S1
 * of g, S2 of g xhat and X of xhat over a plane, that plane's part of dbias is
 *
 *     D = sum dz = rstd (gamma S1 - h w A - X B)
 *
 * Without centring (RMS norm: Zhang, Sennrich, Root Mean Square Layer Normalization, 2019,
 * equation 4) mean is 0 and A is 0 in both, so that the bias in front has a gradient of its own:
 *
 *     rstd = 1 / sqrt(sum(x^2) / m + eps)
 *
 * A set is a group of one image. Up to kOwnSet values one block takes it, both ways in one launch.
 * For larger ones a first launch leaves each plane's sums, one warp a plane; then a block makes dz
 * of a part of a set. The last block to come of a group's images adds the planes' sums up over the
 * images.
 */
#include "backward.cuh" // part_dz
#include "forward.cuh"  // LaunchForward

namespace {

/* Of each plane: S1, S2, X and D. */
struct PlaneSums {
    float g, gx, x, dbias;
};

struct Backward {
    PlaneSums *sums; /* (n, c) */
    Parts parts;     /* of a set */
    bool owns;       /* one block a set, which takes the planes' sums itself */
    float count;     /* values of a set */
};

/* One warp takes the sums of one plane. */
template <int K, int V>
__device__ void plane_sums(const Backward &b, const Stage &t, nl_k_moments m, Plane plane) {
    Sums<float, 3> s;
    range_sums<K, V>(s, t, m, plane, {0, t.units}, lane_id(), kWarp);
    if constexpr (K != 0) {
        const Affine a = affine_of(t, m, plane.channel);
        for (int i = lane_id(); i < t.edge; i += kWarp)
            s.v[2] += centred(a, __ldg(t.z + plane.at * t.hw + edge_at(t, i)));
    }
    warp_sum(s);
    if (lane_id() != 0) return;
    b.sums[plane.at].g = s.v[0];
    b.sums[plane.at].gx = s.v[1] * m.rstd;
    b.sums[plane.at].x = s.v[2] * m.rstd;
}

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_group_sums(const Backward b, const Stage t) {
    const int plane = static_cast<int>(blockIdx.x) * warps() + warp_id();
    if (plane >= t.sets * t.planes) return;
    const int set = nl_divide(plane, t.by_planes);
    const Plane first = first_plane<Sets::groups>(t, set);
    plane_sums<K, V>(b, t, t.saved[set], plane_of<Sets::groups>(t, first, plane - set * t.planes));
}

/* A and B of a set, for every thread: each warp adds up the planes. */
__device__ inline Sums<float, 2> set_means(const Backward &b, const Stage &t, Plane first) {
    Sums<float, 2> s;
    for (int i = lane_id(); i < t.planes; i += kWarp) {
        const float gamma = __ldg(t.gamma + first.channel + i);
        s.v[0] += gamma * b.sums[first.at + i].g;
        s.v[1] += gamma * b.sums[first.at + i].gx;
    }
    warp_sum(s);
    s.v[0] /= b.count;
    s.v[1] /= b.count;
    return s;
}

/* The last block of a group: a warp a channel, its lanes over the images. */
__device__ inline void finish_group(const Stage &t, const PlaneSums *sums, int channel) {
    for (int i = channel + warp_id(); i < channel + t.planes; i += warps()) {
        Sums<Twofold, 3> s;
        for (int n = lane_id(); n < t.shape.n; n += kWarp) {
            const PlaneSums *p = sums + n * t.shape.c + i;
            s.v[0] += __ldcg(&p->g);
            s.v[1] += __ldcg(&p->gx);
            s.v[2] += __ldcg(&p->dbias);
        }
        warp_sum(s);
        if (lane_id() != 0) continue;
        t.dbeta[i] = s.v[0].rounded();
        t.dgamma[i] = s.v[1].rounded();
        t.dbias[i] = s.v[2].rounded();
    }
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void norm_group_dz(const Backward b, const Stage t) {
    const Plane first = first_plane<Sets::groups>(t, this_set());
    const nl_k_moments m = t.saved[this_set()];
    if (b.owns) {
        for (int i = warp_id(); i < t.planes; i += warps())
            plane_sums<K, V>(b, t, m, plane_of<Sets::groups>(t, first, i));
        __syncthreads();
    }
    const Sums<float, 2> s = set_means(b, t, first);
    const float A = t.centres ? s.v[0] : 0.0f, B = s.v[1];
    part_dz<Sets::groups, K, V, true>(t, m, A, B, b.parts);
    if (this_part() != 0) return;
    for (int i = static_cast<int>(threadIdx.x); i < t.planes; i += static_cast<int>(blockDim.x)) {
        PlaneSums *p = b.sums + first.at + i;
        const float gamma = t.gamma[first.channel + i], hw = static_cast<float>(t.hw);
        p->dbias = m.rstd * (gamma * p->g - hw * A - p->x * B);
    }
    if (last_to_come(t.counters + first.channel, t.shape.n)) finish_group(t, b.sums, first.channel);
}

struct LaunchBackward {
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        const bool owns = owns_set(t);
        const int parts = owns ? 1 : parts_for(t.planes * t.units, K == 0 ? 4 : 1);
        const Backward b = {static_cast<PlaneSums *>(t.scratch), parts_of(t, parts), owns,
                            static_cast<float>(t.planes * t.hw)};
        if (!owns) {
            const int blocks = ceil_div(t.sets * t.planes, kThreads / kWarp);
            NL_LAUNCH((norm_group_sums<K, V>), blocks, kThreads, 0, stream, b, t);
        }
        NL_LAUNCH((norm_group_dz<K, V>), grid_of(t.sets, b.parts.units),
                  owns ? threads_for(t.planes * (t.hw / V)) : kThreads, 0, stream, b, t);
        return launched();
    }
};

} // namespace

size_t nl_k_scratch_size(const nl_k_shape *s) {
    const size_t images = static_cast<size_t>(s->n), channels = static_cast<size_t>(s->c);
    const size_t groups = s->groups > 0 ? static_cast<size_t>(s->groups) : 1;
    const size_t sets = images * groups > channels ? images * groups : channels;
    const size_t parts = sets * kMaxParts * sizeof(Part),
                 sums = images * channels * sizeof(PlaneSums);
    return parts > sums ? parts : sums;
}

size_t nl_k_kept_size(const nl_k_shape *s) {
    return static_cast<size_t>(s->n) * static_cast<size_t>(quads_of(*s));
}

int nl_k_counters(const nl_k_shape *s) {
    return s->c;
}

int nl_k_norm_group_forward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->z && s->bias && s->gamma && s->beta && s->y && s->saved && s->scratch);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = forward_width(s);
    Stage t = make_stage(s, Sets::groups, v);
    NL_ASSERT(!t.centres || t.planes * t.hw > 1);
    t.fresh_mean = t.fresh_var = nullptr; // of channels, and these sets are none
    return by_shape(s, v, LaunchForward<Sets::groups>{t, Source::parts, stream});
}

int nl_k_norm_group_backward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->dy && s->z && s->bias && s->gamma && s->beta && s->saved);
    NL_ASSERT(s->dz && s->dgamma && s->dbeta && s->dbias && s->scratch && s->counters);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = backward_width(s);
    return by_shape(s, v, LaunchBackward{make_stage(s, Sets::groups, v), stream});
}
