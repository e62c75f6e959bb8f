/* Trains a random network on a backend and in double precision; see normlab/random_net.h. */
#include <math.h>   // fabs
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "step_truth.h"
#include "normlab/random_net.h"
#include "normlab/rng.h"    // nl_epoch_order
#include "normlab/verify.h" // nl_verify_bound

enum { EPOCHS = 2, MOST_STEPS = NL_RANDOM_IMAGES };

/* A network ready to run. */
typedef struct bench {
    nl_config config;
    nl_model model;
    nl_dataset data;
    nl_engine_spec spec;
    const nl_random_net *net;
    uint32_t order[EPOCHS][NL_RANDOM_IMAGES];
    nl_rotation rotations[EPOCHS][NL_RANDOM_IMAGES];
    nl_epoch epochs[EPOCHS];
    float *params, *buffers; /* at the start */
} bench;

/* What comes of it on one backend; states in double. */
typedef struct trail {
    const nl_backend *backend;
    nl_step_record records[EPOCHS][MOST_STEPS];
    double *left;             /* by the first step: momentum, running values */
    double *params, *buffers; /* after the last */
    double own_loss, loss;    /* evaluated with its own weights; with those of double precision */
    uint32_t hits;
    double *logits; /* (images, classes) */
} trail;

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

static void *narrow(const double *from, int64_t count, int real_size) {
    double *to = numbers(count);
    if (real_size == 8)
        memcpy(to, from, (size_t)count * sizeof *to);
    else
        for (int64_t i = 0; i < count; i++) ((float *)to)[i] = (float)from[i];
    return to;
}

static void widen(double *to, const void *from, int64_t count, int real_size) {
    for (int64_t i = 0; i < count; i++)
        to[i] = real_size == 8 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static int set(nl_engine *engine, const bench *b, const nl_backend *backend, const double *params,
               const double *buffers, nl_error *err) {
    const int64_t size = b->model.params_size;
    double *zero = numbers(size);
    const nl_state state = {narrow(params, size, backend->real_size), zero,
                            narrow(buffers, b->model.buffers_size, backend->real_size)};
    const int code = backend->set_state(engine, &state, err);
    free(state.params);
    free(state.buffers);
    free(zero);
    return code;
}

static int get(nl_engine *engine, const bench *b, const nl_backend *backend, double *params,
               double *momentum, double *buffers, nl_error *err) {
    const int64_t size = b->model.params_size, running = b->model.buffers_size;
    nl_state state = nl_state_alloc(&b->model, backend->real_size);
    const int code = backend->get_state(engine, &state, err);
    if (!code && params) widen(params, state.params, size, backend->real_size);
    if (!code && momentum) widen(momentum, state.momentum, size, backend->real_size);
    if (!code) widen(buffers, state.buffers, running, backend->real_size);
    nl_state_free(&state);
    return code;
}

/* ---- the network -------------------------------------------------------------------------------
 */

/* Initial weights; gamma and beta of no special values, beta away from the ReLU's edge. */
static void init_state(bench *b) {
    const nl_model *model = &b->model;
    b->params = nl_alloc((size_t)model->params_size, sizeof(float), "weights");
    b->buffers = nl_alloc((size_t)model->buffers_size, sizeof(float), "running values");
    nl_model_init(model, b->params, b->buffers, b->spec.seed);
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

static int open_bench(bench *b, const nl_random_net *net, nl_error *err) {
    memset(b, 0, sizeof *b);
    TRY(nl_random_net_load(&b->config, &b->model, net, err));
    NL_ASSERT(net->images <= NL_RANDOM_IMAGES && net->tests <= NL_RANDOM_IMAGES);
    nl_random_net_data(&b->data, net);
    b->net = net;
    b->spec = (nl_engine_spec){.config = &b->config,
                               .model = &b->model,
                               .data = &b->data,
                               .seed = b->config.train.seed,
                               .threads = net->threads};
    const double degrees = b->config.data.rotate;
    for (uint32_t e = 0; e < EPOCHS; e++) {
        nl_epoch_order(b->order[e], net->images, b->spec.seed, e, b->config.data.shuffle);
        for (uint32_t i = 0; i < net->images; i++)
            b->rotations[e][i] = nl_rotation_make(nl_rotation_degrees(b->spec.seed, e, i, degrees),
                                                  b->model.picture.shape);
        b->epochs[e] = (nl_epoch){.epoch = e,
                                  .lr = nl_config_lr(&b->config, (int)e),
                                  .order = b->order[e],
                                  .rotations = degrees > 0 ? b->rotations[e] : NULL};
    }
    init_state(b);
    return NL_OK;
}

static void close_bench(bench *b) {
    nl_dataset_free(&b->data);
    free(b->params);
    free(b->buffers);
}

/* Of the logits of all training images. */
static int64_t score_count(const bench *b) {
    return (int64_t)b->net->images * b->model.picture.classes;
}

/* ---- a run -------------------------------------------------------------------------------------
 */

static int train(trail *t, nl_engine *engine, const bench *b, nl_error *err) {
    const nl_backend *backend = t->backend;
    double *params = numbers(b->model.params_size), *buffers = numbers(b->model.buffers_size);
    widen(params, b->params, b->model.params_size, sizeof(float));
    widen(buffers, b->buffers, b->model.buffers_size, sizeof(float));
    int code = set(engine, b, backend, params, buffers, err);
    free(params);
    free(buffers);
    for (int e = 0; e < EPOCHS && !code; e++) {
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
static int evaluate(trail *t, nl_engine *engine, const bench *b, const trail *given,
                    nl_error *err) {
    static const nl_eval_result none = {0};
    nl_eval_result result = none;
    nl_eval_pass pass = {.split = &b->data.test, .images = b->net->tests};
    TRY(t->backend->evaluate(engine, &pass, &result, err));
    t->own_loss = result.loss / pass.images;
    TRY(set(engine, b, t->backend, given->params, given->buffers, err));
    const int64_t scores = score_count(b);
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

/* A trail holds its places; `given` NULL: the trail's own weights, rounded to float. */
static int run(trail *t, const bench *b, const trail *given, nl_error *err) {
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

static trail *make_trail(const bench *b, const nl_backend *backend) {
    trail *t = nl_alloc(1, sizeof *t, "a run");
    t->backend = backend;
    t->left = numbers(b->model.params_size + b->model.buffers_size);
    t->params = numbers(b->model.params_size);
    t->buffers = numbers(b->model.buffers_size);
    t->logits = numbers(score_count(b));
    return t;
}

static void free_trail(trail *t) {
    free(t->left);
    free(t->params);
    free(t->buffers);
    free(t->logits);
    free(t);
}

/* ---- the comparison ----------------------------------------------------------------------------
 */

/* Fails with the network's seed as the place. */
#define DIFFERS(b, err, ...)                                                                       \
    do {                                                                                           \
        char where_[64];                                                                           \
        snprintf(where_, sizeof where_, "random network %u", (b)->net->seed);                      \
        return nl_fail(err, NL_EINTERNAL, where_, __VA_ARGS__);                                    \
    } while (0)

static bool close_to(double got, double want, double relative) {
    if (!isfinite(want)) return !isfinite(got);
    return fabs(got - want) <= relative * fabs(want);
}

static int compare_records(const bench *b, const trail *got, const trail *want, nl_error *err) {
    for (int e = 0; e < EPOCHS; e++)
        for (uint32_t i = 0; i < b->net->steps; i++) {
            const nl_step_record *g = &got->records[e][i], *w = &want->records[e][i];
            const double relative = e == 0 && i == 0 ? 1e-5 : 3e-2;
            if (!close_to(g->loss, w->loss, relative))
                DIFFERS(b, err, "epoch %d, step %u: loss %.9g, must be %.9g", e, i, g->loss,
                        w->loss);
            if (!close_to(g->penalty, w->penalty, relative))
                DIFFERS(b, err, "epoch %d, step %u: penalty %.9g, must be %.9g", e, i, g->penalty,
                        w->penalty);
            if (g->images != w->images)
                DIFFERS(b, err, "epoch %d, step %u: %u images, must be %u", e, i, g->images,
                        w->images);
        }
    return NL_OK;
}

static double far(const double *a, const double *b, int64_t count, double *largest) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(a[i] - b[i]);
        if (!(d <= most)) most = isnan(d) ? INFINITY : d;
        if (largest) *largest = fmax(*largest, fabs(b[i]));
    }
    return most;
}

static int compare_evaluation(const bench *b, const trail *got, const trail *plain,
                              const trail *want, nl_error *err) {
    const int64_t count = score_count(b);
    double largest = 0;
    const double error = far(got->logits, want->logits, count, &largest);
    const double bound = nl_verify_bound(far(plain->logits, want->logits, count, NULL), largest);
    if (!close_to(got->own_loss, want->own_loss, 3e-2))
        DIFFERS(b, err, "evaluated after training: loss %.9g, must be %.9g", got->own_loss,
                want->own_loss);
    if (!close_to(got->loss, want->loss, 1e-5))
        DIFFERS(b, err, "evaluated with given weights: loss %.9g, must be %.9g", got->loss,
                want->loss);
    if (!(error <= bound))
        DIFFERS(b, err, "logits with given weights: off by %.3g, allowed %.3g", error, bound);
    return NL_OK;
}

/* What the first step leaves: gradients and running values. */
static int compare_step(const bench *b, const trail *got, nl_random_outcome *outcome,
                        nl_error *err) {
    const nl_step_verdict v =
        nl_truth_check(&b->spec, b->params, b->buffers, &b->epochs[0], got->left);
    outcome->step = v.share;
    outcome->ties = v.ties;
    if (!(v.share <= 1))
        DIFFERS(b, err, "%s after the first step: off by %.3g, allowed %.3g (plain float: %.3g)",
                v.tensor, v.share * v.bound, v.bound, v.plain);
    return NL_OK;
}

static int compare(const bench *b, const trail *got, const trail *plain, const trail *want,
                   nl_random_outcome *outcome, nl_error *err) {
    const double loss = want->records[0][0].loss;
    outcome->steps = EPOCHS * (int)b->net->steps;
    outcome->loss = fabs(got->records[0][0].loss - loss) / loss;
    TRY(compare_records(b, got, want, err));
    TRY(compare_step(b, got, outcome, err));
    return compare_evaluation(b, got, plain, want, err);
}

int nl_random_net_check(const nl_random_net *net, const nl_backend *backend,
                        nl_random_outcome *outcome, nl_error *err) {
    bench *b = nl_alloc(1, sizeof *b, "a random network");
    memset(outcome, 0, sizeof *outcome);
    int code = open_bench(b, net, err);
    if (code) {
        free(b);
        return code;
    }
    trail *want = make_trail(b, &nl_backend_cpu64), *plain = make_trail(b, &nl_backend_plain);
    trail *got = make_trail(b, backend);
    code = run(want, b, NULL, err);
    if (!code) code = run(plain, b, want, err);
    if (!code) code = run(got, b, want, err);
    if (!code) code = compare(b, got, plain, want, outcome, err);
    free_trail(want);
    free_trail(plain);
    free_trail(got);
    close_bench(b);
    free(b);
    return code;
}
