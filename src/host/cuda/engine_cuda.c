/* The CUDA engine behind the table of backend.h.
 *
 * The device holds all that a step needs: data set, order, rotations, learning rate, step counter.
 * So one recorded graph serves every step, and an epoch is a row of graph launches: of
 * NL_CUDA_STEPS steps as long as they fit, then of single ones (an epoch's 937 full steps are no
 * multiple of anything, and stops and limits want any count), and at the end that of the smaller
 * last batch. Nothing is allocated and nobody waits between; the records of each enqueue come back
 * by an asynchronous copy, and collect waits for the mark behind it.
 */
#include "engine_cuda.h"

#include <stddef.h> // offsetof
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "cuda/conv/conv_tune.h" // nl_conv_time

/* ---- graphs of training ------------------------------------------------------------------------
 */

typedef struct work {
    nl_engine *engine;
    const nl_cuda_form *form;
} work;

static int queue_step(void *context, nl_error *err) {
    const work *w = context;
    nl_engine *e = w->engine;
    const nl_cuda_source source = {.images = e->train.images,
                                   .labels = e->train.labels,
                                   .order = e->order,
                                   .rotations = e->rotated ? e->rotations : NULL,
                                   .state = e->state,
                                   .records = e->records};
    return nl_cuda_train_step(&e->net, w->form, &source, err);
}

static int record(nl_engine *e, cudaGraphExec_t *graph, const nl_cuda_form *form, int times,
                  nl_error *err) {
    if (*graph) (void)cudaGraphExecDestroy(*graph);
    work w = {.engine = e, .form = form};
    return nl_cuda_capture(graph, e->net.stream, times, queue_step, &w, err);
}

/* Records the graphs anew where rotations come or go. */
static int record_all(nl_engine *e, bool rotated, nl_error *err) {
    const bool there = e->one_step || e->last_step;
    if (there && rotated == e->rotated) return NL_OK;
    e->rotated = rotated;
    int code = nl_cuda_check(cudaStreamSynchronize(e->net.stream), "the steps before", err);
    if (!code && e->full.train) {
        code = record(e, &e->many_steps, &e->full, NL_CUDA_STEPS, err);
        if (!code) code = record(e, &e->one_step, &e->full, 1, err);
    }
    if (!code && e->last.train) code = record(e, &e->last_step, &e->last, 1, err);
    return code;
}

static int clear_state(nl_engine *e, nl_error *err) {
    return nl_cuda_check(cudaMemsetAsync(e->state, 0, sizeof *e->state, e->net.stream), "state",
                         err);
}

/* Runs one step of each kind on zeros, before anything is recorded: the device loads a kernel's
 * code when it first runs, which a recording does not allow. set_state brings the real state. */
static int warm_up(nl_engine *e, nl_error *err) {
    work full = {.engine = e, .form = &e->full}, last = {.engine = e, .form = &e->last};
    int code = e->full.train ? queue_step(&full, err) : NL_OK;
    if (!code && e->last.train) code = queue_step(&last, err);
    return code ? code : nl_cuda_eval_warm_up(e, err);
}

/* Filter gradients on a branch of their own or not, as it measures; the bits are the same. The
 * steps have a learning rate of 0, and there must be enough of them in an epoch. */
static int choose_fork(nl_engine *e, nl_error *err) {
    const uint32_t full_steps = e->spec.data->train.count / (uint32_t)e->net.batch;
    if (!e->spec.autotune || !e->full.train || full_steps < NL_CONV_TIME_CALLS) return NL_OK;
    work full = {.engine = e, .form = &e->full};
    double seconds[2] = {0, 0};
    for (int fork = 0; fork < 2; fork++) {
        e->net.fork = fork;
        int code = clear_state(e, err);
        if (!code) code = nl_conv_time(&seconds[fork], queue_step, &full, e->net.stream, err);
        if (code) return code;
    }
    e->net.fork = seconds[1] < seconds[0];
    return NL_OK;
}

/* ---- open and close ----------------------------------------------------------------------------
 */

static int upload(void *to, const void *from, size_t size, cudaStream_t stream, const char *what,
                  nl_error *err) {
    return nl_cuda_check(cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, stream), what,
                         err);
}

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
    const cudaStream_t stream = e->net.stream;
    int code =
        upload(split->images, host->images, (size_t)bytes, stream, "copying the data set", err);
    if (!code) code = upload(split->labels, host->labels, host->count, stream, "labels", err);
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
    char key[320];
    snprintf(key, sizeof key, "%s sm_%d%d", e->device.name, e->device.major, e->device.minor);
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
    free(e);
}

static int engine_open(nl_engine **out, const nl_engine_spec *spec, nl_error *err) {
    nl_engine *e = nl_alloc(1, sizeof *e, "state of the CUDA engine");
    e->spec = *spec;
    nl_pixel_table table;
    nl_pixel_table_make(&table, &spec->model->picture);
    int code = nl_device_open(&e->device, spec->device, err);
    if (!code) code = nl_cuda_net_open(&e->net, spec, err);
    if (!code) code = upload(e->net.table, &table, sizeof table, e->net.stream, "pixel table", err);
    e->net.fork = true;
    if (!code) code = open_memory(e, err);
    if (!code) code = open_plans(e, err);
    if (!code) code = warm_up(e, err);
    if (!code) code = choose_fork(e, err);
    if (!code) code = clear_state(e, err);
    if (!code) code = nl_cuda_check(cudaStreamSynchronize(e->net.stream), "set-up", err);
    if (code) {
        engine_close(e);
        return code;
    }
    *out = e;
    return NL_OK;
}

/* ---- state -------------------------------------------------------------------------------------
 */

/* Writes the part of the device's state that begins at `offset`. */
static int write_state(nl_engine *e, const nl_k_state *state, size_t offset, size_t size,
                       nl_error *err) {
    return upload((char *)e->state + offset, (const char *)state + offset, size, e->net.stream,
                  "state", err);
}

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
    if (!status) status = cudaStreamSynchronize(e->net.stream);
    return nl_cuda_check(status, "copying the model's state", err);
}

/* The epoch and its learning rate stay what they are. */
static int engine_set_state(nl_engine *e, const nl_state *state, nl_error *err) {
    const nl_k_state go = {.stop = 0};
    int code = write_state(e, &go, offsetof(nl_k_state, stop), sizeof go.stop, err);
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

/* ---- training ----------------------------------------------------------------------------------
 */

static int engine_begin_epoch(nl_engine *e, const nl_epoch *epoch, nl_error *err) {
    const nl_k_state state = {.seed = e->spec.seed, .epoch = epoch->epoch, .lr = (float)epoch->lr};
    const size_t images = e->spec.data->train.count;
    int code = record_all(e, epoch->rotations != NULL, err);
    /* all but `stop`, which stays up until set_state, and the penalty, which is the weights' */
    if (!code) code = write_state(e, &state, 0, offsetof(nl_k_state, stop), err);
    if (!code) code = write_state(e, &state, offsetof(nl_k_state, lr), sizeof state.lr, err);
    if (!code) {
        code = upload(e->order, epoch->order, images * sizeof *epoch->order, e->net.stream, "order",
                      err);
    }
    if (!code && epoch->rotations) {
        code = upload(e->rotations, epoch->rotations, images * sizeof *epoch->rotations,
                      e->net.stream, "rotations", err);
    }
    e->next = 0;
    e->calls = 0;
    return code;
}

static int launch(nl_engine *e, cudaGraphExec_t graph, nl_error *err) {
    return nl_cuda_check(cudaGraphLaunch(graph, e->net.stream), "training step", err);
}

static int fail_single(nl_error *err) {
    return nl_fail(err, NL_EUSAGE, "data.batch",
                   "batch norm would see one value a channel in a batch of one image");
}

static int engine_enqueue(nl_engine *e, uint32_t first, uint32_t count, nl_error *err) {
    NL_ASSERT(count > 0 && first + count <= e->steps);
    const uint32_t full = e->steps - (e->last.n > 0), end = first + count;
    int code = NL_OK;
    if (end > full ? !e->last.train : !e->full.train) return fail_single(err);
    if (first != e->next) {
        const nl_k_state state = {.step = first};
        code = write_state(e, &state, offsetof(nl_k_state, step), sizeof state.step, err);
    }
    for (uint32_t step = first; step < end && !code;) {
        const uint32_t left = (end < full ? end : full) - (step < full ? step : full);
        if (left >= NL_CUDA_STEPS) {
            code = launch(e, e->many_steps, err);
            step += NL_CUDA_STEPS;
        } else {
            code = launch(e, left > 0 ? e->one_step : e->last_step, err);
            step++;
        }
    }
    if (code) return code;
    e->next = end;
    nl_cuda_mark *mark = &e->marks[e->calls++ % NL_CUDA_MARKS];
    mark->end = end;
    cudaError_t status =
        cudaMemcpyAsync(e->arrived + first, e->records + first, count * sizeof *e->arrived,
                        cudaMemcpyDeviceToHost, e->net.stream);
    if (!status) status = cudaEventRecord(mark->event, e->net.stream);
    return nl_cuda_check(status, "training step", err);
}

/* The earliest of the newest marks that covers a step; older ones were overwritten, and the steps
 * they stood for are covered by any later one. */
static const nl_cuda_mark *find_mark(const nl_engine *e, uint32_t end) {
    const uint32_t kept = e->calls < NL_CUDA_MARKS ? e->calls : NL_CUDA_MARKS;
    for (uint32_t back = kept; back > 0; back--) {
        const nl_cuda_mark *mark = &e->marks[(e->calls - back) % NL_CUDA_MARKS];
        if (mark->end >= end) return mark;
    }
    return NULL;
}

static int engine_collect(nl_engine *e, uint32_t first, uint32_t count, nl_step_record *records,
                          nl_error *err) {
    const nl_cuda_mark *mark = find_mark(e, first + count);
    NL_ASSERT(mark);
    const int code = nl_cuda_check(cudaEventSynchronize(mark->event), "training step", err);
    for (uint32_t i = 0; i < count && !code; i++) {
        const nl_k_record *r = &e->arrived[first + i];
        records[i] = (nl_step_record){.loss = r->loss / r->images,
                                      .penalty = r->penalty,
                                      .hits = r->hits,
                                      .images = r->images};
    }
    return code;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

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
    return nl_convs_json(e->net.convs);
}

const nl_backend nl_backend_cuda = {.name = "cuda",
                                    .real_size = sizeof(float),
                                    .burst = NL_CUDA_BURST,
                                    .open = engine_open,
                                    .close = engine_close,
                                    .set_state = engine_set_state,
                                    .get_state = engine_get_state,
                                    .begin_epoch = engine_begin_epoch,
                                    .enqueue = engine_enqueue,
                                    .collect = engine_collect,
                                    .evaluate = nl_cuda_evaluate,
                                    .describe = engine_describe,
                                    .plan = engine_plan};
