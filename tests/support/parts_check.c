/* See parts_check.h. */
#include "support/parts_check.h"

#include <criterion/criterion.h>
#include <math.h>   // isnan, NAN
#include <string.h> // memcmp, memset

#include "normlab/rng.h" // nl_rotation_degrees
#include "support/memory_run.h"
#include "support/toy.h"

enum { CLASSES = 10, SCORES = TOY_TRAIN * CLASSES };

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
static void evaluate(memory_engine *e, scores *s, const nl_rotation *rotations, uint32_t first,
                     uint32_t images) {
    nl_error err = {0};
    const nl_eval_pass pass = {.split = &e->run->data.train,
                               .rotations = rotations,
                               .first = first,
                               .images = images,
                               .probs = s->probs,
                               .predictions = s->predictions,
                               .logits = s->logits};
    cr_assert_eq(e->backend->evaluate(e->engine, &pass, &s->result, &err), NL_OK, "%s", err.what);
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

/* Leaves the device with the rotations of another pass, so that a part's own have to come to it. */
static void rotate_otherwise(memory_engine *e) {
    scores ignored = empty();
    nl_rotation others[TOY_TRAIN];
    for (uint32_t k = 0; k < TOY_TRAIN; k++)
        others[k] = nl_rotation_make(90 + k, e->run->model.picture.shape);
    evaluate(e, &ignored, others, 0, TOY_TRAIN);
}

static void check_cuts(memory_engine *e, const nl_rotation *rotations) {
    scores whole = empty(), middle = empty();
    evaluate(e, &whole, rotations, 0, TOY_TRAIN);
    for (uint32_t size = TOY_BATCH; size < TOY_TRAIN; size += TOY_BATCH) {
        scores parts = empty();
        parts.result = (nl_eval_result){-1, 77}; /* the first part sets it */
        rotate_otherwise(e);
        for (uint32_t first = 0; first < TOY_TRAIN; first += size)
            evaluate(e, &parts, rotations, first,
                     TOY_TRAIN - first < size ? TOY_TRAIN - first : size);
        expect_same(&parts, &whole, rotations ? "rotated" : "as they are");
    }
    evaluate(e, &middle, rotations, 2 * TOY_BATCH, 2 * TOY_BATCH);
    expect_rest_untouched(&middle, 2 * TOY_BATCH, 4 * TOY_BATCH);
}

void parts_check(const nl_backend *backend) {
    static const char *const norms[] = {"model.norm=batch", "model.norm=group"};
    for (int i = 0; i < 2; i++) {
        toy t;
        nl_error err = {0};
        nl_rotation rotations[TOY_TRAIN];
        toy_open(&t);
        cr_assert_eq(nl_config_set(&t.config, norms[i], &err), NL_OK, "%s", err.what);
        uint32_t order[TOY_TRAIN] = {0};
        memory_run r = {.config = t.config, .data = t.data, .order = order, .threads = 2};
        memory_run_rebuild(&r);
        memory_engine e = memory_engine_open(&r, backend);
        for (uint32_t k = 0; k < TOY_TRAIN; k++)
            rotations[k] =
                nl_rotation_make(nl_rotation_degrees(1, 0, k, 30), r.model.picture.shape);
        check_cuts(&e, NULL);
        check_cuts(&e, rotations);
        memory_engine_close(&e);
        toy_close(&t);
    }
}
