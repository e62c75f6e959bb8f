/* The cases of `normlab verify` on the device: the kernels' launchers, and the convolutions' plans
 * (the first deterministic one of each direction).
 */
#include "normlab/verify.h"

#include <stdlib.h> // free

#include "cuda/conv/conv_plan.h" // nl_convs
#include "cuda/runtime/device.h" // nl_device_alloc
#include "launchers.h"           // nl_launchers_of
#include "normlab/kernels.h"
#include "normlab/rng.h" // nl_dropout_threshold

struct nl_verify_gpu {
    cudaStream_t stream;
    nl_convs *convs;
};

/* ---- device memory of one case: everything is freed at its end ---- */

enum { MOST = 32 };

typedef struct arena {
    void *owned[MOST];
    int count, code;
    cudaStream_t stream;
    nl_error *err;
} arena;

static void *take(arena *a, size_t bytes, const void *host) {
    NL_ASSERT(a->count < MOST);
    void *memory = NULL;
    if (!a->code) a->code = nl_device_alloc(&memory, bytes, "verify", a->err);
    if (!a->code) a->owned[a->count++] = memory;
    if (a->code || !host || bytes == 0) return memory;
    /* in the stream of the launches, which waits for no other; the caller's bytes may go then */
    cudaError_t status = cudaMemcpyAsync(memory, host, bytes, cudaMemcpyHostToDevice, a->stream);
    if (!status) status = cudaStreamSynchronize(a->stream);
    a->code = nl_cuda_check(status, "verify", a->err);
    return memory;
}

static float *take_floats(arena *a, int64_t count, const float *host) {
    return take(a, (size_t)count * sizeof(float), host);
}

static void launched(arena *a, int status, const char *what) {
    if (!a->code) a->code = nl_cuda_check((cudaError_t)status, what, a->err);
}

/* Waits for what the device holds; does nothing after a failure. */
static void fetch(arena *a, void *host, const void *device, size_t size) {
    if (a->code) return;
    launched(a, (int)cudaStreamSynchronize(a->stream), "verify");
    launched(a, (int)cudaMemcpy(host, device, size, cudaMemcpyDeviceToHost), "verify");
}

/* Widens what the device holds into out. */
static void give(arena *a, double *out, const float *device, int64_t count) {
    float *host = nl_alloc((size_t)count, sizeof *host, "verify");
    fetch(a, host, device, (size_t)count * sizeof *host);
    for (int64_t i = 0; i < count && !a->code; i++) out[i] = (double)host[i];
    free(host);
}

static int finish(arena *a) {
    for (int i = 0; i < a->count; i++) cudaFree(a->owned[i]);
    return a->code;
}

/* ---- block ----------------------------------------------------------------------------------- */

static nl_k_dropout take_dropout(arena *a, const nl_verify_case *c) {
    if (c->dropout == 0) return (nl_k_dropout){0};
    uint32_t *images = nl_alloc((size_t)c->n, sizeof *images, "verify");
    const nl_k_state state = {.seed = NL_V_SEED, .epoch = NL_V_EPOCH};
    for (int i = 0; i < c->n; i++) images[i] = nl_verify_image(i);
    const nl_k_dropout drop = {.slots = take(a, (size_t)c->n * sizeof *images, images),
                               .state = take(a, sizeof state, &state),
                               .layer = NL_V_LAYER,
                               .threshold = nl_dropout_threshold(c->dropout),
                               .scale = nl_dropout_scale(c->dropout)};
    free(images);
    return drop;
}

static void run_block(arena *a, double *const out[], const nl_verify_case *c) {
    float *from[NL_V_INPUTS] = {NULL}, *to[NL_V_OUTPUTS] = {NULL};
    for (int i = 0; i < NL_V_INPUTS; i++)
        if (c->in_count[i]) from[i] = take_floats(a, c->in_count[i], c->in[i]);
    for (int i = 0; i < NL_V_OUTPUTS; i++)
        if (c->out_count[i]) to[i] = take_floats(a, c->out_count[i], NULL);
    nl_k_stage s = {.shape = {.n = c->n,
                              .c = c->c,
                              .h = c->h,
                              .w = c->w,
                              .groups = c->groups,
                              .pool = c->pool,
                              .relu = c->relu},
                    .centres = c->norm && c->norm->centres,
                    .eps = 1.0F / NL_V_EPS_INVERSE,
                    .drop = take_dropout(a, c)};
    s.z = from[NL_IN_BLOCK_Z], s.bias = from[NL_IN_BLOCK_BIAS], s.gamma = from[NL_IN_BLOCK_GAMMA],
    s.beta = from[NL_IN_BLOCK_BETA], s.dy = from[NL_IN_BLOCK_DY];
    s.running_mean = from[NL_IN_BLOCK_RUNNING_MEAN], s.running_var = from[NL_IN_BLOCK_RUNNING_VAR];
    s.y = to[NL_OUT_BLOCK_Y], s.dz = to[NL_OUT_BLOCK_DZ], s.dgamma = to[NL_OUT_BLOCK_DGAMMA],
    s.dbeta = to[NL_OUT_BLOCK_DBETA], s.dbias = to[NL_OUT_BLOCK_DBIAS];
    s.fresh_mean = to[NL_OUT_BLOCK_MEAN], s.fresh_var = to[NL_OUT_BLOCK_VAR];
    s.saved = take(a, (size_t)c->n * (size_t)c->c * sizeof *s.saved, NULL);
    s.scratch = take(a, nl_k_scratch_size(&s.shape), NULL);
    s.counters = take(a, (size_t)nl_k_counters(&s.shape) * sizeof *s.counters, NULL);
    if (s.drop.slots) s.drop.kept = take(a, nl_k_kept_size(&s.shape), NULL);
    const nl_launchers *l = nl_launchers_of(c->norm);
    if (!a->code) launched(a, (c->eval ? l->evaluate : l->forward)(&s, a->stream), "forward");
    if (!a->code && !c->eval) launched(a, l->backward(&s, a->stream), "backward");
    for (int i = 0; i < NL_V_OUTPUTS; i++)
        if (c->out_count[i]) give(a, out[i], to[i], c->out_count[i]);
}

/* ---- the others ------------------------------------------------------------------------------ */

static void run_conv(arena *a, double *const out[], const nl_verify_case *c, nl_convs *convs) {
    float *x = take_floats(a, c->in_count[NL_IN_CONV_X], c->in[NL_IN_CONV_X]);
    float *w = take_floats(a, c->in_count[NL_IN_CONV_W], c->in[NL_IN_CONV_W]);
    float *dy = take_floats(a, c->in_count[NL_IN_CONV_DY], c->in[NL_IN_CONV_DY]);
    const float *const from[NL_CONV_DIRS][2] = {
        [NL_CONV_FORWARD] = {x, w}, [NL_CONV_DATA] = {dy, w}, [NL_CONV_FILTER] = {dy, x}};
    for (int dir = 0; dir < NL_CONV_DIRS && !a->code; dir++) {
        if (c->out_count[dir] == 0) continue;
        float *to = take_floats(a, c->out_count[dir], NULL);
        int index;
        if (!a->code)
            a->code = nl_convs_plan(&index, convs, (nl_conv_problem){(nl_conv_dir)dir, c->conv},
                                    "verify", a->err);
        if (!a->code)
            a->code = nl_convs_run(convs, index, 0, to, from[dir][0], from[dir][1], a->err);
        give(a, out[dir], to, c->out_count[dir]);
    }
}

static nl_k_record read_record(arena *a, const nl_k_record *device) {
    nl_k_record record = {0};
    fetch(a, &record, device, sizeof record);
    return record;
}

static void run_loss(arena *a, double *const out[], const nl_verify_case *c) {
    uint8_t *labels = nl_alloc((size_t)c->n, 1, "verify");
    for (int i = 0; i < c->n; i++) labels[i] = nl_verify_label(i, c->c);
    nl_k_head h = {.n = c->n, .batch = c->n, .classes = c->c, .hw = c->h * c->w};
    h.z = take_floats(a, c->in_count[NL_IN_LOSS_Z], c->in[NL_IN_LOSS_Z]);
    h.bias = take_floats(a, c->in_count[NL_IN_LOSS_BIAS], c->in[NL_IN_LOSS_BIAS]);
    h.dz = take_floats(a, c->out_count[NL_OUT_LOSS_DZ], NULL);
    h.dbias = take_floats(a, c->c, NULL);
    h.records = take(a, sizeof *h.records, NULL);
    h.state = take(a, sizeof *h.state, NULL);
    h.labels = take(a, (size_t)c->n, labels);
    h.scratch = take(a, nl_k_softmax_loss_scratch(c->n, c->c), NULL);
    h.counters = take(a, sizeof *h.counters, NULL);
    free(labels);
    if (a->code) return;
    launched(a, nl_k_softmax_loss(&h, a->stream), "loss");
    const nl_k_record r = read_record(a, h.records);
    give(a, out[NL_OUT_LOSS_DZ], h.dz, c->out_count[NL_OUT_LOSS_DZ]);
    give(a, out[NL_OUT_LOSS_DBIAS], h.dbias, c->c);
    out[NL_OUT_LOSS_LOSS][0] = r.loss;
    out[NL_OUT_LOSS_HITS][0] = r.hits;
}

static void run_update(arena *a, double *const out[], const nl_verify_case *c) {
    const int64_t count = c->in_count[NL_IN_UPDATE_W];
    const nl_sgd rule = nl_verify_rule();
    const nl_k_state start = {.lr = (float)rule.lr};
    nl_k_arenas arenas = {.params = take_floats(a, count, c->in[NL_IN_UPDATE_W]),
                          .momentum = take_floats(a, count, c->in[NL_IN_UPDATE_V]),
                          .grads = take_floats(a, count, c->in[NL_IN_UPDATE_DW]),
                          .params_size = count,
                          .buffers = take_floats(a, 0, NULL),
                          .fresh = take_floats(a, 0, NULL)};
    const nl_k_sgd step = {.momentum = (float)rule.momentum,
                           .weight_decay = (float)rule.weight_decay,
                           .l1 = rule.l1,
                           .nesterov = rule.nesterov,
                           .norm_momentum = 0.1F};
    nl_k_record *record = take(a, sizeof *record, NULL);
    nl_k_state *state = take(a, sizeof *state, &start);
    void *scratch = take(a, nl_k_update_scratch(count, 0), NULL);
    uint32_t *counters = take(a, sizeof *counters, NULL);
    if (a->code) return;
    launched(a, nl_k_penalty(&arenas, step, state, scratch, counters, a->stream), "penalty");
    launched(a, nl_k_update(&arenas, step, record, state, scratch, counters, a->stream), "update");
    out[NL_OUT_UPDATE_PENALTY][0] = read_record(a, record).penalty;
    give(a, out[NL_OUT_UPDATE_W], arenas.params, count);
    give(a, out[NL_OUT_UPDATE_V], arenas.momentum, count);
}

/* ---- the device ------------------------------------------------------------------------------ */

int nl_verify_gpu_open(nl_verify_gpu **gpu, int device, nl_error *err) {
    nl_device found;
    nl_verify_gpu *g = nl_alloc(1, sizeof *g, "verify");
    *gpu = g;
    int code = nl_device_open(&found, device, err);
    if (!code)
        code = nl_cuda_check(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "stream",
                             err);
    const nl_convs_options options = {.streams = {g->stream, g->stream}, .device = found.name};
    if (!code) code = nl_convs_open(&g->convs, &options, err);
    if (code) nl_verify_gpu_close(g);
    return code;
}

void nl_verify_gpu_close(nl_verify_gpu *g) {
    nl_convs_close(g->convs);
    if (g->stream) cudaStreamDestroy(g->stream);
    free(g);
}

int nl_verify_cuda(double *const out[], const nl_verify_case *c, void *context, nl_error *err) {
    nl_verify_gpu *g = context;
    arena a = {.stream = g->stream, .err = err};
    switch (c->op) {
    case NL_V_BLOCK:
        run_block(&a, out, c);
        break;
    case NL_V_CONV:
        run_conv(&a, out, c, g->convs);
        break;
    case NL_V_LOSS:
        run_loss(&a, out, c);
        break;
    case NL_V_UPDATE:
        run_update(&a, out, c);
        break;
    case NL_V_OPS:
        break;
    }
    return finish(&a);
}
