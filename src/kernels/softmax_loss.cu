/* The head of the network: bias, global average pool, softmax, cross-entropy and, in training, its
 * gradient. For the logits l_c = mean over hw of (z + bias) of an image with label t
 *
 *     p_c  = exp(l_c - max) / sum
 *     loss = log sum - (l_t - max)
 *     dz   = (p_c - [c = t]) / (n hw)
 *
 * NaN passes: an exp of it makes the sum NaN. The prediction is the first largest logit.
 *
 * A warp takes an image, a lane up to K classes: class k * 32 + lane is its k-th. Each block leaves
 * the sums of its images, in twice a float's digits; the last block to come adds them up in the order of the
 * blocks, writes the step's record and raises the flag.
 */
#include "reduce.cuh" // last_to_come
#include "stage.cuh"  // NL_ASSERT

namespace {

constexpr int kImages = 8; // of a block, one warp each
constexpr int kMostPerLane = NL_MAX_CLASSES / kWarp;
static_assert(NL_MAX_CLASSES <= kImages * kWarp, "a thread for the bias of each class");

/* What a block leaves, beside its dbias. */
struct HeadPart {
    Twofold loss;
    int hits;
};

struct Head : nl_k_head {
    HeadPart *parts;      // (blocks), in scratch
    Twofold *dbias_parts; // (blocks, classes), behind them
};

/* A class's logit; what is no class has none. A running float sum over a large map would lose
 * digits. */
__device__ inline float logit_of(const Head &h, int image, int c) {
    if (c >= h.classes) return 0;
    const float *z = h.z + (image * h.classes + c) * h.hw, bias = h.bias ? h.bias[c] : 0.0f;
    Twofold sum = {0, 0};
    for (int i = 0; i < h.hw; i++) sum += __ldg(z + i) + bias;
    return sum.rounded() / static_cast<float>(h.hw);
}

/* The value of a class, as every lane's: its lane has it at its place k. */
template <int K> __device__ inline float of_class(const float (&values)[K], int c) {
    float v = values[0];
    for (int k = 1; k < K; k++)
        if (c / kWarp == k) v = values[k];
    return __shfl_sync(kAllLanes, v, c % kWarp);
}

/* The first largest, as every lane's. */
template <int K>
__device__ inline int first_largest(const float (&logits)[K], int classes, float *largest) {
    int best = 0;
    *largest = of_class<K>(logits, 0);
    for (int i = 1; i < classes; i++) {
        const float v = of_class<K>(logits, i);
        if (v > *largest) best = i, *largest = v;
    }
    return best;
}

/* What of one class goes out. */
__device__ inline void write_class(const Head &h, int image, size_t place, int c, bool right,
                                   float logit, float p, float *slope) {
    const size_t at = place * static_cast<unsigned>(h.classes) + static_cast<unsigned>(c);
    if (h.out.logits) h.out.logits[at] = logit;
    if (h.out.probs) h.out.probs[at] = p;
    if (!h.dz) return;
    slope[c] = (p - (right ? 1.0f : 0.0f)) / static_cast<float>(h.n);
    float *dz = h.dz + (image * h.classes + c) * h.hw;
    const float each = slope[c] / static_cast<float>(h.hw);
    for (int i = 0; i < h.hw; i++) dz[i] = each;
}

/* One image by one warp: its outputs, and its part of the block's sums in the warp's row of each.
 */
template <int K>
__device__ inline void head_image(const Head &h, int image, float *loss, int *hit, float *slope) {
    const int lane = lane_id(), label = h.labels[image];
    float logits[K], e[K], largest;
    for (int k = 0; k < K; k++) logits[k] = logit_of(h, image, k * kWarp + lane);
    const int best = first_largest<K>(logits, h.classes, &largest);
    Sums<float, 1> sum;
    sum.v[0] = 0;
    for (int k = 0; k < K; k++) {
        e[k] = k * kWarp + lane < h.classes ? expf(logits[k] - largest) : 0.0f;
        sum.v[0] += e[k];
    }
    warp_sum(sum);
    const float of_label = of_class<K>(logits, label);
    if (lane == 0) {
        *loss = logf(sum.v[0]) - (of_label - largest);
        *hit = best == label;
    }
    const size_t place = static_cast<size_t>(h.state->step) * static_cast<unsigned>(h.batch) +
                         static_cast<unsigned>(image);
    if (lane == 0 && h.out.predictions) h.out.predictions[place] = static_cast<uint8_t>(best);
    for (int k = 0; k < K; k++) {
        const int c = k * kWarp + lane;
        if (c >= h.classes) continue;
        write_class(h, image, place, c, c == label, logits[k], e[k] / sum.v[0], slope);
    }
}

/* The last block: thread c the gradient of bias c, thread 0 of the second warp the record. */
__device__ inline void finish(const Head &h) {
    const int blocks = static_cast<int>(gridDim.x), c = static_cast<int>(threadIdx.x);
    if (h.dbias && c < h.classes) {
        Twofold sum = {0, 0};
        for (int b = 0; b < blocks; b++) sum += left_by(h.dbias_parts + b * h.classes + c);
        h.dbias[c] = sum.rounded();
    }
    if (c != kWarp) return;
    Twofold sum = {0, 0};
    int hits = 0;
    for (int b = 0; b < blocks; b++) {
        sum += left_by(&h.parts[b].loss);
        hits += __ldcg(&h.parts[b].hits);
    }
    const double loss = sum.wide();
    nl_k_record *r = h.records + h.state->step;
    r->loss = loss;
    r->hits = static_cast<uint32_t>(hits);
    r->images = static_cast<uint32_t>(h.n);
    if (!isfinite(loss) || !isfinite(h.state->penalty)) h.state->stop = 1;
    if (h.dz) return;
    r->penalty = 0;
    h.state->step++;
}

template <int K> __global__ __launch_bounds__(kImages *kWarp) void softmax_loss(const Head h) {
    NL_SHARED(float, slopes, kImages *kWarp *K);
    NL_SHARED(float, losses, kImages);
    NL_SHARED(int, hits, kImages);
    const int first = static_cast<int>(blockIdx.x) * kImages, w = warp_id();
    const int images = h.n - first < kImages ? h.n - first : kImages;
    if (w < images) head_image<K>(h, first + w, losses + w, hits + w, slopes + w * kWarp * K);
    __syncthreads();
    HeadPart *part = h.parts + blockIdx.x;
    const int c = static_cast<int>(threadIdx.x);
    if (h.dz && c < h.classes) {
        Twofold sum = {0, 0};
        for (int i = 0; i < images; i++) sum += slopes[i * kWarp * K + c];
        h.dbias_parts[static_cast<int>(blockIdx.x) * h.classes + c] = sum;
    }
    if (c == kWarp) {
        HeadPart sum = {{0, 0}, 0};
        for (int i = 0; i < images; i++) {
            sum.loss += losses[i];
            sum.hits += hits[i];
        }
        *part = sum;
    }
    if (last_to_come(h.counters, static_cast<int>(gridDim.x))) finish(h);
}

} // namespace

size_t nl_k_softmax_loss_scratch(int n, int classes) {
    const size_t part = sizeof(HeadPart) + static_cast<unsigned>(classes) * sizeof(Twofold);
    return static_cast<size_t>(ceil_div(n, kImages)) * part;
}

int nl_k_softmax_loss(const nl_k_head *head, void *stream) {
    Head h = {};
    static_cast<nl_k_head &>(h) = *head;
    NL_ASSERT(h.records && h.state && h.z && h.labels && h.scratch && h.counters);
    NL_ASSERT(h.n > 0 && h.n <= h.batch && h.classes > 0 && h.classes <= NL_MAX_CLASSES);
    NL_ASSERT(h.hw > 0 && (!h.dbias || (h.dz && h.bias)));
    NL_ASSERT(!h.dz || (!h.out.logits && !h.out.probs && !h.out.predictions));
    if (too_large(h.n, h.classes, h.hw)) return cudaErrorInvalidValue;
    const unsigned blocks = static_cast<unsigned>(ceil_div(h.n, kImages));
    h.parts = static_cast<HeadPart *>(h.scratch);
    h.dbias_parts = reinterpret_cast<Twofold *>(h.parts + blocks);
    if (h.classes <= kWarp) {
        NL_LAUNCH((softmax_loss<1>), blocks, kImages * kWarp, 0, stream, h);
    } else {
        NL_LAUNCH((softmax_loss<kMostPerLane>), blocks, kImages * kWarp, 0, stream, h);
    }
    return launched();
}
