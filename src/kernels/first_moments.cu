/* Mean and deviation of the first norm's sets, before conv1 has run: from the moments of the
 * patches (first_block.cuh). A block owns an image. With u = p - s, sums over its positions,
 *
 *     S    = sum u u^T
 *     ubar = sum u / hw
 *     M    = S - hw ubar ubar^T
 *
 *     mean_c = base_c + w_c . ubar         base_c = b_c + s sum(w_c)
 *     m2_c   = w_c . M w_c
 *
 * Groups have their moments at once. A channel's over the batch are pooled by the last block to
 * come: all images have the same number of positions, so the mean is that of the means.
 */
#include "first_patches.cuh" // sum_taps

namespace {

// --- channels ---

/* M w, and from it this half's part of w . M w and w . ubar: two threads a channel, which take
 * turns with the lines of taps. */
template <int K, int CI>
__device__ void weigh(const MomentsRoom &r, const First &f, int image, int channel, int half) {
    constexpr int taps = K * K * CI;
    const float *w = r.filter + channel * taps;
    float *mw = f.at.mw + static_cast<int64_t>(image) * taps * f.cp + channel;
    double form = 0, at_ubar = 0;
    for (int line = half; line < K * CI; line += 2) {
        double v[K] = {};
        for (int u = 0; u < taps; u++) {
            const double by = w[u];
#pragma unroll
            for (int j = 0; j < K; j++) v[j] += r.m[(line * K + j) * taps + u] * by;
        }
#pragma unroll
        for (int j = 0; j < K; j++) {
            const int t = line * K + j;
            mw[t * f.cp] = static_cast<float>(v[j]);
            form += w[t] * v[j];
            at_ubar += w[t] * r.ubar[t];
        }
    }
    r.form[half * kMostPerLane * kWarp + channel] = form;
    r.at_ubar[half * kMostPerLane * kWarp + channel] = at_ubar;
}

/* Where nothing was taken off, nothing comes back, not even of an infinite weight. */
template <int K, int CI>
__device__ double base_of(const float *w, const First &f, int image, int c) {
    double base = f.stage.bias[c];
    for (int i = 0; i < CI; i++) {
        const double s = f.at.centre[image * CI + i];
        double sum = 0;
        for (int t = 0; t < K * K; t++) sum += w[i * K * K + t];
        if (s != 0) base += s * sum;
    }
    return base;
}

template <int K, int CI>
__device__ void weigh_all(const MomentsRoom &r, const First &f, int image) {
    constexpr int most = kMostPerLane * kWarp;
    for (int i = static_cast<int>(threadIdx.x); i < f.c * f.taps; i += kFirstThreads)
        r.filter[i] = f.filter1[i];
    __syncthreads();
    const int channel = static_cast<int>(threadIdx.x) % most;
    if (channel < f.c) weigh<K, CI>(r, f, image, channel, static_cast<int>(threadIdx.x) / most);
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < f.c) {
        const int c = static_cast<int>(threadIdx.x), at = image * f.c + c;
        const double m2 = r.form[c] + r.form[most + c];
        const double base = base_of<K, CI>(r.filter + c * f.taps, f, image, c);
        r.mean[c] = base + (r.at_ubar[c] + r.at_ubar[most + c]);
        r.m2[c] = m2 < 0 ? 0 : m2; // NaN stays
        f.at.base[at] = base, f.at.mean[at] = r.mean[c], f.at.m2[at] = r.m2[c];
    }
    __syncthreads();
}

// --- sets ---

__device__ inline FirstSet set_of(double mean, double var, float eps) {
    const float v = static_cast<float>(var);
    return {mean, 1.0f / sqrtf(v + eps) + 0.0f * v}; // NaN, not 0, for a variance past all floats
}

/* A warp a group. Without centring the moments are about 0. */
__device__ inline void find_groups(const MomentsRoom &r, const First &f, int image) {
    const int groups = f.stage.shape.groups, size = f.size;
    for (int g = warp_id(); g < groups; g += kFirstWarps) {
        Sums<double, 1> mean, var;
        for (int i = lane_id(); i < size; i += kWarp) mean.v[0] += r.mean[g * size + i];
        warp_sum(mean);
        const double about = f.stage.centres ? mean.v[0] / size : 0;
        for (int i = lane_id(); i < size; i += kWarp) {
            const double d = r.mean[g * size + i] - about;
            var.v[0] += r.m2[g * size + i] / f.hw + d * d;
        }
        warp_sum(var);
        if (lane_id() == 0)
            f.at.set[image * groups + g] = set_of(about, var.v[0] / size, f.stage.eps);
    }
}

/* A warp a channel, its lanes over the images. Equal means have exactly their value as theirs. */
__device__ inline void find_channels(const First &f) {
    for (int c = warp_id(); c < f.c; c += kFirstWarps) {
        const double first = __ldcg(f.at.mean + c);
        Sums<double, 1> off, m2;
        for (int i = lane_id(); i < f.n; i += kWarp)
            off.v[0] += __ldcg(f.at.mean + i * f.c + c) - first;
        warp_sum(off);
        const double mean = first + off.v[0] / f.n;
        for (int i = lane_id(); i < f.n; i += kWarp) {
            const double d = __ldcg(f.at.mean + i * f.c + c) - mean;
            m2.v[0] += __ldcg(f.at.m2 + i * f.c + c) + f.hw * d * d;
        }
        warp_sum(m2);
        if (lane_id() != 0) continue;
        const double count = static_cast<double>(f.n) * f.hw;
        f.at.set[c] = set_of(mean, m2.v[0] / count, f.stage.eps);
        f.stage.fresh_mean[c] = static_cast<float>(mean);
        f.stage.fresh_var[c] = static_cast<float>(m2.v[0] / (count - 1));
    }
}

template <int K, int CI>
__global__ __launch_bounds__(kFirstThreads) void first_moments(const First f) {
    NL_SHARED_DYNAMIC(double, shared);
    const int image = static_cast<int>(blockIdx.x);
    const MomentsRoom r = moments_room(shared, f);
    find_centre(f, image);
    stage_pixels(r.pixels, f, image, 0, r.rows, r.rows, r.columns);
    __syncthreads();
    sum_rows<K, CI>(r, f);
    sum_taps<K, CI>(r, f);
    for (int i = static_cast<int>(threadIdx.x); i < f.taps; i += kFirstThreads)
        f.at.patch[image * f.taps + i] = r.ubar[i];
    weigh_all<K, CI>(r, f, image);
    if (f.sets == NL_K_SETS_GROUPS) {
        find_groups(r, f, image);
    } else if (last_to_come(f.stage.counters, f.n)) {
        find_channels(f);
    }
}

struct LaunchMoments {
    First f;
    void *stream;

    template <int K, int CI, int CH> int run() const {
        const size_t shared = bytes_of(moments_places(f).end);
        const int status = allow_shared(first_moments<K, CI>, shared);
        if (status) return status;
        NL_LAUNCH((first_moments<K, CI>), static_cast<unsigned>(f.n), kFirstThreads, shared, stream,
                  f);
        return launched();
    }
};

} // namespace

size_t nl_k_first_shared(const nl_k_first *first) {
    if (!is_made_for(*first)) return 0;
    const First f = make_first(first);
    int most = moments_places(f).end;
    for (const int floats : {forward_places(f).end, backward_places(f).end})
        most = floats > most ? floats : most;
    return bytes_of(most) + kFixedShared;
}

size_t nl_k_first_keep(const nl_k_first *first) {
    First f = make_first(first);
    return lay_out(f.at, f, nullptr);
}

int nl_k_first_counters(const nl_k_first *f) {
    return f->stage.shape.n > kMostPerLane ? f->stage.shape.n : kMostPerLane;
}

int nl_k_first_moments(const nl_k_first *first, void *stream) {
    const nl_k_stage &s = first->stage;
    NL_ASSERT(is_made_for(*first) && first->sets != NL_K_SETS_NONE && !first->running);
    NL_ASSERT(first->x && first->filter1 && s.bias && first->keep && s.counters);
    NL_ASSERT(first->sets != NL_K_SETS_CHANNELS || (s.fresh_mean && s.fresh_var));
    if (first_too_large(first)) return cudaErrorInvalidValue;
    const First f = make_first(first);
    return by_patch(f, LaunchMoments{f, stream});
}
