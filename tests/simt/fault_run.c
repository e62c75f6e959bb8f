/* fault_run.h */
#include "fault_run.h"

#include <criterion/criterion.h> // cr_assert
#include <cuda_runtime_api.h>    // simt_calls
#include <stdio.h>               // snprintf
#include <stdlib.h>              // setenv
#include <string.h>              // strcmp

#include "normlab/rng.h" // nl_epoch_order
#include "support/config_text.h"
#include "support/idx_set.h" // temp_dir_make

static void make_split(nl_split *split, uint32_t count, const nl_picture *picture) {
    const uint32_t bytes = (uint32_t)nl_image_bytes(picture->shape);
    split->count = count;
    split->images = nl_alloc(count, bytes, "images");
    split->labels = nl_alloc(count, 1, "labels");
    for (uint32_t i = 0; i < count * bytes; i++)
        split->images[i] = (uint8_t)(nl_philox4x32(i, 0, 0, 0, 9, 9).v[0] >> 24);
    for (uint32_t i = 0; i < count; i++)
        split->labels[i] = (uint8_t)(i % (uint32_t)picture->classes);
}

static void ends(fault_run *r, int phase) {
    fault_phase_ends(&r->procedure, phase - r->offset);
}

/* Every engine begins with the version of the runtime, and then makes two streams. */
static void end_trials(fault_procedure *p) {
    int streams = 0;
    for (long n = 1, begin = 0; n <= simt_calls(); n++) {
        if (strcmp(simt_called(n), "cudaRuntimeGetVersion") == 0) begin = n;
        if (strcmp(simt_called(n), "cudaStreamCreateWithFlags") != 0) continue;
        streams++;
        if (streams == 3) p->ends[FAULT_GENERAL_WAY] = begin - 1;
        if (streams == 5) p->ends[FAULT_OWN_WAY] = begin - 1;
    }
}

/* Which engine a call belongs to is certain: the choice asks for the version once, and each engine.
 */
static int phase_of_timed(long n, int usual) {
    int engines = -1;
    for (long i = 1; i <= n; i++) engines += strcmp(simt_called(i), "cudaRuntimeGetVersion") == 0;
    if (engines < 2) return FAULT_GENERAL_WAY;
    if (engines == 2) return FAULT_OWN_WAY;
    return usual < FAULT_OPENING ? FAULT_OPENING : usual;
}

/* A few steps, an evaluation and what they leave; the error code of the first that fails. */
static int train_opened(fault_run *r, nl_engine *engine, nl_state *state, nl_error *err) {
    const nl_backend *b = &nl_backend_cuda;
    const nl_epoch epoch = {0, 0.01, r->order, r->rotations};
    const nl_eval_pass pass = {.split = &r->data.test, .images = r->data.test.count};
    nl_step_record records[FAULT_RUN_STEPS];
    nl_eval_result result;
    int code = b->set_state(engine, state, err);
    if (!code) code = b->begin_epoch(engine, &epoch, err);
    ends(r, FAULT_RECORDING);
    if (!code) code = b->enqueue(engine, 0, FAULT_RUN_STEPS, err);
    if (!code) code = b->collect(engine, 0, FAULT_RUN_STEPS, records, err);
    ends(r, FAULT_TRAINING);
    if (!code) code = b->evaluate(engine, &pass, &result, err);
    if (!code) code = b->get_state(engine, state, err);
    ends(r, FAULT_EVALUATING);
    return code;
}

int fault_run_train(fault_procedure *p, nl_error *err) {
    fault_run *r = p->context;
    char *cache = temp_dir_make();
    setenv("XDG_CACHE_HOME", cache, 1);
    nl_engine *engine;
    int code = nl_backend_cuda.open(&engine, &r->spec, err);
    temp_dir_remove(cache);
    if (code) return code;
    ends(r, FAULT_OPENING);
    if (!r->offset) end_trials(p);
    nl_state state = nl_state_alloc(&r->model, sizeof(float));
    nl_model_init(&r->model, state.params, state.buffers, 1);
    code = train_opened(r, engine, &state, err);
    char *plan = nl_backend_cuda.plan(engine);
    p->way = strstr(plan, "\"way\": \"own\"") != NULL;
    p->fell_back += strstr(plan, "own kernels failed") != NULL;
    free(plan);
    nl_backend_cuda.close(engine);
    ends(r, FAULT_CLOSING);
    memcpy(p->result, state.params, p->size);
    nl_state_free(&state);
    return code;
}

fault_run *fault_run_open(const char *name, const char *model, nl_first_block way, bool autotune) {
    static const char *const phases[] = {"timing the general way",
                                         "timing its own kernels",
                                         "opening",
                                         "recording",
                                         "training",
                                         "evaluating",
                                         "closing"};
    fault_run *r = nl_alloc(1, sizeof *r, "run");
    nl_error err = {0};
    char text[512];
    snprintf(text, sizeof text,
             "data: {batch: 1, rotate: 7, set: small, shape: [1, 9, 9], classes: 3, mean: 0.1, "
             "std: 0.3}\nmodel:\n%s",
             model);
    cr_assert(!config_text_load(&r->config, text, &err), "%s: %s", err.where, err.what);
    cr_assert(nl_model_build(&r->model, &r->config, 1, &err) == NL_OK, "%s", err.what);
    make_split(&r->data.train, autotune ? FAULT_RUN_IMAGES : FAULT_RUN_STEPS, &r->model.picture);
    make_split(&r->data.test, 2, &r->model.picture);
    nl_epoch_order(r->order, r->data.train.count, 1, 0, true);
    for (uint32_t i = 0; i < r->data.train.count; i++)
        r->rotations[i] = nl_rotation_make(nl_rotation_degrees(1, 0, i, 7), r->model.picture.shape);
    r->offset = autotune ? 0 : FAULT_OPENING;
    fault_procedure *p = &r->procedure;
    *p = (fault_procedure){.name = name,
                           .phase_of = r->offset ? NULL : phase_of_timed,
                           .go = fault_run_train,
                           .context = r,
                           .size = (size_t)r->model.params_size * sizeof(float)};
    memcpy(p->phases, phases + r->offset, sizeof phases - (size_t)r->offset * sizeof *phases);
    p->result = nl_alloc(1, p->size, "weights");
    r->spec = (nl_engine_spec){.config = &r->config,
                               .model = &r->model,
                               .data = &r->data,
                               .seed = 1,
                               .threads = 1,
                               .first_block = way,
                               .autotune = autotune};
    return r;
}

void fault_run_close(fault_run *r) {
    free(r->data.train.images);
    free(r->data.train.labels);
    free(r->data.test.images);
    free(r->data.test.labels);
    free(r->procedure.result);
    free(r);
}
