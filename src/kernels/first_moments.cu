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
 * S by lags: the taps (y, x) and (y + d, x') of all positions multiply pixels of two rows that are d
 * apart. So each row r gives k x k sums over its columns of products with row r + d, and the entries
 * of S that belong to d are sums of these over the rows that their first tap sees.
 *
 * Groups have their moments at once. A channel's over the batch are pooled by the last block to
 * come: all images have the same number of positions, so the mean is that of the means.
 */
#include "first_block.cuh" // First

namespace {

/* What a block holds in shared memory; see moments_shared. */
struct MomentsRoom {
    double *m, *ubar, *mean, *m2, *form, *at_ubar; /* (taps, taps), (taps), channels ... */
    float *pixels, *lagged, *row_sums, *filter;
    int rows, columns;
};

__device__ inline MomentsRoom moments_room(double *shared, const First &f) {
    const int taps = f.taps, most = kMostPerLane * kWarp, kk = f.k * f.k;
    const int lags = f.channels * f.k + f.channels * (f.channels - 1) / 2 * (2 * f.k - 1);
    MomentsRoom r;
    r.rows = f.h + 2 * f.pad, r.columns = (f.w + 2 * f.pad) | 1; // odd: no two rows share a bank
    r.m = shared, r.ubar = r.m + taps * taps, r.mean = r.ubar + taps, r.m2 = r.mean + most;
    r.form = r.m2 + most, r.at_ubar = r.form + 2 * most;
    r.pixels = reinterpret_cast<float *>(r.at_ubar + 2 * most);
    r.lagged = r.pixels + f.channels * r.rows * r.columns;
    r.row_sums = r.lagged + lags * r.rows * kk;
    r.filter = r.row_sums + f.channels * r.rows * f.k;
    return r;
}

/* The image's means, which of equal pixels are exactly their value. */
__device__ inline void find_centre(const First &f, int image) {
    const int size = f.h * f.w;
    for (int c = 0; c < f.channels; c++) {
        const float *x = f.x + (image * f.channels + c) * size;
        Sums<Twofold, 1> s;
        for (int i = static_cast<int>(threadIdx.x); i < size; i += kFirstThreads) s.v[0] += x[i];
        block_sum(s);
        if (threadIdx.x == 0)
            f.at.centre[image * f.channels + c] = static_cast<float>(s.v[0].wide() / size);
    }
    __syncthreads();
}

// --- sums over the columns of a row ---

/* The k x k sums of row a with row b. */
template <int K> __device__ void multiply_rows(float *out, const float *a, const float *b, int ow) {
    float s[K][K] = {}, u[K + 3], v[K + 3];
#pragma unroll
    for (int i = 0; i < K - 1; i++) u[i] = a[i], v[i] = b[i];
    int x = 0;
    for (; x + 4 <= ow; x += 4) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            u[K - 1 + i] = a[x + K - 1 + i], v[K - 1 + i] = b[x + K - 1 + i];
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < K * K; j++) s[j / K][j % K] += u[i + j / K] * v[i + j % K];
        }
#pragma unroll
        for (int i = 0; i < K - 1; i++) u[i] = u[i + 4], v[i] = v[i + 4];
    }
    for (; x < ow; x++) {
#pragma unroll
        for (int j = 0; j < K * K; j++) s[j / K][j % K] += a[x + j / K] * b[x + j % K];
    }
#pragma unroll
    for (int j = 0; j < K * K; j++) out[j] = s[j / K][j % K];
}

/* A lag: rows of channel a with rows of channel b so many further down. Within a channel the others
 * are the same turned round. */
struct Lag {
    int a, b, down;
};
template <int K, int CI> __device__ Lag lag_of(int i) {
    if (i < CI * K) return {i / K, i / K, i % K};
    const int pair = (i - CI * K) / (2 * K - 1), down = (i - CI * K) % (2 * K - 1) - (K - 1);
    return {pair == 2 ? 1 : 0, pair == 0 ? 1 : 2, down};
}
template <int K, int CI> __device__ int lag_number(Lag l) {
    if (l.a == l.b) return l.a * K + l.down;
    return CI * K + (l.a + l.b - 1) * (2 * K - 1) + l.down + K - 1;
}

/* A warp a lag, or channel by itself, its lanes over the rows. */
template <int K, int CI> __device__ void sum_rows(const MomentsRoom &r, const First &f) {
    constexpr int lags = CI * K + CI * (CI - 1) / 2 * (2 * K - 1);
    const int plane = r.rows * r.columns;
    for (int i = warp_id(); i < lags; i += kFirstWarps) {
        const Lag l = lag_of<K, CI>(i);
        for (int row = lane_id(); row < r.rows; row += kWarp) {
            const int other = row + l.down;
            if (other < 0 || other >= r.rows) continue; // no tap sees both
            multiply_rows<K>(r.lagged + (i * r.rows + row) * K * K,
                             r.pixels + l.a * plane + row * r.columns,
                             r.pixels + l.b * plane + other * r.columns, f.ow);
        }
    }
    for (int i = kFirstWarps - 1 - warp_id(); i < CI * K; i += kFirstWarps) {
        const int c = i / K, v = i % K;
        for (int row = lane_id(); row < r.rows; row += kWarp) {
            const float *u = r.pixels + c * plane + row * r.columns + v;
            float sum = 0;
            for (int x = 0; x < f.ow; x++) sum += u[x];
            r.row_sums[(c * r.rows + row) * K + v] = sum;
        }
    }
    __syncthreads();
}

// --- sums over the rows ---

__device__ inline double sum_down(const float *from, int rows, int step) {
    double sum = 0;
    for (int i = 0; i < rows; i++) sum += from[i * step];
    return sum;
}

/* S, and ubar. */
template <int K, int CI> __device__ void sum_taps(const MomentsRoom &r, const First &f) {
    constexpr int taps = K * K * CI, lines = K * CI; // a line of taps: channel, row
    constexpr int pairs = lines * (lines + 1) / 2;
    for (int i = static_cast<int>(threadIdx.x); i < pairs * K * K + taps; i += kFirstThreads) {
        if (i >= pairs * K * K) {
            const int t = i - pairs * K * K, c = t / (K * K), y = t / K % K;
            r.ubar[t] = sum_down(r.row_sums + (c * r.rows + y) * K + t % K, f.oh, K) / f.hw;
            continue;
        }
        int low = 0, high = i / (K * K); // of the pair's two lines
        for (; high >= lines - low; low++) high -= lines - low;
        high += low;
        const Lag l = {low / K, high / K, high % K - low % K};
        const float *from =
            r.lagged + (lag_number<K, CI>(l) * r.rows + low % K) * K * K + i % (K * K);
        const int t = low * K + i / K % K, u = high * K + i % K;
        const double sum = sum_down(from, f.oh, K * K);
        r.m[t * taps + u] = sum;
        if (low != high) r.m[u * taps + t] = sum;
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < taps * taps; i += kFirstThreads)
        r.m[i] -= f.hw * r.ubar[i / taps] * r.ubar[i % taps];
    __syncthreads();
}

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
    return {mean, 1.0f / sqrtf(v + eps) + 0.0f * v,
            v}; // NaN, not 0, for a variance past all floats
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
        const size_t shared = moments_shared(f);
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
    size_t most = moments_shared(f);
    for (const size_t bytes : {forward_shared(f), backward_shared(f)})
        most = bytes > most ? bytes : most;
    return most + kFixedShared;
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
