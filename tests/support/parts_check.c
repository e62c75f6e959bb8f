/* See parts_check.h. */
#include "support/parts_check.h"

#include <criterion/criterion.h>
#include <math.h>   // isnan, NAN
#include <stdlib.h> // free
#include <string.h> // memcmp, memset

#include "base/reals.h"  // nl_reals_copy
#include "normlab/rng.h" // nl_rotation_degrees
#include "support/toy.h"

enum { CLASSES = 10, SCORES = TOY_TRAIN * CLASSES };

/* An engine with initial weights. */
typedef struct bench {
    toy toy;
    nl_model model;
    const nl_backend *backend;
    nl_engine *engine;
    nl_engine_spec spec;
} bench;

typedef struct scores {
    float probs[SCORES], logits[SCORES];
    uint8_t predictions[TOY_TRAIN];
    nl_eval_result result;
} scores;

static scores empty(void) {
    scores s;
    for (int i = 0; i < SCORES; i++) s.probs[i] = s.logits[i] = NAN;
    memset(s.predictions, 255, sizeof s.predictions);
    return s;
}

/* Images first .. first + images - 1 into `s`. */
static void evaluate(bench *b, scores *s, const nl_rotation *rotations, uint32_t first,
                     uint32_t images) {
    nl_error err = {0};
    const nl_eval_pass pass = {.split = &b->toy.data.train,
                               .rotations = rotations,
                               .first = first,
                               .images = images,
                               .probs = s->probs,
                               .predictions = s->predictions,
                               .logits = s->logits};
    cr_assert_eq(b->backend->evaluate(b->engine, &pass, &s->result, &err), NL_OK, "%s", err.what);
}

static void expect_rest_untouched(const scores *s, uint32_t begin, uint32_t end) {
    for (uint32_t i = 0; i < TOY_TRAIN; i++) {
        const bool wanted = i >= begin && i < end;
        cr_expect_eq(s->predictions[i] != 255, wanted, "image %u of [%u, %u)", i, begin, end);
        for (uint32_t k = i * CLASSES; k < (i + 1) * CLASSES; k++)
            cr_expect(isnan(s->probs[k]) != wanted && isnan(s->logits[k]) != wanted,
                      "image %u of [%u, %u)", i, begin, end);
    }
}

static void expect_same(const scores *got, const scores *want, const char *how) {
    cr_expect(memcmp(got->probs, want->probs, sizeof got->probs) == 0, "%s", how);
    cr_expect(memcmp(got->logits, want->logits, sizeof got->logits) == 0, "%s", how);
    cr_expect(memcmp(got->predictions, want->predictions, TOY_TRAIN) == 0, "%s", how);
    cr_expect(got->result.loss == want->result.loss && got->result.hits == want->result.hits,
              "%s: %.17g, not %.17g", how, got->result.loss, want->result.loss);
}

static void check_cuts(bench *b, const nl_rotation *rotations) {
    scores whole = empty(), middle = empty();
    evaluate(b, &whole, rotations, 0, TOY_TRAIN);
    for (uint32_t size = TOY_BATCH; size < TOY_TRAIN; size += TOY_BATCH) {
        scores parts = empty();
        parts.result = (nl_eval_result){-1, 77}; /* the first part sets it */
        for (uint32_t first = 0; first < TOY_TRAIN; first += size)
            evaluate(b, &parts, rotations, first,
                     TOY_TRAIN - first < size ? TOY_TRAIN - first : size);
        expect_same(&parts, &whole, rotations ? "rotated" : "as they are");
    }
    evaluate(b, &middle, rotations, 2 * TOY_BATCH, 2 * TOY_BATCH);
    expect_rest_untouched(&middle, 2 * TOY_BATCH, 4 * TOY_BATCH);
}

static void open_bench(bench *b, const nl_backend *backend, const char *norm) {
    nl_error err = {0};
    toy_open(&b->toy);
    cr_assert_eq(nl_config_set(&b->toy.config, norm, &err), NL_OK, "%s", err.what);
    cr_assert_eq(nl_model_build(&b->model, &b->toy.config, 0, &err), NL_OK, "%s", err.what);
    b->backend = backend;
    b->spec = (nl_engine_spec){
        .config = &b->toy.config, .model = &b->model, .data = &b->toy.data, .threads = 2};
    cr_assert_eq(backend->open(&b->engine, &b->spec, &err), NL_OK, "%s", err.what);
    nl_state state = nl_state_alloc(&b->model, backend->real_size);
    float *params = nl_alloc((size_t)b->model.params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)b->model.buffers_size, sizeof *buffers, "running values");
    nl_model_init(&b->model, params, buffers, 1);
    nl_reals_copy(state.params, backend->real_size, params, sizeof *params, b->model.params_size);
    nl_reals_copy(state.buffers, backend->real_size, buffers, sizeof *buffers,
                  b->model.buffers_size);
    cr_assert_eq(backend->set_state(b->engine, &state, &err), NL_OK, "%s", err.what);
    nl_state_free(&state);
    free(params);
    free(buffers);
}

void parts_check(const nl_backend *backend) {
    static const char *const norms[] = {"model.norm=batch", "model.norm=group"};
    for (int i = 0; i < 2; i++) {
        nl_rotation rotations[TOY_TRAIN];
        bench b;
        open_bench(&b, backend, norms[i]);
        for (uint32_t k = 0; k < TOY_TRAIN; k++)
            rotations[k] =
                nl_rotation_make(nl_rotation_degrees(1, 0, k, 30), b.model.picture.shape);
        check_cuts(&b, NULL);
        check_cuts(&b, rotations);
        backend->close(b.engine);
        toy_close(&b.toy);
    }
}
