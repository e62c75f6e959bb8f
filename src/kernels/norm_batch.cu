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
    int sum_parts;        /* blocks a set, of the launch before */
    Parts parts;          /* of a set, here */
    float count;          /* values of a set */
};

/* Sums of g and g d over units of this block's channel, for every thread of the block. */
template <int K, int V> __device__ Sums<float, 2> channel_sums(const Stage &t, Range r) {
    const int set = this_set();
    Sums<float, 2> s;
    range_sums<K, V>(s, t, t.saved[set], first_plane<Sets::channels>(t, set), r,
                     static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x));
    block_sum(s);
    return s;
}

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_batch_sums(const Backward b, const Stage t) {
    const Sums<float, 2> s = channel_sums<K, V>(t, part_of(b.parts.units, this_part()));
    if (threadIdx.x == 0) b.sums[this_set() * b.sum_parts + this_part()] = s;
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void norm_batch_dz(const Backward b, const Stage t) {
    const int set = this_set();
    Sums<float, 2> s;
    if (b.sum_parts == 0) {
        s = channel_sums<K, V>(t, {0, b.parts.units.units});
    } else {
        if (lane_id() < b.sum_parts) s = b.sums[set * b.sum_parts + lane_id()];
        warp_sum(s);
    }
    const nl_k_moments m = t.saved[set];
    const float gamma = t.gamma[set];
    const float dbeta = s.v[0], dgamma = s.v[1] * m.rstd;
    if (this_part() == 0 && threadIdx.x == 0) {
        t.dbeta[set] = dbeta;
        t.dgamma[set] = dgamma;
        t.dbias[set] = dgamma * 0.0f; // 0, unless the channel is poisoned
    }
    part_dz<Sets::channels, K, V, true>(t, m, gamma * (dbeta / b.count), gamma * (dgamma / b.count),
                                        b.parts);
}

struct LaunchBackward {
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        const int parts = owns_set(t) ? 1 : parts_for(t.planes * t.units, K == 0 ? 4 : 1);
        Backward b = {static_cast<Sums<float, 2> *>(t.scratch), 0, parts_of(t, parts),
                      static_cast<float>(t.planes * t.hw)};
        const dim3 grid = grid_of(t.sets, b.parts.units);
        int threads = threads_for(t.planes * (t.hw / V));
        if (!owns_set(t)) {
            threads = kThreads;
            b.sum_parts = parts;
            NL_LAUNCH((norm_batch_sums<K, V>), grid, threads, 0, stream, b, t);
        }
        NL_LAUNCH((norm_batch_dz<K, V>), grid, threads, 0, stream, b, t);
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
    return by_shape(s, v, LaunchForward<Sets::channels>{t, Source::parts, stream});
}

int nl_k_norm_batch_eval(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->z && s->bias && s->gamma && s->beta && s->y);
    NL_ASSERT(s->running_mean && s->running_var);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = forward_width(s);
    nl_k_stage bare = *s;
    bare.drop.slots = nullptr;
    const Stage t = make_stage(&bare, Sets::channels, v);
    return by_shape(s, v, LaunchForward<Sets::channels>{t, Source::running, stream});
}

int nl_k_norm_batch_backward(const nl_k_stage *s, void *stream) {
    NL_ASSERT(s->dy && s->z && s->bias && s->gamma && s->beta && s->saved && s->centres);
    NL_ASSERT(s->dz && s->dgamma && s->dbeta && s->dbias && s->scratch);
    if (too_large(&s->shape)) return cudaErrorInvalidValue;
    const int v = backward_width(s);
    return by_shape(s, v, LaunchBackward{make_stage(s, Sets::channels, v), stream});
}
