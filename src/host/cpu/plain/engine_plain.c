/* The engine made of plain operations, behind the table of backend.h: the backend `plain` in float
 * and `cpu64` in double. Everything runs at once, in the calling thread: enqueue computes, collect
 * copies what enqueue has kept.
 *
 * A step whose loss or penalty is not finite must leave no trace. Weights change only after both
 * are known; the running values of batch norm change within the forward pass, so that pass works on
 * a copy, which becomes the state when the step counts. */
#include <math.h>   // isfinite
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "normlab/backend.h"
#include "net_plain.h"

struct nl_engine {
    nl_engine_spec spec;
    plain_net net;
    nl_pixel_table table;
    nl_state state;          /* of reals */
    real *grads;             /* (params_size) */
    real *next_buffers;      /* (buffers_size) */
    real *probs, *dlogits;   /* (batch, classes) */
    uint8_t *labels;         /* (batch) */
    uint32_t *places;        /* (batch) image numbers of an evaluated batch */
    uint32_t *order;         /* (train.count) of the epoch */
    nl_rotation *rotations;  /* (train.count) of the epoch */
    bool rotated;            /* the epoch has rotations */
    nl_step_record *records; /* (steps) of the epoch */
    uint32_t steps;          /* of a whole epoch */
    uint32_t epoch;
    double lr;
    bool stopped; /* by a step that was not finite, until the next set_state */
};

static uint32_t batch_size(const nl_engine *engine) {
    return (uint32_t)engine->spec.config->data.batch;
}

static void *memory(int64_t count, size_t size) {
    return nl_alloc((size_t)count, size, "state of the plain engine");
}

// --- life and state -----------------------------------------------------------------------------

static int engine_open(nl_engine **out, const nl_engine_spec *spec, nl_error *err) {
    (void)err;
    nl_engine *e = memory(1, sizeof *e);
    const nl_model *model = spec->model;
    const uint32_t images = spec->data->train.count;
    e->spec = *spec;
    const uint32_t batch = batch_size(e);
    OP(net_open)(&e->net, spec->config, model, (int)batch);
    nl_pixel_table_make(&e->table, &model->picture);
    e->state = nl_state_alloc(model, sizeof(real));
    e->grads = memory(model->params_size, sizeof(real));
    e->next_buffers = memory(model->buffers_size, sizeof(real));
    const int64_t scores = (int64_t)batch * model->picture.classes;
    e->probs = memory(scores, sizeof(real));
    e->dlogits = memory(scores, sizeof(real));
    e->labels = memory(batch, 1);
    e->places = memory(batch, sizeof *e->places);
    e->order = memory(images, sizeof *e->order);
    e->rotations = memory(images, sizeof *e->rotations);
    e->steps = images / batch + (images % batch != 0);
    e->records = memory(e->steps, sizeof *e->records);
    *out = e;
    return NL_OK;
}

static void engine_close(nl_engine *e) {
    OP(net_close)(&e->net);
    nl_state_free(&e->state);
    void *owned[] = {e->grads,  e->next_buffers, e->probs,     e->dlogits, e->labels,
                     e->places, e->order,        e->rotations, e->records};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
    free(e);
}

static int engine_set_state(nl_engine *e, const nl_state *state, nl_error *err) {
    (void)err;
    nl_state_copy(&e->state, state, e->spec.model, sizeof(real));
    e->stopped = false;
    return NL_OK;
}

static int engine_get_state(nl_engine *e, const nl_state *state, nl_error *err) {
    (void)err;
    nl_state_copy(state, &e->state, e->spec.model, sizeof(real));
    return NL_OK;
}

// --- training -----------------------------------------------------------------------------------

static int engine_begin_epoch(nl_engine *e, const nl_epoch *epoch, nl_error *err) {
    (void)err;
    const uint32_t images = e->spec.data->train.count;
    e->epoch = epoch->epoch;
    e->lr = epoch->lr;
    memcpy(e->order, epoch->order, images * sizeof *e->order);
    e->rotated = epoch->rotations;
    if (e->rotated) memcpy(e->rotations, epoch->rotations, images * sizeof *e->rotations);
    return NL_OK;
}

/* Fills the net's input and the labels with images[0 .. n). */
static void load(nl_engine *e, const nl_split *split, const uint32_t *images,
                 const nl_rotation *rotations, int n) {
    OP(gather)
    (e->net.x, split->images, e->spec.model->picture.shape, images, rotations, &e->table, n);
    for (int i = 0; i < n; i++) e->labels[i] = split->labels[images[i]];
}

static void update(nl_engine *e, net_batch b) {
    const nl_config *config = e->spec.config;
    const nl_sgd sgd = {.lr = e->lr,
                        .momentum = config->train.momentum,
                        .weight_decay = config->train.weight_decay,
                        .l1 = config->train.l1,
                        .nesterov = config->train.nesterov};
    OP(net_backward)(&e->net, e->grads, e->dlogits, e->state.params, b);
    OP(sgd_update)(e->state.params, e->state.momentum, e->grads, e->spec.model->params_size, sgd);
    real *const old = e->state.buffers;
    e->state.buffers = e->next_buffers;
    e->next_buffers = old;
}

static void train_step(nl_engine *e, uint32_t step) {
    const nl_model *model = e->spec.model;
    const uint32_t first = step * batch_size(e), left = e->spec.data->train.count - first;
    const uint32_t n = left < batch_size(e) ? left : batch_size(e);
    const uint32_t *images = e->order + first;
    const net_batch b = {
        .train = true, .n = (int)n, .seed = e->spec.seed, .epoch = e->epoch, .images = images};
    nl_step_record *record = &e->records[step];
    load(e, &e->spec.data->train, images, e->rotated ? e->rotations : NULL, b.n);
    memcpy(e->next_buffers, e->state.buffers, (size_t)model->buffers_size * sizeof(real));
    const real *logits = OP(net_forward)(&e->net, e->state.params, e->next_buffers, b);
    record->images = n;
    record->loss = OP(softmax_loss)(NULL, e->dlogits, NULL, &record->hits, logits, e->labels, b.n,
                                    model->picture.classes) /
                   n;
    const double l1 = e->spec.config->train.l1;
    record->penalty = l1 > 0 ? l1 * OP(sum_abs)(e->state.params, model->params_size) : 0;
    if (!isfinite(record->loss + record->penalty)) e->stopped = true;
    if (!e->stopped) update(e, b);
}

static int engine_enqueue(nl_engine *e, uint32_t first, uint32_t count, nl_error *err) {
    (void)err;
    NL_ASSERT(first + count <= e->steps);
    const unsigned mode = nl_subnormals(REAL_SUBNORMALS);
    for (uint32_t i = 0; i < count; i++) train_step(e, first + i);
    nl_subnormals_restore(mode);
    return NL_OK;
}

static int engine_collect(nl_engine *e, uint32_t first, uint32_t count, nl_step_record *records,
                          nl_error *err) {
    (void)err;
    NL_ASSERT(first + count <= e->steps);
    memcpy(records, e->records + first, count * sizeof *records);
    return NL_OK;
}

// --- evaluation ---------------------------------------------------------------------------------

/* Images first .. first + n - 1 of the split. */
static void evaluate_batch(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result,
                           uint32_t first, int n) {
    for (int i = 0; i < n; i++) e->places[i] = first + (uint32_t)i;
    load(e, pass->split, e->places, pass->rotations, n);
    const net_batch b = {.train = false, .n = n};
    const real *logits = OP(net_forward)(&e->net, e->state.params, e->state.buffers, b);
    const int classes = e->spec.model->picture.classes;
    uint32_t hits = 0;
    result->loss +=
        OP(softmax_loss)(e->probs, NULL, pass->predictions ? pass->predictions + first : NULL,
                         &hits, logits, e->labels, n, classes);
    result->hits += hits;
    const size_t at = (size_t)first * (size_t)classes;
    for (int i = 0; i < n * classes; i++) {
        if (pass->probs) pass->probs[at + (size_t)i] = (float)e->probs[i];
        if (pass->logits) pass->logits[at + (size_t)i] = (float)logits[i];
    }
}

static int engine_evaluate(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result,
                           nl_error *err) {
    (void)err;
    const uint32_t end = pass->first + pass->images;
    NL_ASSERT(end <= pass->split->count && pass->first % batch_size(e) == 0);
    if (pass->first == 0) *result = (nl_eval_result){0, 0};
    const unsigned mode = nl_subnormals(REAL_SUBNORMALS);
    for (uint32_t first = pass->first; first < end; first += batch_size(e)) {
        const uint32_t left = end - first;
        evaluate_batch(e, pass, result, first, (int)(left < batch_size(e) ? left : batch_size(e)));
    }
    nl_subnormals_restore(mode);
    return NL_OK;
}

// --- the table ----------------------------------------------------------------------------------

static void engine_describe(const nl_engine *e, char *text, size_t size) {
    (void)e;
    snprintf(text, size, "CPU, plain operations in %s precision, 1 thread",
             sizeof(real) == 8 ? "double" : "single");
}

static char *engine_plan(const nl_engine *e) {
    (void)e;
    return NULL;
}

#ifdef NL_DOUBLE
#define BACKEND nl_backend_cpu64
#define BACKEND_NAME "cpu64"
#else
#define BACKEND nl_backend_plain
#define BACKEND_NAME "plain"
#endif

const nl_backend BACKEND = {.name = BACKEND_NAME,
                            .real_size = sizeof(real),
                            .side_by_side = true,
                            .burst = 1,
                            .open = engine_open,
                            .close = engine_close,
                            .set_state = engine_set_state,
                            .get_state = engine_get_state,
                            .begin_epoch = engine_begin_epoch,
                            .enqueue = engine_enqueue,
                            .collect = engine_collect,
                            .evaluate = engine_evaluate,
                            .describe = engine_describe,
                            .plan = engine_plan};
