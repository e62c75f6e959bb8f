/* The optimiser and the end of a training step, two device functions of one launch over the whole
 * arenas. The optimiser, for every weight w with the gradient dw of the loss:
 *
 *     g  = dw + l1 sign(w) + weight_decay w          sign(0) = 0
 *     v  = momentum v + g
 *     w -= lr (nesterov ? g + momentum v : v)
 *
 * The end of the step: for every running value, from this batch's mean or variance,
 *
 *     running = (1 - norm_momentum) running + norm_momentum fresh
 *
 * and then the record, the penalty and the step's number. What lies between the tensors is zero and
 * stays so. Once the flag is up nothing changes but the record and the step.
 *
 * A block owns a stretch of both arenas; it leaves its sum of the new |w|, and the last block to
 * come adds them up: only then, when all have read the state, the step goes on. A step has to know
 * its penalty before it changes anything, so each update takes it for the next step; the first
 * one's comes from a launch that only sums.
 */
#include "reduce.cuh" // block_sum
#include "stage.cuh"  // NL_ASSERT

namespace {

constexpr int kMaxBlocks = 512;

struct Update {
    nl_k_arenas a;
    nl_k_sgd rule;
    nl_k_record *records;
    nl_k_state *state;
    Twofold *parts; /* (blocks): sums of |w| */
    unsigned *counter;
    float l1; /* the rule's */
};

/* The elements of an arena that a thread takes: first, first + step, ... Seldom more than one, and
 * to count the turns of an unrolled loop takes a division: theirs are not. */
__device__ inline int64_t first_of_thread() {
    return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}
__device__ inline int64_t threads_of_grid() {
    return static_cast<int64_t>(gridDim.x) * kThreads;
}

/* The weight afterwards. */
__device__ inline float update_weight(const Update &u, float lr, int64_t i) {
    const nl_k_arenas &a = u.a;
    const nl_k_sgd &rule = u.rule;
    const float w = a.params[i];
    const float sign = static_cast<float>((w > 0) - (w < 0));
    const float g = __ldg(a.grads + i) + u.l1 * sign + rule.weight_decay * w;
    const float v = rule.momentum * a.momentum[i] + g;
    const float after = w - lr * (rule.nesterov ? g + rule.momentum * v : v);
    a.momentum[i] = v;
    a.params[i] = after;
    return after;
}

/* The optimiser: this thread's weights, unless `stop`, and the sum of what they are then. */
__device__ inline Sums<Twofold, 1> sgd(const Update &u, bool stop) {
    const float lr = u.state->lr;
    Sums<Twofold, 1> sum;
#pragma unroll 1
    for (int64_t i = first_of_thread(); i < u.a.params_size; i += threads_of_grid())
        sum.v[0] += fabsf(stop ? u.a.params[i] : update_weight(u, lr, i));
    return sum;
}

/* The end of the step: this thread's running values, unless `stop`; then, in the last block, what
 * there is once. STEP false: no step ends, there is only a penalty. */
template <bool STEP> __device__ void end_of_step(const Update &u, bool stop, Sums<Twofold, 1> sum) {
    const float take = u.rule.norm_momentum;
#pragma unroll 1
    for (int64_t i = first_of_thread(); i < u.a.buffers_size && !stop; i += threads_of_grid()) {
        u.a.buffers[i] = (1.0f - take) * u.a.buffers[i] + take * u.a.fresh[i];
    }
    if (u.rule.l1 != 0) block_sum(sum);
    if (threadIdx.x == 0) u.parts[blockIdx.x] = sum.v[0];
    if (!last_to_come(u.counter, static_cast<int>(gridDim.x))) return;
    sum.v[0] = {0, 0};
    for (unsigned i = threadIdx.x; i < gridDim.x; i += kThreads) sum.v[0] += left_by(u.parts + i);
    block_sum(sum);
    if (threadIdx.x != 0) return;
    if constexpr (STEP) u.records[u.state->step++].penalty = u.state->penalty;
    u.state->penalty = u.rule.l1 != 0 ? u.rule.l1 * sum.v[0].wide() : 0;
}

template <bool STEP> __global__ __launch_bounds__(kThreads) void update(const Update u) {
    const bool stop = !STEP || u.state->stop != 0;
    end_of_step<STEP>(u, stop, sgd(u, stop));
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

template <bool TRAIN>
int launch_update(const nl_k_arenas *a, nl_k_sgd rule, nl_k_record *records, nl_k_state *state,
                  void *scratch, uint32_t *counters, void *stream) {
    const int blocks = blocks_for(a->params_size, a->buffers_size);
    const Update u = {*a,
                      rule,
                      records,
                      state,
                      static_cast<Twofold *>(scratch),
                      counters,
                      static_cast<float>(rule.l1)};
    NL_LAUNCH((update<TRAIN>), static_cast<unsigned>(blocks), kThreads, 0, stream, u);
    return launched();
}

} // namespace

size_t nl_k_update_scratch(int64_t params_size, int64_t buffers_size) {
    return static_cast<size_t>(blocks_for(params_size, buffers_size)) * sizeof(Twofold);
}

int nl_k_update(const nl_k_arenas *a, nl_k_sgd rule, nl_k_record *records, nl_k_state *state,
                void *scratch, uint32_t *counters, void *stream) {
    check(a, state, scratch, counters);
    NL_ASSERT(a->momentum && a->grads && records);
    NL_ASSERT(a->buffers_size == 0 || (a->buffers && a->fresh));
    return launch_update<true>(a, rule, records, state, scratch, counters, stream);
}

int nl_k_penalty(const nl_k_arenas *a, nl_k_sgd rule, nl_k_state *state, void *scratch,
                 uint32_t *counters, void *stream) {
    check(a, state, scratch, counters);
    return launch_update<false>(a, rule, nullptr, state, scratch, counters, stream);
}
