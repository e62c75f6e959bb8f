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
    int parts;       /* blocks a set */
    bool owns;       /* one block a set, which takes the planes' sums itself */
};

/* One warp takes the sums of one plane. */
template <int K, int V> __device__ void plane_sums(const Backward &b, const Stage &t, int plane) {
    const nl_k_moments m = t.saved[plane / t.planes];
    const Affine a = affine_of(t, m, plane % t.shape.c);
    Sums<float, 3> s;
    for (int i = lane_id(); i < t.units; i += kWarp) unit_sums<K, V>(s, t, a, plane, i);
    if constexpr (K != 0) {
        for (int i = lane_id(); i < t.edge; i += kWarp) {
            s.v[2] += centred(a, t.z[plane * t.hw + edge_at(t, i)]);
        }
    }
    warp_sum(s);
    if (lane_id() != 0) return;
    b.sums[plane].g = s.v[0];
    b.sums[plane].gx = s.v[1] * m.rstd;
    b.sums[plane].x = s.v[2] * m.rstd;
}

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_group_sums(const Backward b, const Stage t) {
    const int plane = static_cast<int>(blockIdx.x) * warps() + warp_id();
    if (plane < t.sets * t.planes) plane_sums<K, V>(b, t, plane);
}

/* A and B of a set, for every thread: each warp adds up the planes. */
__device__ inline Sums<float, 2> set_means(const Backward &b, const Stage &t, int set) {
    Sums<float, 2> s;
    for (int i = lane_id(); i < t.planes; i += kWarp) {
        const int plane = set * t.planes + i;
        const float gamma = t.gamma[plane % t.shape.c];
        s.v[0] += gamma * b.sums[plane].g;
        s.v[1] += gamma * b.sums[plane].gx;
    }
    warp_sum(s);
    const float count = static_cast<float>(t.planes * t.hw);
    s.v[0] /= count;
    s.v[1] /= count;
    return s;
}

/* The last block of a group: a warp a channel, its lanes over the images. */
__device__ inline void finish_group(const Backward &b, const Stage &t, int group) {
    for (int i = warp_id(); i < t.planes; i += warps()) {
        const int channel = group * t.planes + i;
        Sums<double, 3> s;
        for (int n = lane_id(); n < t.shape.n; n += kWarp) {
            const PlaneSums *p = b.sums + n * t.shape.c + channel;
            s.v[0] += __ldcg(&p->g);
            s.v[1] += __ldcg(&p->gx);
            s.v[2] += __ldcg(&p->dbias);
        }
        warp_sum(s);
        if (lane_id() != 0) continue;
        t.dbeta[channel] = static_cast<float>(s.v[0]);
        t.dgamma[channel] = static_cast<float>(s.v[1]);
        t.dbias[channel] = static_cast<float>(s.v[2]);
    }
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void norm_group_dz(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.parts,
              part = static_cast<int>(blockIdx.x) % b.parts;
    const int group = set % t.shape.groups;
    if (b.owns) {
        for (int i = warp_id(); i < t.planes; i += warps())
            plane_sums<K, V>(b, t, set * t.planes + i);
        __syncthreads();
    }
    const nl_k_moments m = t.saved[set];
    const Sums<float, 2> s = set_means(b, t, set);
    const float A = t.centres ? s.v[0] : 0.0f, B = s.v[1];
    part_dz<K, V, true>(t, m, A, B, set, b.parts, part);
    if (part != 0) return;
    for (int i = static_cast<int>(threadIdx.x); i < t.planes; i += static_cast<int>(blockDim.x)) {
        const int plane = set * t.planes + i;
        PlaneSums *p = b.sums + plane;
        const float gamma = t.gamma[plane % t.shape.c], hw = static_cast<float>(t.hw);
        p->dbias = m.rstd * (gamma * p->g - hw * A - p->x * B);
    }
    if (last_to_come(t.counters + group, t.shape.n)) finish_group(b, t, group);
}

struct LaunchBackward {
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        Backward b = {static_cast<PlaneSums *>(t.scratch), 1, owns_set(t)};
        int threads = threads_for(t.planes * (t.hw / V));
        if (!b.owns) {
            threads = kThreads;
            b.parts = parts_for(t.planes * t.units, K == 0 ? 4 : 1);
            const int blocks = ceil_div(t.sets * t.planes, kThreads / kWarp);
            NL_LAUNCH((norm_group_sums<K, V>), blocks, kThreads, 0, stream, b, t);
        }
        NL_LAUNCH((norm_group_dz<K, V>), t.sets * b.parts, threads, 0, stream, b, t);
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
    return by_shape(s, v, LaunchForward{t, Source::parts, stream});
}

int nl_k_norm_group_backward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->dy && s->z && s->bias && s->gamma && s->beta && s->saved);
    NL_ASSERT(s->dz && s->dgamma && s->dbeta && s->dbias && s->scratch && s->counters);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = backward_width(s);
    return by_shape(s, v, LaunchBackward{make_stage(s, Sets::groups, v), stream});
}
