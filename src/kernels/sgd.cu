/* The end of a training step, in one launch over the whole arenas: momentum, Nesterov, weight decay
 * and L1 on the parameters, the batch's mean and variance into the running values, the penalty, and
 * the step's number.
 *
 *     g = dw + l1 sign(w) + weight_decay w   v = momentum v + g   w -= lr (nesterov ? g + momentum
 * v : v) running = (1 - norm_momentum) running + norm_momentum fresh
 *
 * sign(0) = 0. What lies between the tensors is zero and stays so. Once the flag is up nothing
 * changes but the record and the step. A block owns a stretch of both arenas; it leaves its sum of
 * the new |w|, and the last block to come adds them up: only then, when all have read the state,
 * the step goes on. A step has to know its penalty before it changes anything, so each update takes
 * it for the next step; the first one's comes from a launch that only sums.
 */
#include "reduce.cuh" // block_sum
#include "stage.cuh"  // NL_ASSERT

namespace {

constexpr int kMaxBlocks = 512;

__device__ inline void update_weight(const nl_k_arenas &a, const nl_k_sgd &rule, float lr,
                                     int64_t i) {
    const float w = a.params[i];
    const float sign = static_cast<float>((w > 0) - (w < 0));
    const float g = a.grads[i] + static_cast<float>(rule.l1) * sign + rule.weight_decay * w;
    const float v = rule.momentum * a.momentum[i] + g;
    a.momentum[i] = v;
    a.params[i] = w - lr * (rule.nesterov ? g + rule.momentum * v : v);
}

/* STEP: the update, and the step ends. Otherwise nothing but the penalty. */
template <bool STEP>
__global__ __launch_bounds__(kThreads) void sgd(const nl_k_arenas a, const nl_k_sgd rule,
                                                nl_k_record *records, nl_k_state *state,
                                                double *parts, unsigned *counter) {
    const bool stop = !STEP || state->stop != 0;
    const float lr = state->lr, take = rule.norm_momentum;
    const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    Sums<double, 1> sum;
    for (int64_t i = first; i < a.params_size; i += step) {
        if (!stop) update_weight(a, rule, lr, i);
        if (rule.l1 != 0) sum.v[0] += fabsf(a.params[i]);
    }
    for (int64_t i = first; i < a.buffers_size && !stop; i += step) {
        a.buffers[i] = (1.0f - take) * a.buffers[i] + take * a.fresh[i];
    }
    if (rule.l1 != 0) block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum.v[0];
    if (!last_to_come(counter, static_cast<int>(gridDim.x))) return;
    sum.v[0] = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += kThreads) sum.v[0] += __ldcg(parts + i);
    block_sum(sum);
    if (threadIdx.x != 0) return;
    if constexpr (STEP) records[state->step++].penalty = state->penalty;
    state->penalty = rule.l1 != 0 ? rule.l1 * sum.v[0] : 0;
}

int blocks_for(int64_t params_size, int64_t buffers_size) {
    const int64_t size = params_size > buffers_size ? params_size : buffers_size;
    const int64_t blocks = (size + kThreads - 1) / kThreads;
    return blocks < kMaxBlocks ? static_cast<int>(blocks) : kMaxBlocks;
}

void check(const nl_k_arenas *a, const void *state, const void *scratch, const void *counters) {
    NL_ASSERT(a->params && a->params_size > 0 && a->buffers_size >= 0);
    NL_ASSERT(state && scratch && counters);
}

} // namespace

size_t nl_k_update_scratch(int64_t params_size, int64_t buffers_size) {
    return static_cast<size_t>(blocks_for(params_size, buffers_size)) * sizeof(double);
}

int nl_k_update(const nl_k_arenas *a, nl_k_sgd rule, nl_k_record *records, nl_k_state *state,
                void *scratch, uint32_t *counters, void *stream) {
    check(a, state, scratch, counters);
    NL_ASSERT(a->momentum && a->grads && records);
    NL_ASSERT(a->buffers_size == 0 || (a->buffers && a->fresh));
    const int blocks = blocks_for(a->params_size, a->buffers_size);
    NL_LAUNCH((sgd<true>), static_cast<unsigned>(blocks), kThreads, 0, stream, *a, rule, records,
              state, static_cast<double *>(scratch), counters);
    return launched();
}

int nl_k_penalty(const nl_k_arenas *a, nl_k_sgd rule, nl_k_state *state, void *scratch,
                 uint32_t *counters, void *stream) {
    check(a, state, scratch, counters);
    const int blocks = blocks_for(a->params_size, a->buffers_size);
    NL_LAUNCH((sgd<false>), static_cast<unsigned>(blocks), kThreads, 0, stream, *a, rule,
              static_cast<nl_k_record *>(nullptr), state, static_cast<double *>(scratch), counters);
    return launched();
}
