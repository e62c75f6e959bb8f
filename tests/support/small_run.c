/* small_run.h */
#include "support/small_run.h"

#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/rng.h" // nl_epoch_order

static void make_split(nl_split *split, uint32_t first) {
    split->count = IMAGES;
    split->images = nl_alloc(IMAGES, IDX_PIXELS, "images");
    split->labels = nl_alloc(IMAGES, 1, "labels");
    for (uint32_t i = 0; i < IMAGES; i++) {
        idx_set_draw(split->images + i * IDX_PIXELS, first + i);
        split->labels[i] = (uint8_t)((first + i) % 10);
    }
}

/* The published networks' layers with an eighth of the work. */
static const char small_net[] = "data: {batch: 2}\n"
                                "model:\n"
                                "  layers:\n"
                                "    - {conv: 8, kernel: 5, pad: 2, norm: true, relu: true}\n"
                                "    - {conv: 4, kernel: 1, norm: true, relu: true}\n"
                                "    - {pool: max, size: 2, dropout: true}\n"
                                "    - {conv: 8, kernel: 3, norm: true, relu: true}\n"
                                "    - {pool: max, size: 2, dropout: true}\n"
                                "    - {conv: 4, kernel: 3, norm: true}\n"
                                "    - {conv: 10, kernel: 3}\n"
                                "    - {pool: average}\n";

small_run *small_run_of(const char *net, int last, const char *norm, const char *const *sets) {
    small_run *r = nl_alloc(1, sizeof *r, "run");
    nl_error err = {0};
    char set[32];
    snprintf(set, sizeof set, "model.norm=%s", norm);
    cr_assert(!config_text_load(&r->config, net, &err), "%s: %s", err.where, err.what);
    cr_assert(nl_config_set(&r->config, set, &err) == NL_OK, "%s", err.what);
    for (; sets && *sets; sets++)
        cr_assert(!nl_config_set(&r->config, *sets, &err), "%s", err.what);
    cr_assert(nl_config_check(&r->config, &err) == NL_OK, "%s", err.what);
    cr_assert(nl_model_build(&r->model, &r->config, last, &err) == NL_OK, "%s", err.what);
    make_split(&r->data.train, 0);
    make_split(&r->data.test, 1000);
    nl_epoch_order(r->order, IMAGES, SEED, 0, true);
    for (uint32_t i = 0; i < IMAGES; i++) {
        r->rotations[i] =
            nl_rotation_make(nl_rotation_degrees(SEED, 0, i, 7), r->model.picture.shape);
    }
    r->spec = (nl_engine_spec){
        .config = &r->config, .model = &r->model, .data = &r->data, .seed = SEED, .threads = 1};
    return r;
}

small_run *small_run_open(const char *norm, const char *const *sets) {
    return small_run_of(small_net, 1, norm, sets);
}

void small_run_close(small_run *r) {
    free(r->data.train.images);
    free(r->data.train.labels);
    free(r->data.test.images);
    free(r->data.test.labels);
    free(r);
}

nl_state small_run_state(const small_run *r) {
    nl_state s = nl_state_alloc(&r->model, sizeof(float));
    nl_model_init(&r->model, s.params, s.buffers, SEED);
    return s;
}

nl_engine *small_run_engine(const nl_backend *backend, const small_run *r, const nl_state *state) {
    nl_engine *engine;
    nl_error err = {0};
    cr_assert(backend->open(&engine, &r->spec, &err) == NL_OK, "%s: %s", err.where, err.what);
    cr_assert(backend->set_state(engine, state, &err) == NL_OK, "%s", err.what);
    const nl_epoch epoch = {.epoch = 0,
                            .lr = 0.01,
                            .order = r->order,
                            .rotations = r->config.data.rotate > 0 ? r->rotations : NULL};
    cr_assert(backend->begin_epoch(engine, &epoch, &err) == NL_OK, "%s", err.what);
    return engine;
}

void small_run_steps(const nl_backend *backend, nl_engine *engine, nl_step_record *records,
                     uint32_t first, uint32_t count) {
    nl_error err = {0};
    cr_assert(backend->enqueue(engine, first, count, &err) == NL_OK, "%s", err.what);
    cr_assert(backend->collect(engine, first, count, records + first, &err) == NL_OK, "%s",
              err.what);
}

void small_run_fetch(const nl_backend *backend, nl_engine *engine, nl_state *state) {
    nl_error err = {0};
    cr_assert(backend->get_state(engine, state, &err) == NL_OK, "%s", err.what);
}

void small_run_train(const nl_backend *backend, const small_run *r, nl_step_record records[STEPS],
                     nl_state *state, uint32_t burst) {
    *state = small_run_state(r);
    nl_engine *engine = small_run_engine(backend, r, state);
    for (uint32_t first = 0; first < STEPS; first += burst) {
        small_run_steps(backend, engine, records, first,
                        first + burst < STEPS ? burst : STEPS - first);
    }
    small_run_fetch(backend, engine, state);
    backend->close(engine);
}

bool small_run_same(const small_run *r, const nl_state *a, const nl_state *b) {
    const size_t params = (size_t)r->model.params_size * sizeof(float);
    const size_t buffers = (size_t)r->model.buffers_size * sizeof(float);
    return !memcmp(a->params, b->params, params) && !memcmp(a->momentum, b->momentum, params) &&
           !memcmp(a->buffers, b->buffers, buffers);
}
