/* The head of the network: bias, global average pool, softmax, cross-entropy and, in training, its
 * gradient. For the logits l_c = mean over hw of (z + bias) of an image with label t
 *
 *     p_c = exp(l_c - max) / sum,   loss = log sum - (l_t - max),   dz = (p_c - [c = t]) / (n hw)
 *
 * NaN passes: an exp of it makes the sum NaN. The prediction is the first largest logit.
 *
 * A warp takes an image, a lane a class. Each block leaves the sums of its images, in double; the
 * last block to come adds them up in the order of the blocks, writes the step's record and raises
 * the flag.
 */
#include "reduce.cuh" // last_to_come
#include "stage.cuh"  // NL_ASSERT

namespace {

constexpr int kImages = 8; // of a block, one warp each

/* What a block leaves. */
struct HeadPart {
    double loss, hits;
    double dbias[kWarp];
};

struct Head {
    float *dz, *dbias;
    nl_k_outputs out;
    nl_k_record *records;
    nl_k_state *state;
    const float *z, *bias;
    const uint8_t *labels;
    int n, batch, classes, hw;
    HeadPart *parts;
    unsigned *counter;
};

/* This lane's logit; a lane without a class has none. A running float sum over a large map would
 * lose digits. */
__device__ inline float logit_of(const Head &h, int image) {
    if (lane_id() >= h.classes) return 0;
    const float *z = h.z + (image * h.classes + lane_id()) * h.hw,
                bias = h.bias ? h.bias[lane_id()] : 0.0f;
    double sum = 0;
    for (int i = 0; i < h.hw; i++) sum += z[i] + bias;
    return static_cast<float>(sum / h.hw);
}

/* The first largest, as every lane's. */
__device__ inline int first_largest(float logit, int classes, float *largest) {
    int best = 0;
    *largest = __shfl_sync(kAllLanes, logit, 0);
    for (int i = 1; i < classes; i++) {
        const float v = __shfl_sync(kAllLanes, logit, i);
        if (v > *largest) best = i, *largest = v;
    }
    return best;
}

/* One image by one warp: its outputs, and its part of the block's sums in the warp's row of each.
 */
__device__ inline void head_image(const Head &h, int image, double *loss, int *hit, float *slope) {
    const int lane = lane_id(), label = h.labels[image];
    const float logit = logit_of(h, image);
    float largest;
    const int best = first_largest(logit, h.classes, &largest);
    const float e = lane < h.classes ? expf(logit - largest) : 0.0f;
    Sums<float, 1> sum;
    sum.v[0] = e;
    warp_sum(sum);
    const float of_label = __shfl_sync(kAllLanes, logit, label), p = e / sum.v[0];
    if (lane == 0) {
        *loss = logf(sum.v[0]) - (of_label - largest);
        *hit = best == label;
    }
    const size_t place = static_cast<size_t>(h.state->step) * static_cast<unsigned>(h.batch) +
                         static_cast<unsigned>(image);
    if (lane == 0 && h.out.predictions) h.out.predictions[place] = static_cast<uint8_t>(best);
    if (lane >= h.classes) return;
    const size_t at = place * static_cast<unsigned>(h.classes) + static_cast<unsigned>(lane);
    if (h.out.logits) h.out.logits[at] = logit;
    if (h.out.probs) h.out.probs[at] = p;
    if (!h.dz) return;
    slope[lane] = (p - (lane == label ? 1.0f : 0.0f)) / static_cast<float>(h.n);
    float *dz = h.dz + (image * h.classes + lane) * h.hw;
    for (int i = 0; i < h.hw; i++) dz[i] = slope[lane] / static_cast<float>(h.hw);
}

/* The last block: thread c the gradient of bias c, thread 0 of the second warp the record. */
__device__ inline void finish(const Head &h) {
    const int blocks = static_cast<int>(gridDim.x), c = static_cast<int>(threadIdx.x);
    if (h.dbias && c < h.classes) {
        double sum = 0;
        for (int b = 0; b < blocks; b++) sum += __ldcg(&h.parts[b].dbias[c]);
        h.dbias[c] = static_cast<float>(sum);
    }
    if (c != kWarp) return;
    double loss = 0, hits = 0;
    for (int b = 0; b < blocks; b++) {
        loss += __ldcg(&h.parts[b].loss);
        hits += __ldcg(&h.parts[b].hits);
    }
    nl_k_record *r = h.records + h.state->step;
    r->loss = loss;
    r->hits = static_cast<uint32_t>(hits);
    r->images = static_cast<uint32_t>(h.n);
    if (!isfinite(loss) || !isfinite(h.state->penalty)) h.state->stop = 1;
    if (h.dz) return;
    r->penalty = 0;
    h.state->step++;
}

__global__ __launch_bounds__(kImages *kWarp) void softmax_loss(const Head h) {
    NL_SHARED(float, slopes, kImages *kWarp);
    NL_SHARED(double, losses, kImages);
    NL_SHARED(int, hits, kImages);
    const int first = static_cast<int>(blockIdx.x) * kImages, w = warp_id();
    const int images = h.n - first < kImages ? h.n - first : kImages;
    if (w < images) head_image(h, first + w, losses + w, hits + w, slopes + w * kWarp);
    __syncthreads();
    HeadPart *part = h.parts + blockIdx.x;
    const int c = static_cast<int>(threadIdx.x);
    if (h.dz && c < h.classes) {
        double sum = 0;
        for (int i = 0; i < images; i++) sum += slopes[i * kWarp + c];
        part->dbias[c] = sum;
    }
    if (c == kWarp) {
        part->loss = part->hits = 0;
        for (int i = 0; i < images; i++) {
            part->loss += losses[i];
            part->hits += hits[i];
        }
    }
    if (last_to_come(h.counter, static_cast<int>(gridDim.x))) finish(h);
}

} // namespace

size_t nl_k_softmax_loss_scratch(int n) {
    return static_cast<size_t>(ceil_div(n, kImages)) * sizeof(HeadPart);
}

int nl_k_softmax_loss(float *dz, float *dbias, const nl_k_outputs *out, nl_k_record *records,
                      nl_k_state *state, const float *z, const float *bias, const uint8_t *labels,
                      int n, int batch, int classes, int hw, void *scratch, uint32_t *counters,
                      void *stream) {
    NL_ASSERT(records && state && z && labels && scratch && counters && (!dbias || (dz && bias)));
    NL_ASSERT(n > 0 && n <= batch && classes > 0 && classes <= kWarp && hw > 0 && (!dz || !out));
    if (too_large(n, classes, hw)) return cudaErrorInvalidValue;
    Head h = {};
    h.dz = dz, h.dbias = dbias, h.records = records, h.state = state, h.z = z, h.bias = bias;
    if (out) h.out = *out;
    h.labels = labels, h.n = n, h.batch = batch, h.classes = classes, h.hw = hw;
    h.parts = static_cast<HeadPart *>(scratch), h.counter = counters;
    NL_LAUNCH(softmax_loss, static_cast<unsigned>(ceil_div(n, kImages)), kImages * kWarp, 0, stream,
              h);
    return launched();
}
