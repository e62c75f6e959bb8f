/* picture_check.h */
#include "support/picture_check.h"

#include <criterion/criterion.h> // cr_assert
#include <stdio.h>               // snprintf
#include <stdlib.h>              // free

#include "../src/host/verify/step_truth.h" // nl_truth_check
#include "normlab/rng.h"                   // nl_epoch_order
#include "support/compare.h"               // NEAR
#include "support/config_text.h"
#include "support/idx_set.h" // temp_dir_make
#include "support/memory_run.h"

typedef struct trail {
    nl_step_record *records;
    double loss; /* of the test images, at the end */
    uint32_t hits;
} trail;

static void load(memory_run *r, const picture_set *set, const char *dir) {
    nl_error err = {0};
    char *text = picture_set_config(set);
    cr_assert_eq(config_text_load(&r->config, text, &err), 0, "%s: %s", err.where, err.what);
    cr_assert_eq(nl_dataset_load(&r->data, dir, &r->config.data.picture, &err), 0, "%s: %s",
                 err.where, err.what);
    memory_run_rebuild(r);
    r->order = nl_alloc(r->data.train.count, sizeof *r->order, "order");
    nl_epoch_order(r->order, r->data.train.count, 1, 0, true);
    free(text);
}

/* What the reader has made of the files. */
static void check_data(const memory_run *r, const picture_set *set) {
    const nl_picture *picture = &r->model.picture;
    cr_assert_eq(picture->classes, set->classes);
    cr_assert_eq(nl_image_bytes(picture->shape), nl_image_bytes(set->shape));
    for (uint32_t i = 0; set->format != SET_DIGITS && i < PICTURE_TRAIN + PICTURE_TEST; i++) {
        const bool train = i < PICTURE_TRAIN;
        const nl_split *split = train ? &r->data.train : &r->data.test;
        const uint32_t at = train ? i : i - PICTURE_TRAIN;
        cr_assert_eq(split->labels[at], picture_set_label(set, i), "%s: image %u", set->name, i);
        /* the bar at the top left is ink, the same place across the diagonal is none */
        const uint8_t *image = split->images + at * (size_t)nl_image_bytes(set->shape);
        const int h = set->shape.height, w = set->shape.width;
        cr_assert(image[3 * h / 16 * w + 5 * w / 16] >= 220, "%s: image %u", set->name, i);
        cr_assert(image[h / 2 * w + 3 * w / 16] < 220 && image[0] < 40, "%s: %u", set->name, i);
    }
}

/* The first step of the engine against the truth, then the rest of the epoch. */
static trail train(memory_run *r, const nl_backend *backend, const nl_epoch *epoch) {
    const nl_model *model = &r->model;
    const uint32_t batch = (uint32_t)r->config.data.batch;
    const uint32_t steps = (r->data.train.count + batch - 1) / batch;
    trail t = {.records = nl_alloc(steps, sizeof *t.records, "records")};
    memory_engine e = memory_engine_open(r, backend);
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "running values");
    double *left = nl_alloc((size_t)(model->params_size + model->buffers_size), sizeof *left, "");
    nl_model_init(model, params, buffers, e.spec.seed);
    nl_error err = {0};
    cr_assert_eq(backend->begin_epoch(e.engine, epoch, &err), 0, "%s", err.what);
    memory_engine_steps(&e, 0, 1, t.records);
    memory_engine_get(&e);
    for (int64_t i = 0; i < model->params_size; i++) left[i] = e.momentum[i];
    for (int64_t i = 0; i < model->buffers_size; i++) left[model->params_size + i] = e.buffers[i];
    const nl_step_verdict v = nl_truth_check(&e.spec, params, buffers, epoch, left);
    cr_assert(v.share <= 1, "%s: %s: off by %g of the bound", backend->name, v.tensor, v.share);
    memory_engine_steps(&e, 1, steps - 1, t.records + 1);
    nl_eval_result result = {0};
    const nl_eval_pass pass = {.split = &r->data.test, .images = r->data.test.count};
    cr_assert_eq(backend->evaluate(e.engine, &pass, &result, &err), 0, "%s", err.what);
    t.loss = result.loss / pass.images;
    t.hits = result.hits;
    memory_engine_close(&e);
    free(params), free(buffers), free(left);
    return t;
}

static void compare(const picture_set *set, const trail *got, const trail *want, uint32_t steps) {
    for (uint32_t i = 0; i < steps; i++) {
        const nl_step_record *g = &got->records[i], *w = &want->records[i];
        NEAR(g->loss, w->loss, (i ? 3e-2 : 1e-5) * w->loss);
        cr_assert_eq(g->images, w->images);
    }
    NEAR(got->loss, want->loss, 3e-2 * want->loss);
    printf("%s: test loss %.4f, in double precision %.4f\n", set->name, got->loss, want->loss);
}

void picture_check(const picture_set *set, const nl_backend *backend) {
    char *dir = temp_dir_make();
    memory_run r = {0};
    if (!picture_set_write(set, dir)) {
        temp_dir_remove(dir);
        cr_skip_test("no scikit-learn (scripts/setup.sh --venv tests)");
    }
    load(&r, set, dir);
    temp_dir_remove(dir);
    check_data(&r, set);
    const uint32_t n = r.data.train.count, batch = (uint32_t)r.config.data.batch;
    nl_rotation *rotations = nl_alloc(n, sizeof *rotations, "rotations");
    for (uint32_t i = 0; i < n; i++)
        rotations[i] = nl_rotation_make(nl_rotation_degrees(1, 0, i, 7), r.model.picture.shape);
    const nl_epoch epoch = {.lr = 0.01, .order = r.order, .rotations = rotations};
    const trail want = train(&r, &nl_backend_cpu64, &epoch), got = train(&r, backend, &epoch);
    compare(set, &got, &want, (n + batch - 1) / batch);
    free(want.records), free(got.records), free(rotations), free(r.order);
    nl_dataset_free(&r.data);
}
