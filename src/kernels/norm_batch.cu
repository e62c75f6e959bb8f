/* Batch norm: Ioffe, Szegedy, Batch Normalization, 2015, algorithm 1. Over the M = n h w values of
 * a channel
 *
 *     y = gamma xhat + beta,   xhat = (x - mean) rstd
 *     dbeta = sum g,   dgamma = sum g xhat,   dz = gamma rstd (g - dbeta / M - xhat dgamma / M)
 *
 * and sum dz = 0: the convolution's bias in front of it has no gradient.
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
    float *dz, *dgamma, *dbeta, *dbias;
    const float *dy;
    const nl_k_moments *saved;
    Sums<float, 2> *sums; /* sum_parts of each set; not looked at where sum_parts is 0 */
    int sum_parts, parts;
};

/* Sums of g and g d over one part of a channel, for every thread of the block. */
template <int K, int V>
__device__ Sums<float, 2> channel_sums(const Backward &b, const Stage &t, int set, int parts,
                                       int part) {
    const Affine a = affine_of(t, b.saved[set], set);
    const Range r = part_of(t.planes * t.units, parts, part);
    Sums<float, 2> s;
    for (int i = r.begin + static_cast<int>(threadIdx.x); i < r.end;
         i += static_cast<int>(blockDim.x)) {
        const int row = i / t.units;
        unit_sums<K, V>(s, b.dy, t, a, plane_of(t, set, row), i - row * t.units);
    }
    block_sum(s);
    return s;
}

template <int K, int V>
__global__ __launch_bounds__(kThreads, 1) void norm_batch_sums(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.sum_parts;
    const int part = static_cast<int>(blockIdx.x) % b.sum_parts;
    const Sums<float, 2> s = channel_sums<K, V>(b, t, set, b.sum_parts, part);
    if (threadIdx.x == 0) b.sums[blockIdx.x] = s;
}

template <int K, int V>
__global__ __launch_bounds__(kMaxThreads, 1) void norm_batch_dz(const Backward b, const Stage t) {
    const int set = static_cast<int>(blockIdx.x) / b.parts,
              part = static_cast<int>(blockIdx.x) % b.parts;
    Sums<float, 2> s;
    if (b.sum_parts == 0) {
        s = channel_sums<K, V>(b, t, set, 1, 0);
    } else {
        if (lane_id() < b.sum_parts) s = b.sums[set * b.sum_parts + lane_id()];
        warp_sum(s);
    }
    const nl_k_moments m = b.saved[set];
    const float gamma = t.gamma[set], count = static_cast<float>(t.planes * t.hw);
    const float dbeta = s.v[0], dgamma = s.v[1] * m.rstd;
    if (part == 0 && threadIdx.x == 0) {
        b.dbeta[set] = dbeta;
        b.dgamma[set] = dgamma;
        b.dbias[set] = dgamma * 0.0f; // 0, unless the channel is poisoned
    }
    part_dz<K, V, true>(b.dz, b.dy, t, m, gamma * (dbeta / count), gamma * (dgamma / count), set,
                        b.parts, part);
}

struct LaunchBackward {
    Backward b;
    Stage t;
    void *stream;

    template <int K, int V> int run() const {
        Backward c = b;
        const int each = K == 0 ? 4 : 1;
        if (owns_set(t)) {
            c.parts = 1;
            NL_LAUNCH((norm_batch_dz<K, V>), t.sets, threads_for(t.planes * (t.hw / V)), 0, stream,
                      c, t);
            return launched();
        }
        c.sum_parts = c.parts = parts_for(t.planes * t.units, each);
        NL_LAUNCH((norm_batch_sums<K, V>), t.sets * c.sum_parts, kThreads, 0, stream, c, t);
        NL_LAUNCH((norm_batch_dz<K, V>), t.sets * c.parts, kThreads, 0, stream, c, t);
        return launched();
    }
};

} // namespace

int nl_k_norm_batch_forward(float *y, nl_k_moments *saved, float *fresh_mean, float *fresh_var,
                            const float *z, const float *bias, const float *gamma,
                            const float *beta, const nl_k_shape *s, float eps,
                            const nl_k_dropout *drop, void *scratch, void *stream) {
    NL_ASSERT(y && saved && fresh_mean && fresh_var && z && bias && gamma && beta && scratch);
    NL_ASSERT(static_cast<int64_t>(s->n) * s->h * s->w > 1);
    if (too_large(s)) return cudaErrorInvalidValue;
    const int v = vector_width(s, z, s->pool ? z : y);
    const Stage t = make_stage(z, bias, gamma, beta, s, drop, Sets::channels, v);
    Forward f = {};
    f.y = y, f.saved = saved, f.fresh_mean = fresh_mean, f.fresh_var = fresh_var;
    f.moments = static_cast<Part *>(scratch), f.eps = eps, f.source = Source::parts;
    return by_shape(s, v, LaunchForward{f, t, stream});
}

int nl_k_norm_batch_eval(float *y, const float *z, const float *bias, const float *gamma,
                         const float *beta, const float *running_mean, const float *running_var,
                         const nl_k_shape *s, float eps, void *stream) {
    NL_ASSERT(y && z && bias && gamma && beta && running_mean && running_var);
    if (too_large(s)) return cudaErrorInvalidValue;
    const int v = vector_width(s, z, s->pool ? z : y);
    const Stage t = make_stage(z, bias, gamma, beta, s, nullptr, Sets::channels, v);
    Forward f = {};
    f.y = y, f.r_mean = running_mean, f.r_var = running_var, f.eps = eps,
    f.source = Source::running;
    return by_shape(s, v, LaunchForward{f, t, stream});
}

int nl_k_norm_batch_backward(float *dz, float *dgamma, float *dbeta, float *dbias, const float *dy,
                             const float *z, const float *bias, const float *gamma,
                             const float *beta, const nl_k_moments *saved, const nl_k_shape *s,
                             const nl_k_dropout *drop, void *scratch, void *stream) {
    NL_ASSERT(dz && dgamma && dbeta && dbias && dy && z && bias && gamma && beta && saved &&
              scratch);
    if (too_large(s)) return cudaErrorInvalidValue;
    const int v = vector_width(s, z, dz) == 4 ? vector_width(s, z, s->pool ? z : dy) : 1;
    const Stage t = make_stage(z, bias, gamma, beta, s, drop, Sets::channels, v);
    Backward b = {};
    b.dz = dz, b.dgamma = dgamma, b.dbeta = dbeta, b.dbias = dbias, b.dy = dy, b.saved = saved;
    b.sums = static_cast<Sums<float, 2> *>(scratch);
    return by_shape(s, v, LaunchBackward{b, t, stream});
}
