/* See parts_check.h. */
#include "support/parts_check.h"

#include <criterion/criterion.h>
#include <math.h>   // isnan, NAN
#include <string.h> // memcmp, memset

#include "normlab/rng.h" // nl_rotation_degrees
#include "support/memory_run.h"

enum { IMAGES = 53, BATCH = 8, CLASSES = 10, SCORES = IMAGES * CLASSES };

typedef struct scores {
    float probs[SCORES], logits[SCORES];
    uint8_t predictions[IMAGES];
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
    for (uint32_t i = 0; i < IMAGES; i++) {
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
    cr_expect(memcmp(got->predictions, want->predictions, IMAGES) == 0, "%s", how);
    cr_expect(got->result.loss == want->result.loss && got->result.hits == want->result.hits,
              "%s: %.17g, not %.17g", how, got->result.loss, want->result.loss);
}

static void check_cuts(memory_engine *e, const nl_rotation *rotations) {
    scores whole = empty(), middle = empty();
    evaluate(e, &whole, rotations, 0, IMAGES);
    for (uint32_t size = BATCH; size < IMAGES; size += BATCH) {
        scores parts = empty();
        parts.result = (nl_eval_result){-1, 77}; /* the first part sets it */
        for (uint32_t first = 0; first < IMAGES; first += size)
            evaluate(e, &parts, rotations, first, IMAGES - first < size ? IMAGES - first : size);
        expect_same(&parts, &whole, rotations ? "rotated" : "as they are");
    }
    evaluate(e, &middle, rotations, 2 * BATCH, 2 * BATCH);
    expect_rest_untouched(&middle, 2 * BATCH, 4 * BATCH);
}

void parts_check(const nl_backend *backend) {
    static const char *const configs[] = {"bn", "gn"};
    for (int c = 0; c < 2; c++) {
        nl_rotation rotations[IMAGES];
        nl_step_record records[3];
        memory_run r;
        memory_run_open(&r, configs[c], IMAGES, "data.batch=8", (char *)NULL);
        for (uint32_t i = 0; i < IMAGES; i++)
            rotations[i] =
                nl_rotation_make(nl_rotation_degrees(1, 0, i, 30), r.model.picture.shape);
        r.threads = 2;
        memory_engine e = memory_engine_open(&r, backend);
        memory_engine_steps(&e, 0, 3, records); /* running values of their own */
        check_cuts(&e, NULL);
        check_cuts(&e, rotations);
        memory_engine_close(&e);
        memory_run_close(&r);
    }
}
