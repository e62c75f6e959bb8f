/* The device `cpu`: the table of functions of normlab/backend.h over the fused float engine. */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "isa.h" // nl_isa_choose
#include "net_fast.h"
#include "normlab/error.h"   // NL_ASSERT
#include "base/processor.h"  // nl_processor_name
#include "base/subnormals.h" // nl_subnormals

static int fast_open(nl_engine **engine, const nl_engine_spec *spec, nl_error *err) {
    const nl_simd *simd;
    *engine = NULL;
    if (nl_isa_choose(&simd, err)) return err->code;
    *engine = nl_alloc(1, sizeof **engine, "engine");
    nl_net_fast_init(*engine, spec, simd);
    return NL_OK;
}

static void fast_close(nl_engine *e) {
    if (!e) return;
    nl_net_fast_free(e);
    free(e);
}

static int fast_set_state(nl_engine *e, const nl_state *state, nl_error *err) {
    (void)err;
    nl_state_copy(&(nl_state){e->params, e->momentum, e->buffers}, state, e->model, sizeof(float));
    e->stopped = false;
    return NL_OK;
}

static int fast_get_state(nl_engine *e, const nl_state *state, nl_error *err) {
    (void)err;
    nl_state_copy(state, &(nl_state){e->params, e->momentum, e->buffers}, e->model, sizeof(float));
    return NL_OK;
}

static int fast_begin_epoch(nl_engine *e, const nl_epoch *epoch, nl_error *err) {
    (void)err;
    const size_t count = e->spec.data->train.count;
    memcpy(e->order, epoch->order, sizeof *e->order * count);
    e->rotated = epoch->rotations != NULL;
    if (e->rotated) memcpy(e->rotations, epoch->rotations, sizeof *e->rotations * count);
    e->epoch = epoch->epoch;
    e->lr = epoch->lr;
    return NL_OK;
}

static int fast_enqueue(nl_engine *e, uint32_t first, uint32_t count, nl_error *err) {
    (void)err;
    const uint32_t batch = (uint32_t)e->spec.config->data.batch, images = e->spec.data->train.count;
    const unsigned mode = nl_subnormals(NL_FLUSH); /* the pool's threads have their own */
    for (uint32_t step = first; step < first + count; step++) {
        NL_ASSERT((uint64_t)step * batch < images);
        const uint32_t begin = step * batch, left = images - begin;
        nl_step_fast_train(e, begin, (int)(left < batch ? left : batch), &e->records[step]);
    }
    nl_subnormals_restore(mode);
    return NL_OK;
}

static int fast_collect(nl_engine *e, uint32_t first, uint32_t count, nl_step_record *records,
                        nl_error *err) {
    (void)err;
    memcpy(records, e->records + first, sizeof *records * count);
    return NL_OK;
}

static int fast_evaluate(nl_engine *e, const nl_eval_pass *pass, nl_eval_result *result,
                         nl_error *err) {
    (void)err;
    const unsigned mode = nl_subnormals(NL_FLUSH);
    nl_step_fast_evaluate(e, pass, result);
    nl_subnormals_restore(mode);
    return NL_OK;
}

static void fast_describe(const nl_engine *e, char *text, size_t size) {
    char name[256];
    nl_processor_name(name, sizeof name);
    const int threads = nl_threads_count(e->threads);
    snprintf(text, size, "%s, %d thread%s, %s", name, threads, threads == 1 ? "" : "s",
             e->simd->name);
}

static char *fast_plan(const nl_engine *e) {
    (void)e;
    return NULL;
}

const nl_backend nl_backend_cpu = {.name = "cpu",
                                   .real_size = 4,
                                   .side_by_side = true,
                                   .burst = 1,
                                   .open = fast_open,
                                   .close = fast_close,
                                   .set_state = fast_set_state,
                                   .get_state = fast_get_state,
                                   .begin_epoch = fast_begin_epoch,
                                   .enqueue = fast_enqueue,
                                   .collect = fast_collect,
                                   .evaluate = fast_evaluate,
                                   .describe = fast_describe,
                                   .plan = fast_plan};
