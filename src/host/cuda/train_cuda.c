/* Training on the device.
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

#include "cuda/conv/conv_tune.h" // nl_conv_time

/* ---- graphs ---------------------------------------------------------------------------------- */

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

/* From now on the filter gradients stay in the stream of the rest, since their branch cannot be
 * recorded or timed; an error that stays is no fault of the branch. */
static int leave_branch(nl_engine *e, const nl_error *why, nl_error *err) {
    const int code = nl_cuda_check(cudaStreamSynchronize(e->net.stream), "training step", err);
    if (code) return code;
    nl_warn("cuda", "a step with its filter gradients on a branch fails (%s): it goes without",
            why->what);
    e->net.fork = false;
    return NL_OK;
}

static int record(nl_engine *e, cudaGraphExec_t *graph, const nl_cuda_form *form, int times,
                  nl_error *err) {
    if (*graph) (void)cudaGraphExecDestroy(*graph);
    *graph = NULL;
    work w = {.engine = e, .form = form};
    nl_error why;
    int code = nl_cuda_capture(graph, e->net.stream, times, queue_step, &w, &why);
    if (!code) return NL_OK;
    if (e->net.fork) {
        code = leave_branch(e, &why, err);
        return code ? code : nl_cuda_capture(graph, e->net.stream, times, queue_step, &w, err);
    }
    *err = why;
    return code;
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

int nl_cuda_train_warm_up(nl_engine *e, nl_error *err) {
    work full = {.engine = e, .form = &e->full}, last = {.engine = e, .form = &e->last};
    int code = e->full.train ? queue_step(&full, err) : NL_OK;
    if (!code && e->last.train) code = queue_step(&last, err);
    return code ? code : nl_cuda_eval_warm_up(e, err);
}

static int time_step(nl_engine *e, double *seconds, nl_error *err) {
    work full = {.engine = e, .form = &e->full};
    const int code = nl_cuda_clear_state(e, err);
    return code ? code : nl_conv_time(seconds, queue_step, &full, e->net.stream, err);
}

int nl_cuda_choose_fork(nl_engine *e, nl_error *err) {
    const uint32_t full_steps = e->spec.data->train.count / (uint32_t)e->net.batch;
    if (!e->spec.autotune || !e->full.train || full_steps < NL_CONV_TIME_CALLS) return NL_OK;
    double seconds[2] = {0, 0};
    nl_error why;
    e->net.fork = false;
    int code = time_step(e, &seconds[0], err);
    e->step_seconds = seconds[0];
    if (code) return code;
    e->net.fork = true;
    if (time_step(e, &seconds[1], &why)) return leave_branch(e, &why, err);
    e->net.fork = seconds[1] < seconds[0];
    e->step_seconds = seconds[e->net.fork];
    return NL_OK;
}

/* ---- an epoch -------------------------------------------------------------------------------- */

int nl_cuda_begin_epoch(nl_engine *e, const nl_epoch *epoch, nl_error *err) {
    const nl_k_state state = {.seed = e->spec.seed, .epoch = epoch->epoch, .lr = (float)epoch->lr};
    const size_t images = e->spec.data->train.count;
    int code = record_all(e, epoch->rotations != NULL, err);
    /* all but `stop`, which stays up until set_state, and the penalty, which is the weights' */
    if (!code) code = nl_cuda_write_state(e, &state, 0, offsetof(nl_k_state, stop), err);
    if (!code)
        code = nl_cuda_write_state(e, &state, offsetof(nl_k_state, lr), sizeof state.lr, err);
    if (!code) {
        code =
            nl_cuda_upload(e, e->order, epoch->order, images * sizeof *epoch->order, "order", err);
    }
    if (!code && epoch->rotations) {
        code = nl_cuda_upload(e, e->rotations, epoch->rotations, images * sizeof *epoch->rotations,
                              "rotations", err);
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

int nl_cuda_enqueue(nl_engine *e, uint32_t first, uint32_t count, nl_error *err) {
    NL_ASSERT(count > 0 && first + count <= e->steps);
    const uint32_t full = e->steps - (e->last.n > 0), end = first + count;
    int code = NL_OK;
    if (end > full ? !e->last.train : !e->full.train) return fail_single(err);
    if (first != e->next) {
        const nl_k_state state = {.step = first};
        code = nl_cuda_write_state(e, &state, offsetof(nl_k_state, step), sizeof state.step, err);
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

int nl_cuda_collect(nl_engine *e, uint32_t first, uint32_t count, nl_step_record *records,
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
