/* A config with its engine, for measuring; see run.h. */
#include "support/run.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "normlab/rng.h"     // nl_epoch_order
#include "support/measure.h" // bench_seconds
#include "base/processor.h"  // nl_processor_cores

const char bench_run_usage[] = "[--data DIR] [--device D] [--threads N] [--batch N] [--width N] "
                               "[--set KEY=VALUE]";

void bench_options_init(bench_options *o) {
    *o = (bench_options){.device = "cpu", .width = 1};
    nl_dataset_default_dir(o->dir, sizeof o->dir, "mnist");
}

int bench_load(nl_dataset *data, const bench_options *o, nl_error *err) {
    nl_picture mnist;
    NL_ASSERT(nl_picture_of_set(&mnist, "mnist"));
    return nl_dataset_load(data, o->dir, &mnist, err);
}

bool bench_option(bench_options *o, const char *name, const char *value) {
    if (!strcmp(name, "--data"))
        snprintf(o->dir, sizeof o->dir, "%s", value);
    else if (!strcmp(name, "--device"))
        o->device = value;
    else if (!strcmp(name, "--threads"))
        o->threads = bench_number(name, value);
    else if (!strcmp(name, "--batch"))
        o->batch = bench_number(name, value);
    else if (!strcmp(name, "--width"))
        o->width = bench_number(name, value);
    else if (!strcmp(name, "--set") && o->n_sets < BENCH_MAX_SETS)
        o->sets[o->n_sets++] = value;
    else
        return false;
    return true;
}

static void widen_network(nl_config *config, int width) {
    int last = config->model.n_layers - 1;
    while (config->model.layers[last].kind != NL_LAYER_CONV) last--;
    for (int i = 0; i < last; i++) config->model.layers[i].out *= width;
}

static int load(bench_run *r, const bench_options *o, const char *path, nl_error *err) {
    int code = nl_config_load(&r->config, path, err);
    for (int i = 0; i < o->n_sets && !code; i++) code = nl_config_set(&r->config, o->sets[i], err);
    if (code) return code;
    if (o->batch) r->config.data.batch = o->batch;
    widen_network(&r->config, o->width);
    code = nl_config_check(&r->config, err);
    return code ? code : nl_model_build(&r->model, &r->config, r->config.data.batch, err);
}

static void make_state(bench_run *r) {
    const int size = r->backend->real_size;
    nl_state first = nl_state_alloc(&r->model, sizeof(float));
    nl_model_init(&r->model, first.params, first.buffers, r->config.train.seed);
    r->state = nl_state_alloc(&r->model, size);
    nl_state_convert(&r->state, size, &first, sizeof(float), &r->model);
    nl_state_free(&first);
}

static void make_epoch(bench_run *r, uint32_t images) {
    const nl_config *c = &r->config;
    const uint32_t seed = c->train.seed;
    r->order = nl_alloc(images, sizeof *r->order, "order");
    r->rotations = nl_alloc(images, sizeof *r->rotations, "rotations");
    nl_epoch_order(r->order, images, seed, 0, c->data.shuffle);
    for (uint32_t i = 0; i < images; i++)
        r->rotations[i] = nl_rotation_make(nl_rotation_degrees(seed, 0, i, c->data.rotate),
                                           c->data.picture.shape);
    r->epoch = (nl_epoch){0, c->train.lr, r->order, r->rotations};
    r->full = images / (uint32_t)c->data.batch;
    r->records = nl_alloc(r->full, sizeof *r->records, "records");
}

int bench_run_open(bench_run *r, const bench_options *o, const char *config, const nl_dataset *data,
                   nl_error *err) {
    *r = (bench_run){0};
    int device, code = load(r, o, config, err);
    if (!code) code = nl_backend_select(&r->backend, &device, o->device, err);
    if (code) return code;
    r->threads = o->threads ? o->threads : nl_processor_cores();
    const nl_engine_spec spec = {.config = &r->config,
                                 .model = &r->model,
                                 .data = data,
                                 .seed = r->config.train.seed,
                                 .threads = r->threads,
                                 .device = device,
                                 .autotune = true};
    if (strncmp(r->backend->name, "cpu", 3) != 0) r->threads = 0;
    make_state(r);
    make_epoch(r, data->train.count);
    code = r->backend->open(&r->engine, &spec, err);
    if (!code) code = r->backend->set_state(r->engine, &r->state, err);
    return code ? code : r->backend->begin_epoch(r->engine, &r->epoch, err);
}

void bench_run_close(bench_run *r) {
    if (r->engine) r->backend->close(r->engine);
    nl_state_free(&r->state);
    void *all[] = {r->order, r->rotations, r->records};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

int bench_run_steps(bench_run *r, int count, double *seconds, nl_error *err) {
    const uint32_t steps = (uint32_t)count;
    NL_ASSERT(steps <= r->full);
    int code = NL_OK;
    if (r->next + steps > r->full) {
        code = r->backend->begin_epoch(r->engine, &r->epoch, err);
        r->next = 0;
    }
    const double start = bench_seconds();
    if (!code) code = r->backend->enqueue(r->engine, r->next, steps, err);
    if (!code) code = r->backend->collect(r->engine, r->next, steps, r->records, err);
    if (seconds) *seconds = bench_seconds() - start;
    r->next += steps;
    return code;
}

double bench_run_flops(const bench_run *r) {
    return (double)(6 * r->model.macs - 2 * r->model.layers[0].macs);
}
