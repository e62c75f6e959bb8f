/* Batch norm: Ioffe, Szegedy, Batch Normalization, 2015, algorithm 1. Over the M = n h w values of
 * a channel
 *
 *     xhat = (x - mean) rstd
 *     y    = gamma xhat + beta
 *
 *     dbeta  = sum g
 *     dgamma = sum g xhat
 *     dz     = gamma rstd (g - dbeta / M - xhat dgamma / M)
 *
 * where g is the gradient of y, and sum dz = 0: the convolution's bias in front has no gradient.
 *
 * A set is a channel. Up to kOwnSet values one block takes it: one launch each way. Larger ones are
 * split in up to 32 parts, and a first launch leaves the parts' moments (or sums), which every
 * block of the second combines for itself: the boundary between two launches is the only barrier
 * over the whole device.
 */
#include "backward.cuh" // part_dz
#include "forward.cuh"  // LaunchForward

namespace {

struct Backward {
    Sums<float, 2> *sums; /* sum_parts of each set; not looked at where sum_parts is 0 */
    int sum_parts, parts; /* blocks a set, of the launch before and here */
};

/* Sums of g and g d over one part of a channel, for every thread of the block. */
template <int K, int V>
__device__ Sums<float, 2> channel_sums(const Stage &t, int set, int parts, int part) {
    const Affine a = affine_of(t, t.saved[set], set);
    const Range r = part_of(t.planes * t.units, parts, part);
    Sums<float, 2> s;
    for (int i = r.begin + static_cast<int>(threadIdx.x); i < r.end;
         i += static_cast<int>(blockDim.x)) {
        const int row = i / t.units;
        unit_sums<K, V>(s, t, a, plane_of(t, set, row), i - row * t.units);
    }
    block_sum(s);
    return s;
}

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_batch_sums(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.sum_parts;
    const int part = static_cast<int>(blockIdx.x) % b.sum_parts;
    const Sums<float, 2> s = channel_sums<K, V>(t, set, b.sum_parts, part);
    if (threadIdx.x == 0) b.sums[blockIdx.x] = s;
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void norm_batch_dz(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.parts,
              part = static_cast<int>(blockIdx.x) % b.parts;
    Sums<float, 2> s;
    if (b.sum_parts == 0) {
        s = channel_sums<K, V>(t, set, 1, 0);
    } else {
        if (lane_id() < b.sum_parts) s = b.sums[set * b.sum_parts + lane_id()];
        warp_sum(s);
    }
    const nl_k_moments m = t.saved[set];
    const float gamma = t.gamma[set], count = static_cast<float>(t.planes * t.hw);
    const float dbeta = s.v[0], dgamma = s.v[1] * m.rstd;
    if (part == 0 && threadIdx.x == 0) {
        t.dbeta[set] = dbeta;
        t.dgamma[set] = dgamma;
        t.dbias[set] = dgamma * 0.0f; // 0, unless the channel is poisoned
    }
    part_dz<K, V, true>(t, m, gamma * (dbeta / count), gamma * (dgamma / count), set, b.parts,
                        part);
}

struct LaunchBackward {
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        Backward b = {static_cast<Sums<float, 2> *>(t.scratch), 0, 1};
        const int each = K == 0 ? 4 : 1;
        if (owns_set(t)) {
            NL_LAUNCH((norm_batch_dz<K, V>), t.sets, threads_for(t.planes * (t.hw / V)), 0, stream,
                      b, t);
            return launched();
        }
        b.sum_parts = b.parts = parts_for(t.planes * t.units, each);
        NL_LAUNCH((norm_batch_sums<K, V>), t.sets * b.sum_parts, kThreads, 0, stream, b, t);
        NL_LAUNCH((norm_batch_dz<K, V>), t.sets * b.parts, kThreads, 0, stream, b, t);
        return launched();
    }
};

} // namespace

int nl_k_norm_batch_forward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->z && s->bias && s->gamma && s->beta && s->centres);
    NL_ASSERT(s->y && s->saved && s->fresh_mean && s->fresh_var && s->scratch);
    NL_ASSERT(static_cast<int64_t>(s->shape.n) * s->shape.h * s->shape.w > 1);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = forward_width(s);
    const Stage t = make_stage(s, Sets::channels, v);
    return by_shape(s, v, LaunchForward{t, Source::parts, stream});
}

int nl_k_norm_batch_eval(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->z && s->bias && s->gamma && s->beta && s->y);
    NL_ASSERT(s->running_mean && s->running_var);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = forward_width(s);
    Stage t = make_stage(s, Sets::channels, v);
    t.drop.slots = nullptr;
    return by_shape(s, v, LaunchForward{t, Source::running, stream});
}

int nl_k_norm_batch_backward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->dy && s->z && s->bias && s->gamma && s->beta && s->saved && s->centres);
    NL_ASSERT(s->dz && s->dgamma && s->dbeta && s->dbias && s->scratch);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = backward_width(s);
    return by_shape(s, v, LaunchBackward{make_stage(s, Sets::channels, v), stream});
}
