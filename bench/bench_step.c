/* Times training steps of the network, data and augmentation included, as `normlab train` runs
 * them.
 *
 *     bench_step [--data DIR] [--device D] [--threads N] [--batch N] [--rounds N] [--steps N]
 * CONFIG...
 *
 * A round is so many steps in a row; printed are milliseconds a step, one line a config: name,
 * batch, then the time of every round. bench/compare.sh reads this, alternates it with the peers
 * and states medians. */
#include <stdio.h>  // printf
#include <stdlib.h> // free, strtol
#include <string.h> // strcmp
#include <time.h>   // clock_gettime

#include "normlab/backend.h" // nl_backend
#include "normlab/config.h"  // nl_config
#include "normlab/error.h"   // nl_error
#include "normlab/rng.h"     // nl_epoch_order

typedef struct bench {
    char dir[512];
    const char *device;
    int threads, batch, rounds, steps, number;
    nl_dataset data;
    uint32_t *order;
    nl_rotation *rotations;
} bench;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int run_steps(const nl_backend *backend, nl_engine *engine, uint32_t first, int steps,
                     nl_step_record *records, nl_error *err) {
    const uint32_t count = (uint32_t)steps;
    const int code = backend->enqueue(engine, first, count, err);
    return code ? code : backend->collect(engine, first, count, records, err);
}

static void begin(bench *b, const nl_config *config, nl_epoch *epoch) {
    const uint32_t n = b->data.train.count, seed = config->train.seed;
    nl_epoch_order(b->order, n, seed, 0, config->data.shuffle);
    for (uint32_t i = 0; i < n; i++)
        b->rotations[i] = nl_rotation_make(nl_rotation_degrees(seed, 0, i, config->data.rotate));
    *epoch = (nl_epoch){0, config->train.lr, b->order, b->rotations};
}

/* Floats to doubles in place; the memory has room for them. */
static void widen(void *values, int64_t count) {
    for (int64_t i = count - 1; i >= 0; i--) {
        const double wide = (double)((const float *)values)[i];
        memcpy((double *)values + i, &wide, sizeof wide);
    }
}

static int time_config(bench *b, const char *path, nl_error *err) {
    static nl_config config;
    static nl_model model;
    const nl_backend *backend;
    nl_engine *engine;
    nl_epoch epoch;
    int code = nl_config_load(&config, path, err);
    if (code) return code;
    if (b->batch) config.data.batch = b->batch;
    if ((code = nl_model_build(&model, &config, config.data.batch, err))) return code;
    const nl_engine_spec spec = {.config = &config,
                                 .model = &model,
                                 .data = &b->data,
                                 .seed = config.train.seed,
                                 .threads = b->threads,
                                 .device = b->number,
                                 .autotune = true};
    if ((code = nl_backend_select(&backend, &b->number, b->device, err))) return code;
    float *params = nl_alloc((size_t)model.params_size, 8, "parameters");
    float *momentum = nl_alloc((size_t)model.params_size, 8, "momentum");
    float *buffers = nl_alloc((size_t)model.buffers_size, 8, "running values");
    nl_model_init(&model, params, buffers, config.train.seed);
    if (backend->real_size == 8) {
        widen(params, model.params_size);
        widen(buffers, model.buffers_size);
    }
    const nl_state state = {params, momentum, buffers};
    nl_step_record *records = nl_alloc((size_t)b->steps, sizeof *records, "records");
    if ((code = backend->open(&engine, &spec, err))) return code;
    begin(b, &config, &epoch);
    code = backend->set_state(engine, &state, err);
    if (!code) code = backend->begin_epoch(engine, &epoch, err);
    if (!code) code = run_steps(backend, engine, 0, b->steps, records, err); /* warm up */
    printf("%s %d", config.name, config.data.batch);
    for (int r = 1; r <= b->rounds && !code; r++) {
        const double start = seconds();
        code = run_steps(backend, engine, (uint32_t)(r * b->steps), b->steps, records, err);
        printf(" %.3f", 1e3 * (seconds() - start) / b->steps);
    }
    printf("\n");
    fflush(stdout);
    backend->close(engine);
    free(params);
    free(momentum);
    free(buffers);
    free(records);
    return code;
}

static int usage(void) {
    fputs("usage: bench_step [--data DIR] [--device D] [--threads N] [--batch N] [--rounds N] "
          "[--steps N] "
          "CONFIG...\n",
          stderr);
    return NL_EUSAGE;
}

int main(int argc, char **argv) {
    bench b = {.device = "cpu", .rounds = 5, .steps = 20};
    nl_error err = {0};
    nl_dataset_default_dir(b.dir, sizeof b.dir);
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        const char *value = argv[i + 1];
        const int number = (int)strtol(value, NULL, 10);
        if (!strcmp(argv[i], "--data"))
            snprintf(b.dir, sizeof b.dir, "%s", value);
        else if (!strcmp(argv[i], "--device"))
            b.device = value;
        else if (!strcmp(argv[i], "--threads") && number > 0)
            b.threads = number;
        else if (!strcmp(argv[i], "--batch") && number > 0)
            b.batch = number;
        else if (!strcmp(argv[i], "--rounds") && number > 0)
            b.rounds = number;
        else if (!strcmp(argv[i], "--steps") && number > 0)
            b.steps = number;
        else
            return usage();
    }
    if (i >= argc) return usage();
    int code = nl_dataset_load(&b.data, b.dir, &err);
    if (!code) {
        b.order = nl_alloc(b.data.train.count, sizeof *b.order, "order");
        b.rotations = nl_alloc(b.data.train.count, sizeof *b.rotations, "rotations");
    }
    for (; i < argc && !code; i++) code = time_config(&b, argv[i], &err);
    if (code) nl_error_print(&err);
    free(b.order);
    free(b.rotations);
    nl_dataset_free(&b.data);
    return code;
}
