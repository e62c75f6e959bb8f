/* The first block without conv1's tensor: what its kernels share.
 *
 * A patch p holds the taps of one position, zeros outside the image included, so that
 *
 *     z_c = w_c . p + b_c
 *
 * With pbar the mean of the patches of a set, q = p - pbar and M = sum q q^T, mean and variance of
 * every channel follow before conv1 has run; with g the gradient of the norm's output,
 *
 *     G_c  = sum g q
 *     S1_c = sum g
 *
 * give all gradients behind it. From every pixel, those of the border too, the image's mean s is
 * taken off before anything is summed: u = p - s. A norm's y is then relu(w' . u + offset) with the
 * norm's scale in w'.
 *
 * An image is cut into parts of whole rows, one for a block; the positions of a row into quads and,
 * where 4 does not divide it, singles: the units, of which a warp takes one at a time. A lane owns
 * the channels lane, lane + 32, ..., and keeps their taps in registers.
 */
#pragma once

#include "first_shape.cuh" // First

namespace {

// --- what a block works on ---

struct FirstPart {
    int image, row, rows; /* of the output */
    int quads, singles;
};

__device__ inline FirstPart first_part(const First &f) {
    const int image = static_cast<int>(blockIdx.x), row = static_cast<int>(blockIdx.y) * f.rows;
    const int rows = f.oh - row < f.rows ? f.oh - row : f.rows;
    return {image, row, rows, rows * f.quads, rows * f.singles};
}

/* This warp's share of so many units, as even as it can be. */
__device__ inline Range share_of_warp(int units) {
    const int each = units / kFirstWarps, more = units % kFirstWarps, w = warp_id();
    const int begin = w * each + (w < more ? w : more);
    return {begin, begin + each + (w < more)};
}

__device__ inline void find_units(FirstUnit *units, const First &f, const FirstPart &p) {
    for (int row = warp_id(); row < p.rows; row += kFirstWarps) {
        const FirstUnit first = {row * f.pitch, (p.row + row) * f.ow};
        for (int i = lane_id(); i < f.quads; i += kWarp)
            units[row * f.quads + i] = {first.pixel + 4 * i, first.output + 4 * i};
        const int x = 4 * f.quads + lane_id();
        if (lane_id() < f.singles)
            units[p.quads + row * f.singles + lane_id()] = {first.pixel + x, first.output + x};
    }
}

/* Whether a norm's moments are taken: then s is taken off. */
__device__ inline bool has_moments(const First &f) {
    return f.sets != NL_K_SETS_NONE && !f.running;
}

/* u of `rows` padded rows from `row` on, for which there is room for `staged`, of all input
 * channels. */
__device__ inline void stage_pixels(float *to, const First &f, int image, int row, int rows,
                                    int staged, int pitch) {
    for (int c = 0; c < f.channels; c++) {
        const float s = has_moments(f) ? f.at.centre[image * f.channels + c] : 0.0f;
        const float *from = f.x + (image * f.channels + c) * f.h * f.w;
        for (int r = warp_id(); r < rows; r += kFirstWarps) {
            const int y = row + r - f.pad;
            const bool inside = y >= 0 && y < f.h;
            for (int i = lane_id(); i < pitch; i += kWarp) {
                const int x = i - f.pad;
                const float v = inside && x >= 0 && x < f.w ? from[y * f.w + x] : 0.0f;
                to[(c * staged + r) * pitch + i] = v - s;
            }
        }
    }
}

/* V consecutive values of shared memory, which `load` does not reach. */
template <int V> __device__ Pack<V> shared_load(const float *p) {
    if constexpr (V == 4) {
        const float4 q = *reinterpret_cast<const float4 *>(p);
        return {{q.x, q.y, q.z, q.w}};
    } else {
        return {{*p}};
    }
}

// --- conv1, norm and ReLU ---

/* Of a lane's channels; beyond the last one all is 0. */
template <int TAPS, int CH> struct FirstFilter {
    float w[CH][TAPS], offset[CH];
    float dead; /* what a y must be above to have a gradient; NaN: all have */
};

struct FirstMap {
    float scale, offset;
};

/* scale (z - mean) + beta = scale w . u + offset. Where no image of a set varies base is the mean,
 * and the offset exactly beta. */
__device__ inline FirstMap first_map(const First &f, int image, int channel) {
    const nl_k_stage &t = f.stage;
    const double bias = t.bias[channel];
    if (f.sets == NL_K_SETS_NONE) return {1.0f, t.bias[channel]};
    const float gamma = t.gamma[channel];
    const double beta = t.beta[channel];
    if (f.running) {
        const float scale = gamma / sqrtf(t.running_var[channel] + t.eps);
        const double from_mean = bias - t.running_mean[channel];
        return {scale, static_cast<float>(fma(static_cast<double>(scale), from_mean, beta))};
    }
    const int groups = t.shape.groups;
    const FirstSet s = f.sets == NL_K_SETS_CHANNELS
                           ? f.at.set[channel]
                           : f.at.set[image * groups + nl_divide(channel, f.by_size)];
    const float scale = gamma * s.rstd;
    const double from_mean = f.at.base[image * f.c + channel] - s.mean;
    return {scale, static_cast<float>(fma(static_cast<double>(scale), from_mean, beta))};
}

/* staged: (c, taps) floats of shared memory, free again behind the next barrier. */
template <int TAPS, int CH>
__device__ FirstFilter<TAPS, CH> first_filter(float *staged, const First &f, int image) {
    for (int i = static_cast<int>(threadIdx.x); i < f.c * TAPS; i += kFirstThreads)
        staged[i] = f.filter1[i];
    __syncthreads();
    FirstFilter<TAPS, CH> r;
    r.dead = f.stage.shape.relu ? 0.0f : nanf("");
#pragma unroll
    for (int i = 0; i < CH; i++) {
        const int c = lane_id() + i * kWarp;
        const bool there = c < f.c;
        const FirstMap m = there ? first_map(f, image, c) : FirstMap{0.0f, 0.0f};
        r.offset[i] = m.offset;
#pragma unroll
        for (int t = 0; t < TAPS; t++) r.w[i][t] = there ? m.scale * staged[c * TAPS + t] : 0.0f;
    }
    return r;
}

/* The pixels of one row that P neighbouring positions see. */
template <int K, int P> __device__ void load_pixels(float (&u)[P + K - 1], const float *at) {
    if constexpr (P == 4) {
#pragma unroll
        for (int i = 0; i + 4 <= P + K - 1; i += 4) {
            const float4 q = *reinterpret_cast<const float4 *>(at + i);
            u[i] = q.x, u[i + 1] = q.y, u[i + 2] = q.z, u[i + 3] = q.w;
        }
        if constexpr ((P + K - 1) % 4 == 2) {
            const float2 q = *reinterpret_cast<const float2 *>(at + 4);
            u[4] = q.x, u[5] = q.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < K; i++) u[i] = at[i];
    }
}

/* y of a unit of P positions. The way back makes it by this function again: every multiply-add is
 * written as one, so that both have the same bits. */
template <int K, int CI, int CH, int P>
__device__ void first_unit(float (&y)[CH][P], const FirstFilter<K * K * CI, CH> &f,
                           const float *pixels, int pitch, int plane) {
#pragma unroll
    for (int i = 0; i < CH; i++) {
#pragma unroll
        for (int j = 0; j < P; j++) y[i][j] = f.offset[i];
    }
#pragma unroll
    for (int row = 0; row < CI * K; row++) {
        float u[P + K - 1];
        load_pixels<K, P>(u, pixels + row / K * plane + row % K * pitch);
#pragma unroll
        for (int v = 0; v < K; v++) {
#pragma unroll
            for (int i = 0; i < CH; i++) {
#pragma unroll
                for (int j = 0; j < P; j++) y[i][j] = fmaf(f.w[i][row * K + v], u[j + v], y[i][j]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < CH; i++) {
#pragma unroll
        for (int j = 0; j < P; j++) y[i][j] = y[i][j] < f.dead ? 0.0f : y[i][j];
    }
}

// --- sums over the parts of an image ---

/* A row of the sums: tap, S1 (row taps) or output of conv2 (behind it). */
__device__ inline double sum_of_parts(const First &f, int image, int row, int channel) {
    const int rows = f.taps + 1 + f.op;
    const float *from =
        f.at.sums + (static_cast<int64_t>(image) * f.parts * rows + row) * f.cp + channel;
    double sum = 0;
    for (int p = 0; p < f.parts; p++) sum += __ldcg(from + static_cast<int64_t>(p) * rows * f.cp);
    return sum;
}

} // namespace
