/* Sums over the patches of an image, which a block owns: S and ubar (first_moments.cu has the formulas).
 *
 * S by lags: the taps (y, x) and (y + d, x') of all positions multiply pixels of two rows that are d
 * apart. So each row r gives k x k sums over its columns of products with row r + d, and the entries
 * of S that belong to d are sums of these over the rows that their first tap sees.
 */
#pragma once

#include "first_block.cuh" // First

namespace {

/* What a block holds in shared memory; see moments_places. */
struct MomentsRoom {
    double *m, *ubar, *mean, *m2, *form, *at_ubar; /* (taps, taps), (taps), channels ... */
    float *pixels, *lagged, *row_sums, *filter;
    int rows, columns;
};

__device__ inline MomentsRoom moments_room(double *shared, const First &f) {
    const MomentsPlaces at = moments_places(f);
    constexpr int most = kMostPerLane * kWarp, doubles = sizeof(double) / sizeof(float);
    float *const floats = reinterpret_cast<float *>(shared);
    MomentsRoom r;
    r.rows = at.rows, r.columns = at.columns;
    r.m = shared, r.ubar = shared + at.ubar / doubles, r.mean = shared + at.mean / doubles;
    r.m2 = r.mean + most, r.form = r.m2 + most, r.at_ubar = r.form + 2 * most;
    r.pixels = floats + at.pixels, r.lagged = floats + at.lagged;
    r.row_sums = floats + at.row_sums, r.filter = floats + at.filter;
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

} // namespace
