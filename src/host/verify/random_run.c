/* random_run.h */
#include "random_run.h"

#include <math.h>   // sin
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "base/reals.h"  // nl_reals_copy
#include "normlab/rng.h" // nl_epoch_order

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const int code_ = (call);                                                                  \
        if (code_) return code_;                                                                   \
    } while (0)

/* ---- states ------------------------------------------------------------------------------------
 */

static double *numbers(int64_t count) {
    return nl_alloc((size_t)count, sizeof(double), "state of a network");
}

static int set(nl_engine *engine, const nl_random_bench *b, const nl_backend *backend,
               const double *params, const double *buffers, nl_error *err) {
    const int size = backend->real_size;
    nl_state state = nl_state_alloc(&b->model, size);
    nl_reals_copy(state.params, size, params, sizeof *params, b->model.params_size);
    nl_reals_copy(state.buffers, size, buffers, sizeof *buffers, b->model.buffers_size);
    const int code = backend->set_state(engine, &state, err);
    nl_state_free(&state);
    return code;
}

static int get(nl_engine *engine, const nl_random_bench *b, const nl_backend *backend,
               double *params, double *momentum, double *buffers, nl_error *err) {
    const int size = backend->real_size;
    double *const to[NL_ARENAS] = {params, momentum, buffers};
    nl_state state = nl_state_alloc(&b->model, size);
    nl_arena arenas[NL_ARENAS];
    nl_state_arenas(arenas, &state, &b->model);
    const int code = backend->get_state(engine, &state, err);
    for (int i = 0; i < NL_ARENAS && !code; i++)
        if (to[i]) nl_reals_copy(to[i], sizeof *to[i], arenas[i].data, size, arenas[i].size);
    nl_state_free(&state);
    return code;
}

/* ---- the network -------------------------------------------------------------------------------
 */

/* Initial weights; gamma and beta of no special values, beta away from the ReLU's edge. */
static void init_state(nl_random_bench *b) {
    const nl_model *model = &b->model;
    b->params = nl_alloc((size_t)model->params_size, sizeof(float), "weights");
    b->buffers = nl_alloc((size_t)model->buffers_size, sizeof(float), "running values");
    nl_model_init(model, b->params, b->buffers, nl_config_seed(&b->config, NL_STREAM_INIT));
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *l = &model->layers[i];
        if (l->gamma < 0) continue;
        float *gamma = b->params + model->tensors[l->gamma].offset;
        float *beta = b->params + model->tensors[l->beta].offset;
        for (int c = 0; c < l->out_c; c++) {
            gamma[c] += 0.3F * (float)sin(1.0 + c + i);
            beta[c] += 0.2F * (float)cos(2.0 * c + i);
        }
    }
}

int nl_random_bench_open(nl_random_bench *b, const nl_random_net *net, nl_error *err) {
    memset(b, 0, sizeof *b);
    TRY(nl_random_net_load(&b->config, &b->model, net, err));
    NL_ASSERT(net->images <= NL_RANDOM_IMAGES && net->tests <= NL_RANDOM_IMAGES);
    nl_random_net_data(&b->data, net, &b->model.picture);
    b->net = net;
    b->spec = (nl_engine_spec){.config = &b->config,
                               .model = &b->model,
                               .data = &b->data,
                               .seed = nl_config_seed(&b->config, NL_STREAM_DROPOUT),
                               .threads = net->threads,
                               .device = net->device,
                               .first_block = net->first_block};
    const double degrees = b->config.data.rotate;
    const uint32_t turned = nl_config_seed(&b->config, NL_STREAM_ROTATION);
    for (uint32_t e = 0; e < NL_RANDOM_EPOCHS; e++) {
        nl_epoch_order(b->order[e], net->images, nl_config_seed(&b->config, NL_STREAM_ORDER), e,
                       b->config.data.shuffle);
        for (uint32_t i = 0; i < net->images; i++)
            b->rotations[e][i] = nl_rotation_make(nl_rotation_degrees(turned, e, i, degrees),
                                                  b->model.picture.shape);
        b->epochs[e] = (nl_epoch){.epoch = e,
                                  .lr = nl_config_lr(&b->config, (int)e),
                                  .order = b->order[e],
                                  .rotations = degrees > 0 ? b->rotations[e] : NULL};
    }
    init_state(b);
    return NL_OK;
}

void nl_random_bench_close(nl_random_bench *b) {
    nl_dataset_free(&b->data);
    free(b->params);
    free(b->buffers);
}

/* ---- a run -------------------------------------------------------------------------------------
 */

static int train(nl_random_trail *t, nl_engine *engine, const nl_random_bench *b, nl_error *err) {
    const nl_backend *backend = t->backend;
    double *params = numbers(b->model.params_size), *buffers = numbers(b->model.buffers_size);
    nl_reals_copy(params, sizeof *params, b->params, sizeof *b->params, b->model.params_size);
    nl_reals_copy(buffers, sizeof *buffers, b->buffers, sizeof *b->buffers, b->model.buffers_size);
    int code = set(engine, b, backend, params, buffers, err);
    free(params);
    free(buffers);
    for (int e = 0; e < NL_RANDOM_EPOCHS && !code; e++) {
        code = backend->begin_epoch(engine, &b->epochs[e], err);
        for (uint32_t first = 0; first < b->net->steps && !code;) {
            const uint32_t count = first ? b->net->steps - first : 1;
            code = backend->enqueue(engine, first, count, err);
            if (!code) code = backend->collect(engine, first, count, &t->records[e][first], err);
            if (!code && e == 0 && first == 0)
                code = get(engine, b, backend, NULL, t->left, t->left + b->model.params_size, err);
            first += count;
        }
    }
    if (!code) code = get(engine, b, backend, t->params, NULL, t->buffers, err);
    return code;
}

/* The test images with the backend's own weights; the training images, rotated, with given ones. */
static int evaluate(nl_random_trail *t, nl_engine *engine, const nl_random_bench *b,
                    const nl_random_trail *given, nl_error *err) {
    static const nl_eval_result none = {0};
    nl_eval_result result = none;
    nl_eval_pass pass = {.split = &b->data.test, .images = b->net->tests};
    TRY(t->backend->evaluate(engine, &pass, &result, err));
    t->own_loss = result.loss / pass.images;
    TRY(set(engine, b, t->backend, given->params, given->buffers, err));
    const int64_t scores = (int64_t)b->net->images * b->model.picture.classes;
    float *logits = nl_alloc((size_t)scores, sizeof *logits, "logits");
    pass = (nl_eval_pass){.split = &b->data.train,
                          .rotations = b->epochs[1].rotations,
                          .images = b->net->images,
                          .logits = logits};
    const int code = t->backend->evaluate(engine, &pass, &result, err);
    t->loss = result.loss / pass.images;
    t->hits = result.hits;
    for (int64_t i = 0; i < scores; i++) t->logits[i] = (double)logits[i];
    free(logits);
    return code;
}

int nl_random_trail_run(nl_random_trail *t, const nl_random_bench *b, const nl_random_trail *given,
                        nl_error *err) {
    nl_engine *engine;
    TRY(t->backend->open(&engine, &b->spec, err));
    int code = train(t, engine, b, err);
    for (int64_t i = 0; !given && i < b->model.params_size; i++)
        t->params[i] = (double)(float)t->params[i];
    for (int64_t i = 0; !given && i < b->model.buffers_size; i++)
        t->buffers[i] = (double)(float)t->buffers[i];
    if (!code) code = evaluate(t, engine, b, given ? given : t, err);
    t->backend->close(engine);
    return code;
}

nl_random_trail *nl_random_trail_make(const nl_random_bench *b, const nl_backend *backend) {
    nl_random_trail *t = nl_alloc(1, sizeof *t, "a run");
    t->backend = backend;
    t->left = numbers(b->model.params_size + b->model.buffers_size);
    t->params = numbers(b->model.params_size);
    t->buffers = numbers(b->model.buffers_size);
    t->logits = numbers((int64_t)b->net->images * b->model.picture.classes);
    return t;
}

void nl_random_trail_free(nl_random_trail *t) {
    free(t->left);
    free(t->params);
    free(t->buffers);
    free(t->logits);
    free(t);
}
