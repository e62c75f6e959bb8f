/* The way forward through the first block (first_block.cuh): conv1, norm, ReLU and conv2 in one
 * loop, which writes
 *
 *     z2_o = sum over c of w2_oc relu(w'_c . u + offset_c)
 *
 * A block owns a part of an image. A warp makes y of up to kColumns positions, lane by channel, into
 * its tile; then its lanes take 8 positions, 4 outputs and every fourth channel each, and the four
 * sums of an output meet by shuffles.
 */
#include "first_block.cuh" // First

namespace {

struct ForwardRoom {
    float *pixels, *filter2, *tiles; /* filter2 (op / kOutputs, cp, kOutputs) */
    FirstUnit *units;
};

__device__ inline ForwardRoom forward_room(float *shared, const First &f) {
    const ForwardPlaces at = forward_places(f);
    return {shared, shared + at.filter2, shared + at.tiles,
            reinterpret_cast<FirstUnit *>(shared + at.units)};
}

__device__ inline void stage_filter2(const ForwardRoom &r, const First &f) {
    for (int o = warp_id(); o < f.op; o += kFirstWarps) {
        for (int c = lane_id(); c < f.cp; c += kWarp) {
            const bool there = o < f.outputs && c < f.c;
            r.filter2[(o / kOutputs * f.cp + c) * kOutputs + o % kOutputs] =
                there ? f.filter2[o * f.c + c] : 0.0f;
        }
    }
}

/* Of one lane: 8 positions of one output. */
struct Eight {
    int column, output;
    float v[8];
};

/* What lanes of the same positions and outputs have summed of a quarter of the channels each: with
 * every step a lane keeps half of its outputs, and gives the other half away. */
__device__ inline Eight meet(const float (&sum)[4][8]) {
    const bool high = lane_id() & 16, odd = lane_id() & 8;
    float two[2][8];
    Eight r;
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const float mine = high ? sum[2 + i / 8][i % 8] : sum[i / 8][i % 8];
        const float other = high ? sum[i / 8][i % 8] : sum[2 + i / 8][i % 8];
        two[i / 8][i % 8] = mine + __shfl_xor_sync(kAllLanes, other, 16);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const float mine = odd ? two[1][i] : two[0][i], other = odd ? two[0][i] : two[1][i];
        r.v[i] = mine + __shfl_xor_sync(kAllLanes, other, 8);
    }
    r.column = lane_id() / 4 % 2 * 8;
    r.output = lane_id() % 4 * 4 + 2 * high + odd;
    return r;
}

/* conv2 of a warp's tile, for kOutputs outputs. */
template <int CH> __device__ Eight convolve_tile(const float *tile, const float *filter2) {
    const int quarter = lane_id() / 8, column = lane_id() / 4 % 2 * 8, output = lane_id() % 4 * 4;
    const float *y = tile + quarter * kPitch + column;
    const float *by = filter2 + quarter * kOutputs + output;
    float sum[4][8] = {};
#pragma unroll 4
    for (int c = 0; c < CH * kWarp; c += 4) {
        const Pack<4> low = shared_load<4>(y + c * kPitch),
                      high = shared_load<4>(y + c * kPitch + 4),
                      w = shared_load<4>(by + c * kOutputs);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                sum[i][j] = fmaf(w.v[i], low.v[j], sum[i][j]);
                sum[i][4 + j] = fmaf(w.v[i], high.v[j], sum[i][4 + j]);
            }
        }
    }
    return meet(sum);
}

/* y of a unit into the tile's columns. */
template <int K, int CI, int CH, int P>
__device__ void make_columns(float *column, const FirstFilter<K * K * CI, CH> &filter,
                             const float *pixels, const First &f) {
    float y[CH][P];
    first_unit<K, CI, CH, P>(y, filter, pixels, f.pitch, f.staged * f.pitch);
#pragma unroll
    for (int i = 0; i < CH; i++) {
        float *to = column + (lane_id() + i * kWarp) * kPitch;
        if constexpr (P == 4) {
            *reinterpret_cast<float4 *>(to) = make_float4(y[i][0], y[i][1], y[i][2], y[i][3]);
        } else {
            *to = y[i][0];
        }
    }
}

/* A lane's 8 positions of the units from `first` on, `count` of which are in the tile. */
template <int P>
__device__ void store_eight(const First &f, const FirstUnit *units, int count, float *z,
                            const Eight &r) {
#pragma unroll
    for (int i = 0; i < 8; i += P) {
        const int unit = (r.column + i) / P;
        if (unit >= count) continue;
        float *to = z + units[unit].output;
        if (P == 4 && f.vector) {
            *reinterpret_cast<float4 *>(to) =
                make_float4(r.v[i], r.v[i + 1], r.v[i + 2], r.v[i + 3]);
        } else {
#pragma unroll
            for (int j = 0; j < P; j++) to[j] = r.v[i + j];
        }
    }
}

/* This warp's share of the units of P positions. */
template <int K, int CI, int CH, int P>
__device__ void make_units(const ForwardRoom &r, const First &f,
                           const FirstFilter<K * K * CI, CH> &filter, const FirstUnit *units,
                           Range share, int image) {
    float *tile = r.tiles + warp_id() * f.cp * kPitch;
    for (; share.begin < share.end; share.begin += kColumns / P) {
        const int left = share.end - share.begin, count = left < kColumns / P ? left : kColumns / P;
        const FirstUnit *at = units + share.begin;
        for (int i = 0; i < count; i++)
            make_columns<K, CI, CH, P>(tile + i * P, filter, r.pixels + at[i].pixel, f);
        __syncwarp();
        for (int o = 0; o < f.op; o += kOutputs) {
            const Eight z = convolve_tile<CH>(tile, r.filter2 + o * f.cp);
            const int output = o + z.output;
            if (output < f.outputs)
                store_eight<P>(f, at, count, f.z2 + (image * f.outputs + output) * f.hw, z);
        }
        __syncwarp(); // the tile is free again
    }
}

template <int K, int CI, int CH>
__global__ __launch_bounds__(kFirstThreads, 1) void first_forward(const First f) {
    NL_SHARED_DYNAMIC(float, shared);
    const FirstPart p = first_part(f);
    const ForwardRoom r = forward_room(shared, f);
    find_units(r.units, f, p);
    stage_pixels(r.pixels, f, p.image, p.row, p.rows + K - 1, f.staged, f.pitch);
    stage_filter2(r, f);
    const FirstFilter<K * K * CI, CH> filter = first_filter<K * K * CI, CH>(r.tiles, f, p.image);
    __syncthreads();
    make_units<K, CI, CH, 4>(r, f, filter, r.units, share_of_warp(p.quads), p.image);
    make_units<K, CI, CH, 1>(r, f, filter, r.units + p.quads, share_of_warp(p.singles), p.image);
}

struct LaunchFirstForward {
    First f;
    void *stream;

    template <int K, int CI, int CH> int run() const {
        const size_t shared = bytes_of(forward_places(f).end);
        const int status = allow_shared(first_forward<K, CI, CH>, shared);
        if (status) return status;
        NL_LAUNCH((first_forward<K, CI, CH>), blocks_of(f), kFirstThreads, shared, stream, f);
        return launched();
    }
};

} // namespace

int nl_k_first_forward(const nl_k_first *first, void *stream) {
    const nl_k_stage &s = first->stage;
    NL_ASSERT(is_made_for(*first) && first->x && first->filter1 && first->filter2 && s.bias);
    NL_ASSERT(first->z2 && first->keep);
    NL_ASSERT(first->sets == NL_K_SETS_NONE || (s.gamma && s.beta));
    NL_ASSERT(!first->running || (s.running_mean && s.running_var));
    if (first_too_large(first)) return cudaErrorInvalidValue;
    const First f = make_first(first);
    return by_patch(f, LaunchFirstForward{f, stream});
}
