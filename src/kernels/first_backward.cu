/* The way back through the first block (first_block.cuh), from dz2: the sums over each part
 *
 *     dw2_oc = sum dz2_o y_c
 *     G'_c   = sum g_c u
 *     S1_c   = sum g_c              g_c = sum over o of w2_oc dz2_o where y_c > 0
 *
 * in two loops over a block's units, so that what a lane sums stays in its registers: the first
 * makes y again and keeps its mask; the second makes g.
 *
 * Where the sets are groups, the last part of an image to come finds what its channels' gradients
 * are made of. Over a group of m values, dc = mean_c - mean,
 *
 *     S2_c   = rstd (w_c . G_c + dc S1_c)             G_c = G'_c - ubar S1_c
 *     A      = sum gamma S1 / m
 *     B      = sum gamma S2 / m
 *     slope  = -rstd^2 B
 *     sum_dz = rstd (gamma S1_c - hw A - hw rstd B dc)
 */
#include "first_block.cuh" // First

namespace {

struct BackwardRoom {
    float *pixels, *filter2, *dz, *slots; /* filter2 (op, cp); dz: see dz_pitch */
    uint32_t *alive;                      /* (units, lanes) */
    FirstUnit *units;
};

__device__ inline BackwardRoom backward_room(float *shared, const First &f) {
    const BackwardPlaces at = backward_places(f);
    return {shared,
            shared + at.filter2,
            shared + at.dz,
            shared + at.slots,
            reinterpret_cast<uint32_t *>(shared + at.alive),
            reinterpret_cast<FirstUnit *>(shared + at.units)};
}

__device__ inline void stage_filter2(const BackwardRoom &r, const First &f) {
    for (int o = warp_id(); o < f.op; o += kFirstWarps) {
        for (int c = lane_id(); c < f.cp; c += kWarp)
            r.filter2[o * f.cp + c] = o < f.outputs && c < f.c ? f.filter2[o * f.c + c] : 0.0f;
    }
}

/* dz2 of the part. */
__device__ inline void stage_dz(const BackwardRoom &r, const First &f, const FirstPart &p) {
    const int quad = dz_pitch(f.op, 4), single = dz_pitch(f.op, 1);
    for (int o = warp_id(); o < f.op; o += kFirstWarps) {
        const float *from = f.dz2 + (p.image * f.outputs + o) * f.hw;
        float *quads = r.dz + 4 * o, *singles = r.dz + p.quads * quad + o;
        const bool there = o < f.outputs;
        for (int i = lane_id(); i < p.quads; i += kWarp) {
            const float *at = from + r.units[i].output;
            Pack<4> q = {};
            if (there && f.vector) {
                q = load<4>(at);
            } else if (there) {
                for (int j = 0; j < 4; j++) q.v[j] = at[j];
            }
            store(quads + i * quad, q);
        }
        for (int i = lane_id(); i < p.singles; i += kWarp)
            singles[i * single] = there ? from[r.units[p.quads + i].output] : 0.0f;
    }
}

/* What all warps have summed, N values of each lane, which put(value, sum) takes: in the order of
 * the warps. */
template <int N, typename F>
__device__ void total_of_warps(const float (&v)[N], float *slots, const F &put) {
#pragma unroll
    for (int first = 0; first < N; first += kOutputs) {
#pragma unroll
        for (int j = 0; j < kOutputs && first + j < N; j++)
            slots[(warp_id() * kOutputs + j) * kWarp + lane_id()] = v[first + j];
        __syncthreads();
        for (int j = warp_id(); j < kOutputs && first + j < N; j += kFirstWarps) {
            float sum = 0;
            for (int w = 0; w < kFirstWarps; w++)
                sum += slots[(w * kOutputs + j) * kWarp + lane_id()];
            put(first + j, sum);
        }
        __syncthreads();
    }
}

// --- the first loop ---

/* Of the units of P positions: y, its mask, and its products with dz2 of kOutputs outputs. */
template <int K, int CI, int CH, int P>
__device__ void multiply_units(float (&sum)[CH * kOutputs], const BackwardRoom &r, const First &f,
                               const FirstFilter<K * K * CI, CH> &filter, int first, Range share,
                               const float *dz) {
    for (int i = share.begin; i < share.end; i++) {
        float y[CH][P];
        first_unit<K, CI, CH, P>(y, filter, r.pixels + r.units[first + i].pixel, f.pitch,
                                 f.staged * f.pitch);
        uint32_t alive = 0;
#pragma unroll
        for (int j = 0; j < CH * P; j++) alive |= (y[j / P][j % P] <= filter.dead ? 0u : 1u) << j;
        r.alive[(first + i) * kWarp + lane_id()] = alive;
        const float *at = dz + i * dz_pitch(f.op, P);
#pragma unroll
        for (int o = 0; o < kOutputs; o++) {
            const Pack<P> d = shared_load<P>(at + o * P);
#pragma unroll
            for (int j = 0; j < CH * P; j++) {
                const int c = j / P;
                sum[c * kOutputs + o] = fmaf(y[c][j % P], d.v[j % P], sum[c * kOutputs + o]);
            }
        }
    }
}

// --- the second loop ---

template <int TAPS, int CH> struct BackwardSums { float g[CH * TAPS], s1[CH]; };

/* g of a unit, before its mask. */
template <int CH, int P>
__device__ void make_g(float (&g)[CH][P], const float *filter2, const First &f, const float *dz) {
#pragma unroll
    for (int j = 0; j < CH * P; j++) g[j / P][j % P] = 0;
#pragma unroll 4
    for (int o = 0; o < f.outputs; o++) {
        const Pack<P> d = shared_load<P>(dz + o * P);
#pragma unroll
        for (int i = 0; i < CH; i++) {
            const float w = filter2[(o * CH + i) * kWarp];
#pragma unroll
            for (int j = 0; j < P; j++) g[i][j] = fmaf(w, d.v[j], g[i][j]);
        }
    }
}

template <int K, int CI, int CH, int P>
__device__ void sum_units(BackwardSums<K * K * CI, CH> &sum, const BackwardRoom &r, const First &f,
                          int first, Range share, const float *dz) {
    constexpr int taps = K * K * CI;
    for (int i = share.begin; i < share.end; i++) {
        float g[CH][P];
        make_g<CH, P>(g, r.filter2 + lane_id(), f, dz + i * dz_pitch(f.op, P));
        const uint32_t alive = r.alive[(first + i) * kWarp + lane_id()];
#pragma unroll
        for (int j = 0; j < CH * P; j++) {
            g[j / P][j % P] = alive >> j & 1 ? g[j / P][j % P] : 0.0f;
            sum.s1[j / P] += g[j / P][j % P];
        }
        const float *pixels = r.pixels + r.units[first + i].pixel;
#pragma unroll
        for (int row = 0; row < CI * K; row++) {
            float u[P + K - 1];
            load_pixels<K, P>(u, pixels + (row / K * f.staged + row % K) * f.pitch);
#pragma unroll
            for (int v = 0; v < K; v++) {
#pragma unroll
                for (int j = 0; j < CH * P; j++) {
                    float &to = sum.g[j / P * taps + row * K + v];
                    to = fmaf(g[j / P][j % P], u[v + j % P], to);
                }
            }
        }
    }
}

// --- the end of an image ---

__device__ inline void finish_image(double *means, const First &f, int image) {
    const int groups = f.stage.shape.groups, size = f.size, most = kMostPerLane * kWarp;
    const int c = static_cast<int>(threadIdx.x), at = image * f.c + c;
    const FirstSet *sets = f.at.set + image * groups;
    double s1 = 0, s2 = 0, gamma = 0, dc = 0;
    if (c < f.c) {
        const FirstSet set = sets[nl_divide(c, f.by_size)];
        double by_w = 0;
        s1 = sum_of_parts(f, image, f.taps, c);
        for (int t = 0; t < f.taps; t++) {
            const double g = sum_of_parts(f, image, t, c) - f.at.patch[image * f.taps + t] * s1;
            by_w += f.filter1[c * f.taps + t] * g;
        }
        gamma = f.stage.gamma[c], dc = f.at.mean[at] - set.mean;
        s2 = set.rstd * (by_w + dc * s1);
        f.at.s2[at] = s2;
        means[c] = gamma * s1, means[most + c] = gamma * s2;
    }
    __syncthreads();
    for (int g = warp_id(); g < groups; g += kFirstWarps) {
        Sums<double, 2> s;
        for (int i = lane_id(); i < size; i += kWarp) {
            s.v[0] += means[g * size + i];
            s.v[1] += means[most + g * size + i];
        }
        warp_sum(s);
        __syncwarp();
        if (lane_id() != 0) continue;
        const double count = static_cast<double>(size) * f.hw;
        means[2 * most + g] = f.stage.centres ? s.v[0] / count : 0;
        means[3 * most + g] = s.v[1] / count;
    }
    __syncthreads();
    if (c >= f.c) return;
    const double rstd = sets[nl_divide(c, f.by_size)].rstd,
                 A = means[2 * most + nl_divide(c, f.by_size)],
                 B = means[3 * most + nl_divide(c, f.by_size)];
    f.at.slope[at] = -rstd * rstd * B;
    f.at.sum_dz[at] = rstd * (gamma * s1 - f.hw * (A + rstd * B * dc));
}

template <int K, int CI, int CH>
__global__ __launch_bounds__(kFirstThreads, 1) void first_backward(const First f) {
    NL_SHARED_DYNAMIC(float, shared);
    constexpr int taps = K * K * CI;
    const FirstPart p = first_part(f);
    const BackwardRoom r = backward_room(shared, f);
    find_units(r.units, f, p);
    stage_pixels(r.pixels, f, p.image, p.row, p.rows + K - 1, f.staged, f.pitch);
    stage_filter2(r, f);
    const FirstFilter<taps, CH> filter = first_filter<taps, CH>(r.slots, f, p.image);
    stage_dz(r, f, p);
    __syncthreads();
    const Range quads = share_of_warp(p.quads), singles = share_of_warp(p.singles);
    const float *dz_singles = r.dz + p.quads * dz_pitch(f.op, 4);
    float *out = f.at.sums +
                 (static_cast<int64_t>(p.image) * f.parts + blockIdx.y) * (taps + 1 + f.op) * f.cp +
                 lane_id();
    for (int o = 0; o < f.op; o += kOutputs) {
        float sum[CH * kOutputs] = {};
        multiply_units<K, CI, CH, 4>(sum, r, f, filter, 0, quads, r.dz + 4 * o);
        multiply_units<K, CI, CH, 1>(sum, r, f, filter, p.quads, singles, dz_singles + o);
        total_of_warps(sum, r.slots, [&](int i, float total) {
            out[(taps + 1 + o + i % kOutputs) * f.cp + i / kOutputs * kWarp] = total;
        });
    }
    BackwardSums<taps, CH> sum = {};
    sum_units<K, CI, CH, 4>(sum, r, f, 0, quads, r.dz);
    sum_units<K, CI, CH, 1>(sum, r, f, p.quads, singles, dz_singles);
    total_of_warps(sum.g, r.slots,
                   [&](int i, float total) { out[i % taps * f.cp + i / taps * kWarp] = total; });
    total_of_warps(sum.s1, r.slots,
                   [&](int i, float total) { out[taps * f.cp + i * kWarp] = total; });
    if (f.sets != NL_K_SETS_GROUPS) return;
    if (last_to_come(f.stage.counters + p.image, f.parts))
        finish_image(reinterpret_cast<double *>(shared), f, p.image);
}

struct LaunchFirstBackward {
    First f;
    void *stream;

    template <int K, int CI, int CH> int run() const {
        const size_t shared = bytes_of(backward_places(f).end);
        const int status = allow_shared(first_backward<K, CI, CH>, shared);
        if (status) return status;
        NL_LAUNCH((first_backward<K, CI, CH>), blocks_of(f), kFirstThreads, shared, stream, f);
        return launched();
    }
};

} // namespace

int nl_k_first_backward(const nl_k_first *first, void *stream) {
    const nl_k_stage &s = first->stage;
    NL_ASSERT(is_made_for(*first) && first->x && first->filter1 && first->filter2 && s.bias);
    NL_ASSERT(first->dz2 && first->keep && s.counters && !first->running);
    NL_ASSERT(first->sets == NL_K_SETS_NONE || (s.gamma && s.beta));
    if (first_too_large(first)) return cudaErrorInvalidValue;
    const First f = make_first(first);
    return by_patch(f, LaunchFirstBackward{f, stream});
}
