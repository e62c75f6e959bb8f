/* The gradients of the first block (first_block.cuh) from what first_backward.cu has summed of each
 * image: dw2 = sum over the images, and, with M_i w_c, ubar_i of first_moments.cu,
 *
 *     no norm   dw_c = sum_i G'_i                                        db = sum_i S1
 *     groups    dw_c = sum_i rstd gamma (G'_i - ubar_i S1_i) + slope M_i w_c + sum_dz pbar_i
 *               dgamma = sum_i S2    dbeta = sum_i S1    db = sum_i sum_dz
 *     channels  G    = sum_i G'_i - (pbar - s_i) S1_i
 *               M w  = sum_i M_i w + hw (pbar_i - pbar) (mean_i - mean)
 *               S2   = rstd w . G
 *               dw   = rstd (gamma G - gamma S2 / m rstd M w)
 *               dgamma = S2    dbeta = S1    db = 0, but NaN where they or gamma are
 *
 * with pbar_i = ubar_i + s_i. A block owns one row (a tap, S1, or an output of conv2) of 32
 * channels: a lane a channel, warps over the images. Where the sets are channels, the last block to
 * come of its 32 makes the gradients of the totals.
 */
#include "first_block.cuh" // First

namespace {

struct Place {
    int row, channel;
};

// --- one image's part of a row ---

/* Input channel of a tap; there are at most three. */
__device__ inline int channel_of(const First &f, int tap) {
    return (tap >= f.k * f.k) + (tap >= 2 * f.k * f.k);
}

__device__ inline double patch_mean(const First &f, int image, int tap) {
    const int c = channel_of(f, tap);
    return f.at.patch[image * f.taps + tap] + f.at.centre[image * f.channels + c];
}

__device__ inline double mw_of(const First &f, int image, Place p) {
    return f.at.mw[(static_cast<int64_t>(image) * f.taps + p.row) * f.cp + p.channel];
}

/* dw of an image whose sets are groups. */
__device__ inline double group_gradient(const First &f, int image, Place p) {
    const int groups = f.stage.shape.groups, at = image * f.c + p.channel;
    const FirstSet set = f.at.set[image * groups + nl_divide(p.channel, f.by_size)];
    const double scale = static_cast<double>(set.rstd) * f.stage.gamma[p.channel];
    const double g = sum_of_parts(f, image, p.row, p.channel) -
                     f.at.patch[image * f.taps + p.row] * sum_of_parts(f, image, f.taps, p.channel);
    return scale * g + f.at.slope[at] * mw_of(f, image, p) +
           f.at.sum_dz[at] * patch_mean(f, image, p.row);
}

/* Up to three sums of a row: its own, and of S1's row S2 and sum dz, of a batch norm's taps M w.
 * patch: the tap's mean over the batch. */
__device__ inline Sums<double, 3> row_part(const First &f, int image, Place p, double patch) {
    const int at = image * f.c + p.channel;
    Sums<double, 3> s;
    const bool tap = p.row < f.taps;
    if (tap && f.sets == NL_K_SETS_GROUPS) {
        s.v[0] = group_gradient(f, image, p);
        return s;
    }
    s.v[0] = sum_of_parts(f, image, p.row, p.channel);
    if (tap && f.sets == NL_K_SETS_CHANNELS) {
        const double centre = f.at.centre[image * f.channels + channel_of(f, p.row)];
        s.v[0] -= (patch - centre) * sum_of_parts(f, image, f.taps, p.channel);
        s.v[1] = mw_of(f, image, p) + f.hw * (patch_mean(f, image, p.row) - patch) *
                                          (f.at.mean[at] - f.at.set[p.channel].mean);
    }
    if (p.row == f.taps && f.sets == NL_K_SETS_GROUPS)
        s.v[1] = f.at.s2[at], s.v[2] = f.at.sum_dz[at];
    return s;
}

/* Of a tap, over the batch: each warp for itself. */
__device__ inline double patch_mean_of_batch(const First &f, int tap) {
    Sums<double, 1> s;
    for (int i = lane_id(); i < f.n; i += kWarp) s.v[0] += patch_mean(f, i, tap);
    warp_sum(s);
    return s.v[0] / f.n;
}

// --- gradients ---

__device__ inline void put_row(const First &f, Place p, const Sums<double, 3> &s) {
    const nl_k_stage &t = f.stage;
    const float sum = static_cast<float>(s.v[0]);
    if (p.row > f.taps) {
        f.dfilter2[(p.row - f.taps - 1) * f.c + p.channel] = sum;
    } else if (f.sets == NL_K_SETS_CHANNELS) {
        f.at.total[p.row * f.cp + p.channel] = s.v[0];
        if (p.row < f.taps) f.at.total_mw[p.row * f.cp + p.channel] = s.v[1];
    } else if (p.row < f.taps) {
        f.dfilter1[p.channel * f.taps + p.row] = sum;
    } else if (f.sets == NL_K_SETS_GROUPS) {
        t.dbeta[p.channel] = sum;
        t.dgamma[p.channel] = static_cast<float>(s.v[1]);
        t.dbias[p.channel] = static_cast<float>(s.v[2]);
    } else {
        t.dbias[p.channel] = sum;
    }
}

/* Of batch norm's channels, from the totals. */
__device__ inline void finish_channel(const First &f, int channel) {
    const nl_k_stage &t = f.stage;
    const double *total = f.at.total + channel, *mw = f.at.total_mw + channel;
    const double rstd = f.at.set[channel].rstd, gamma = t.gamma[channel];
    double by_w = 0;
    for (int i = 0; i < f.taps; i++)
        by_w += f.filter1[channel * f.taps + i] * __ldcg(total + i * f.cp);
    const double s2 = rstd * by_w, count = static_cast<double>(f.n) * f.hw;
    for (int i = warp_id(); i < f.taps; i += kFirstWarps) {
        const double own = gamma * __ldcg(total + i * f.cp);
        f.dfilter1[channel * f.taps + i] =
            static_cast<float>(rstd * (own - gamma * s2 / count * rstd * __ldcg(mw + i * f.cp)));
    }
    if (warp_id() != 0) return;
    t.dgamma[channel] = static_cast<float>(s2);
    t.dbeta[channel] = static_cast<float>(__ldcg(total + f.taps * f.cp));
    // 0, unless the channel is poisoned
    t.dbias[channel] = (static_cast<float>(s2) + t.gamma[channel]) * 0.0f;
}

__global__ __launch_bounds__(kFirstThreads) void first_gradient(const First f) {
    NL_SHARED(double, slots, 3 * kFirstThreads);
    const int chunk = static_cast<int>(blockIdx.y);
    const Place p = {static_cast<int>(blockIdx.x), chunk * kWarp + lane_id()};
    const bool there = p.channel < f.c, channels = f.sets == NL_K_SETS_CHANNELS;
    const double patch = channels && p.row < f.taps ? patch_mean_of_batch(f, p.row) : 0;
    Sums<double, 3> s;
    for (int i = warp_id(); i < f.n && there; i += kFirstWarps) {
        const Sums<double, 3> part = row_part(f, i, p, patch);
        for (int j = 0; j < 3; j++) s.v[j] += part.v[j];
    }
    for (int j = 0; j < 3; j++) slots[j * kFirstThreads + static_cast<int>(threadIdx.x)] = s.v[j];
    __syncthreads();
    if (warp_id() == 0 && there) {
        for (int w = 1; w < kFirstWarps; w++) {
            for (int j = 0; j < 3; j++) s.v[j] += slots[j * kFirstThreads + w * kWarp + lane_id()];
        }
        put_row(f, p, s);
    }
    if (!channels || p.row > f.taps) return;
    if (last_to_come(f.stage.counters + chunk, f.taps + 1) && there) finish_channel(f, p.channel);
}

} // namespace

int nl_k_first_gradient(const nl_k_first *first, void *stream) {
    const nl_k_stage &s = first->stage;
    NL_ASSERT(is_made_for(*first) && first->filter1 && first->dfilter1 && first->dfilter2);
    NL_ASSERT(s.dbias && first->keep && s.counters && !first->running);
    NL_ASSERT(first->sets == NL_K_SETS_NONE || (s.gamma && s.dgamma && s.dbeta));
    if (first_too_large(first)) return cudaErrorInvalidValue;
    const First f = make_first(first);
    const dim3 blocks(static_cast<unsigned>(f.taps + 1 + f.outputs),
                      static_cast<unsigned>(f.cp / kWarp));
    NL_LAUNCH(first_gradient, blocks, kFirstThreads, 0, stream, f);
    return launched();
}
