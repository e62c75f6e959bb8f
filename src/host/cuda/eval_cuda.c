/* An evaluation pass on the device: graphs of many full batches and of one, then the rest at once.
 * What each image gave stays on the device until the part that was asked for is over.
 */
#include "engine_cuda.h"

#include <stdlib.h> // free

typedef struct work {
    nl_engine *engine;
    nl_cuda_form form;
    const nl_cuda_split *split;
    bool rotated;
} work;

static int queue_step(void *context, nl_error *err) {
    const work *w = context;
    nl_engine *e = w->engine;
    const nl_cuda_source source = {.images = w->split->images,
                                   .labels = w->split->labels,
                                   .rotations = w->rotated ? w->split->rotations : NULL,
                                   .state = e->eval_state,
                                   .records = e->eval_records};
    return nl_cuda_eval_step(&e->net, &w->form, &source, &e->outputs, err);
}

/* The graphs of full batches of this kind of pass, made when they are first wanted. */
static int record(work *w, cudaGraphExec_t *one, cudaGraphExec_t *many, nl_error *err) {
    if (*one) return NL_OK;
    const cudaStream_t stream = w->engine->net.stream;
    const int code = nl_cuda_capture(one, stream, 1, queue_step, w, err);
    return code ? code : nl_cuda_capture(many, stream, NL_CUDA_STEPS, queue_step, w, err);
}

static int run_full(work *w, nl_cuda_split *split, uint32_t steps, nl_error *err) {
    nl_engine *e = w->engine;
    cudaGraphExec_t *one = &split->one[w->rotated], *many = &split->many[w->rotated];
    int code = nl_cuda_form_make(&w->form, &e->net, e->net.batch, false, err);
    if (!code) code = record(w, one, many, err);
    while (steps > 0 && !code) {
        const bool long_one = steps >= NL_CUDA_STEPS;
        code = nl_cuda_check(cudaGraphLaunch(long_one ? *many : *one, e->net.stream), "evaluation",
                             err);
        steps -= long_one ? NL_CUDA_STEPS : 1;
    }
    return code;
}

static int run_rest(work *w, int images, nl_error *err) {
    const int code = nl_cuda_form_make(&w->form, &w->engine->net, images, false, err);
    return code ? code : queue_step(w, err);
}

static int fetch(nl_engine *e, void *to, const void *from, size_t size, nl_error *err) {
    if (!to) return NL_OK;
    return nl_cuda_check(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToHost, e->net.stream),
                         "evaluation", err);
}

/* The scores of the part, by image number. */
static int fetch_scores(nl_engine *e, const nl_eval_pass *pass, float *to, const float *from,
                        nl_error *err) {
    const size_t classes = (size_t)e->net.model->picture.classes, at = pass->first * classes;
    return fetch(e, to ? to + at : NULL, from + at, pass->images * classes * sizeof *from, err);
}

static int fetch_all(nl_engine *e, const nl_eval_pass *pass, nl_k_record *records, uint32_t steps,
                     nl_error *err) {
    const nl_k_record *from = e->eval_records + pass->first / (uint32_t)e->net.batch;
    uint8_t *predictions = pass->predictions ? pass->predictions + pass->first : NULL;
    int code = fetch(e, records, from, steps * sizeof *records, err);
    if (!code) code = fetch_scores(e, pass, pass->probs, e->outputs.probs, err);
    if (!code) code = fetch_scores(e, pass, pass->logits, e->outputs.logits, err);
    if (!code)
        code = fetch(e, predictions, e->outputs.predictions + pass->first, pass->images, err);
    /* after a failure too: what is under way writes the caller's memory */
    const cudaError_t status = cudaStreamSynchronize(e->net.stream);
    return code ? code : nl_cuda_check(status, "evaluation", err);
}

static int begin(work *w, const nl_eval_pass *pass, nl_error *err) {
    nl_engine *e = w->engine;
    const nl_k_state state = {.step = pass->first / (uint32_t)e->net.batch};
    int code = nl_cuda_upload(e, e->eval_state, &state, sizeof state, "evaluation", err);
    if (!code && w->rotated)
        code = nl_cuda_upload(e, w->split->rotations + pass->first, pass->rotations + pass->first,
                              pass->images * sizeof *pass->rotations, "evaluation", err);
    return code;
}

int nl_cuda_evaluate(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result,
                     nl_error *err) {
    nl_cuda_split *split = pass->split == e->train.host ? &e->train : &e->test;
    const uint32_t batch = (uint32_t)e->net.batch;
    NL_ASSERT(pass->split == split->host && pass->first % batch == 0 &&
              pass->first + pass->images <= split->host->count);
    const uint32_t full = pass->images / batch;
    const uint32_t rest = pass->images % batch, steps = full + (rest > 0);
    work w = {.engine = e, .split = split, .rotated = pass->rotations != NULL};
    if (pass->first == 0) *result = (nl_eval_result){0};
    int code = begin(&w, pass, err);
    if (!code && full) code = run_full(&w, split, full, err);
    if (!code && rest) code = run_rest(&w, (int)rest, err);
    nl_k_record *records = nl_alloc(steps, sizeof *records, "records");
    if (!code) code = fetch_all(e, pass, records, steps, err);
    for (uint32_t i = 0; i < steps && !code; i++) {
        result->loss += records[i].loss;
        result->hits += records[i].hits;
    }
    free(records);
    return code;
}

int nl_cuda_eval_warm_up(nl_engine *e, nl_error *err) {
    work w = {.engine = e, .split = &e->train};
    return run_rest(&w, e->full.n ? e->full.n : e->last.n, err);
}
