/* The CUDA engine behind the table of backend.h: opening it, and its state. train_cuda.c trains,
 * eval_cuda.c evaluates.
 */
#include "engine_cuda.h"

#include <stddef.h> // offsetof
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include <jansson.h> // JSON

/* ---- open and close -------------------------------------------------------------------------- */

#define ALLOC(pointer, count, what)                                                                \
    do {                                                                                           \
        void *memory_ = NULL;                                                                      \
        const int code_ =                                                                          \
            nl_cuda_net_alloc(&memory_, &e->net, count, sizeof *(pointer), what, err);             \
        if (code_) return code_;                                                                   \
        (pointer) = memory_;                                                                       \
    } while (0)

static int open_split(nl_engine *e, nl_cuda_split *split, const nl_split *host, nl_error *err) {
    const int64_t bytes = (int64_t)host->count * nl_image_bytes(e->spec.model->picture.shape);
    split->host = host;
    ALLOC(split->images, bytes, "images of the data set");
    ALLOC(split->labels, host->count, "labels of the data set");
    ALLOC(split->rotations, host->count, "rotations");
    int code =
        nl_cuda_upload(e, split->images, host->images, (size_t)bytes, "copying the data set", err);
    if (!code) code = nl_cuda_upload(e, split->labels, host->labels, host->count, "labels", err);
    return code;
}

static int open_memory(nl_engine *e, nl_error *err) {
    const uint32_t train = e->spec.data->train.count, test = e->spec.data->test.count;
    const uint32_t batch = (uint32_t)e->net.batch, most = train > test ? train : test;
    e->steps = train / batch + (train % batch != 0);
    ALLOC(e->order, train, "order of the images");
    ALLOC(e->rotations, train, "rotations");
    ALLOC(e->state, 1, "state");
    ALLOC(e->records, e->steps, "records");
    ALLOC(e->eval_state, 1, "state");
    ALLOC(e->eval_records, most / batch + 1, "records");
    const int64_t scores = (int64_t)most * e->spec.model->picture.classes;
    ALLOC(e->outputs.logits, scores, "logits");
    ALLOC(e->outputs.probs, scores, "probabilities");
    ALLOC(e->outputs.predictions, most, "predictions");
    void *host = NULL;
    int code = nl_cuda_check(cudaMallocHost(&host, e->steps * sizeof *e->arrived), "records", err);
    e->arrived = host;
    for (int i = 0; i < NL_CUDA_MARKS && !code; i++) {
        code =
            nl_cuda_check(cudaEventCreateWithFlags(&e->marks[i].event,
                                                   cudaEventDisableTiming | cudaEventBlockingSync),
                          "event", err);
    }
    if (!code) code = open_split(e, &e->train, &e->spec.data->train, err);
    if (!code) code = open_split(e, &e->test, &e->spec.data->test, err);
    return code;
}

static int open_plans(nl_engine *e, nl_error *err) {
    char key[NL_DEVICE_KEY];
    nl_device_key(key, &e->device);
    const nl_convs_options options = {.streams = {e->net.stream, e->net.branch},
                                      .tf32 = e->spec.config->train.math == NL_MATH_TF32,
                                      .autotune = e->spec.autotune,
                                      .device = key,
                                      .plan = e->spec.plan};
    const int rest = (int)(e->spec.data->train.count % (uint32_t)e->net.batch);
    int code = nl_convs_open(&e->net.convs, &options, err);
    if (!code) code = nl_cuda_form_make(&e->full, &e->net, e->net.batch, true, err);
    if (!code && rest) code = nl_cuda_form_make(&e->last, &e->net, rest, true, err);
    return code;
}

static void engine_close(nl_engine *e) {
    cudaGraphExec_t graphs[] = {e->many_steps,    e->one_step,     e->last_step,
                                e->train.one[0],  e->train.one[1], e->train.many[0],
                                e->train.many[1], e->test.one[0],  e->test.one[1],
                                e->test.many[0],  e->test.many[1]};
    if (e->net.stream) cudaStreamSynchronize(e->net.stream);
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++) {
        if (graphs[i]) cudaGraphExecDestroy(graphs[i]);
    }
    for (int i = 0; i < NL_CUDA_MARKS; i++) {
        if (e->marks[i].event) cudaEventDestroy(e->marks[i].event);
    }
    if (e->arrived) cudaFreeHost(e->arrived);
    nl_cuda_net_close(&e->net);
    (void)cudaGetLastError(); /* what fails here has nobody to be told to, the next engine least */
    free(e);
}

static int open_way(nl_engine **out, const nl_engine_spec *spec, const nl_first_way *way,
                    nl_error *err) {
    nl_engine *e = nl_alloc(1, sizeof *e, "state of the CUDA engine");
    e->spec = *spec;
    e->way = *way;
    nl_pixel_table table;
    nl_pixel_table_make(&table, &spec->model->picture);
    int code = nl_device_open(&e->device, spec->device, err);
    if (!code) code = nl_cuda_net_open(&e->net, spec, way->own ? &way->first : NULL, err);
    if (!code) code = nl_cuda_upload(e, e->net.table, &table, sizeof table, "pixel table", err);
    e->net.fork = true;
    if (!code) code = open_memory(e, err);
    if (!code) code = open_plans(e, err);
    if (!code) code = nl_cuda_train_warm_up(e, err);
    if (!code) code = nl_cuda_choose_fork(e, err);
    if (!code) code = nl_cuda_clear_state(e, err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(e->net.stream), "set-up", err);
    if (code) {
        engine_close(e);
        return code;
    }
    *out = e;
    return NL_OK;
}

/* ---- state ----------------------------------------------------------------------------------- */

static int copy_state(nl_engine *e, const nl_state *state, enum cudaMemcpyKind kind,
                      nl_error *err) {
    const nl_k_arenas *a = &e->net.arenas;
    const nl_state own = {a->params, a->momentum, a->buffers};
    nl_arena host[NL_ARENAS], device[NL_ARENAS];
    nl_state_arenas(host, state, e->net.model);
    nl_state_arenas(device, &own, e->net.model);
    const bool in = kind == cudaMemcpyHostToDevice;
    cudaError_t status = cudaSuccess;
    for (int i = 0; i < NL_ARENAS && !status; i++) {
        const nl_arena *to = in ? &device[i] : &host[i], *from = in ? &host[i] : &device[i];
        if (to->size > 0)
            status = cudaMemcpyAsync(to->data, from->data, (size_t)to->size * sizeof(float), kind,
                                     e->net.stream);
    }
    const cudaError_t waited = cudaStreamSynchronize(e->net.stream); /* after a failure too */
    return nl_cuda_check(status ? status : waited, "copying the model's state", err);
}

/* The epoch and its learning rate stay what they are. */
static int engine_set_state(nl_engine *e, const nl_state *state, nl_error *err) {
    const nl_k_state go = {.stop = 0};
    int code = nl_cuda_write_state(e, &go, offsetof(nl_k_state, stop), sizeof go.stop, err);
    if (!code) code = copy_state(e, state, cudaMemcpyHostToDevice, err);
    if (code) return code;
    const nl_cuda_net *net = &e->net;
    return nl_cuda_check((cudaError_t)nl_k_penalty(&net->arenas, net->rule, e->state, net->scratch,
                                                   net->counters, net->stream),
                         "penalty", err);
}

static int engine_get_state(nl_engine *e, const nl_state *state, nl_error *err) {
    return copy_state(e, state, cudaMemcpyDeviceToHost, err);
}

/* ---- a trial --------------------------------------------------------------------------------- */

/* With the initial weights, in file order, without rotations. */
static int first_loss(double *loss, nl_engine *e, nl_error *err) {
    const nl_model *model = e->net.model;
    const uint32_t images = e->spec.data->train.count;
    nl_state state = nl_state_alloc(model, sizeof(float));
    uint32_t *order = nl_alloc(images, sizeof *order, "order");
    for (uint32_t i = 0; i < images; i++) order[i] = i;
    nl_model_init(model, state.params, state.buffers, e->spec.seed);
    const nl_epoch epoch = {.order = order};
    nl_step_record record = {0};
    int code = engine_set_state(e, &state, err);
    if (!code) code = nl_cuda_begin_epoch(e, &epoch, err);
    if (!code) code = nl_cuda_enqueue(e, 0, 1, err);
    if (!code) code = nl_cuda_collect(e, 0, 1, &record, err);
    *loss = record.loss;
    nl_state_free(&state);
    free(order);
    return code;
}

/* See nl_first_trial; 0 seconds where an epoch has too few steps to time. */
static int try_way(double *seconds, double *loss, const nl_engine_spec *spec, const nl_k_first *own,
                   nl_error *err) {
    nl_first_way way = {.own = own != NULL, .why = "trial"};
    nl_engine *e;
    if (own) way.first = *own;
    int code = open_way(&e, spec, &way, err);
    if (code) return code;
    *seconds = e->step_seconds;
    code = first_loss(loss, e, err);
    engine_close(e);
    return code;
}

static int engine_open(nl_engine **out, const nl_engine_spec *spec, nl_error *err) {
    nl_first_way way;
    const int code = nl_first_way_choose(&way, spec, try_way, err);
    return code ? code : open_way(out, spec, &way, err);
}

/* ---- the table ------------------------------------------------------------------------------- */

int nl_cuda_probe(int device, nl_error *err) {
    nl_device found;
    const int code = nl_device_open(&found, device, err);
    return code ? code : nl_convs_probe(err);
}

static void engine_describe(const nl_engine *e, char *text, size_t size) {
    const nl_device *d = &e->device;
    snprintf(text, size, "%s, compute capability %d.%d, driver for CUDA %d.%d, CUDA %d.%d, %s",
             d->name, d->major, d->minor, d->driver / 1000, d->driver % 1000 / 10,
             d->runtime / 1000, d->runtime % 1000 / 10, nl_convs_versions(e->net.convs));
}

static char *engine_plan(const nl_engine *e) {
    json_t *root = nl_convs_json(e->net.convs);
    NL_NEED(root);
    json_object_set_new(root, "first_block", nl_first_way_json(&e->way));
    char *text = json_dumps(root, JSON_SORT_KEYS);
    json_decref(root);
    return text;
}

const nl_backend nl_backend_cuda = {.name = "cuda",
                                    .real_size = sizeof(float),
                                    .burst = NL_CUDA_BURST,
                                    .open = engine_open,
                                    .close = engine_close,
                                    .set_state = engine_set_state,
                                    .get_state = engine_get_state,
                                    .begin_epoch = nl_cuda_begin_epoch,
                                    .enqueue = nl_cuda_enqueue,
                                    .collect = nl_cuda_collect,
                                    .evaluate = nl_cuda_evaluate,
                                    .describe = engine_describe,
                                    .plan = engine_plan};
