/* Times training steps of the network, data and augmentation included, as `normlab train` runs
 * them.
 *
 *     bench_step [--data DIR] [--device D] [--threads N] [--batch N] [--width N] [--set KEY=VALUE]
 *                [--rounds N] [--steps N] [--evaluate N] [--losses N] [--init DIR] CONFIG...
 *
 * A round is so many steps in a row, after one round that is not counted. For each config one line
 * of JSON: milliseconds a step of every round; seconds from the start of the program to the end of
 * the first step (of the first config); images a second of so many passes over the test set; the
 * most memory that the process held, or the memory in use on the GPU.
 *
 * --losses N takes N steps and writes their losses instead; --init DIR writes the weights that they
 * began with to DIR/<config>.safetensors, for the peers to begin with the same. */
#include <jansson.h>      // json_pack
#include <stdio.h>        // snprintf
#include <string.h>       // strcmp
#include <sys/resource.h> // getrusage

#include "normlab/checkpoint.h" // nl_checkpoint_write
#include "support/measure.h"    // bench_print
#include "support/run.h"        // bench_run

typedef struct options {
    bench_options run;
    int rounds, steps, evaluations, losses;
    const char *init;
    double began;
} options;

static json_t *describe(const bench_run *r, const options *o, const char *what) {
    char device[512];
    r->backend->describe(r->engine, device, sizeof device);
    return json_pack("{ss ss ss ss ss si si si}", "what", what, "program", "normlab", "mode",
                     r->backend->name, "variant", r->config.name, "device", device, "batch",
                     r->config.data.batch, "threads", r->threads, "width", o->run.width);
}

/* ---- losses ---- */

static int write_losses(bench_run *r, const options *o, nl_error *err) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.safetensors", o->init ? o->init : "", r->config.name);
    int code = o->init ? nl_checkpoint_write(path, &r->config, &r->model, r->state.params,
                                             r->state.buffers, err)
                       : NL_OK;
    if (!code) code = bench_run_steps(r, o->losses, NULL, err);
    if (code) return code;
    json_t *losses = json_array();
    for (int i = 0; i < o->losses; i++)
        json_array_append_new(losses, json_real(r->records[i].loss));
    json_t *line = describe(r, o, "losses");
    json_object_set_new(line, "losses", losses);
    bench_print(line);
    return NL_OK;
}

/* ---- times ---- */

static int evaluate(bench_run *r, const nl_dataset *data, int passes, json_t *line, nl_error *err) {
    const nl_eval_pass pass = {.split = &data->test, .images = data->test.count};
    nl_eval_result result;
    int code = r->backend->evaluate(r->engine, &pass, &result, err);
    json_t *rates = json_array();
    for (int i = 0; i < passes && !code; i++) {
        const double start = bench_seconds();
        code = r->backend->evaluate(r->engine, &pass, &result, err);
        json_array_append_new(rates, json_real(data->test.count / (bench_seconds() - start)));
    }
    json_object_set_new(line, "evaluation_images_s", rates);
    return code;
}

/* The most memory that the process held, or what is in use on the device. */
static json_int_t memory_held(const bench_run *r) {
    struct rusage used;
#ifdef NORMLAB_WITH_CUDA
    if (!strcmp(r->backend->name, "cuda")) return (json_int_t)bench_device_memory();
#endif
    (void)r;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss * (json_int_t)1024;
}

static int time_steps(bench_run *r, options *o, const nl_dataset *data, nl_error *err) {
    const int steps = o->steps < (int)r->full ? o->steps : (int)r->full;
    double seconds;
    int code = bench_run_steps(r, 1, NULL, err);
    json_t *line = describe(r, o, "step"), *ms = json_array();
    json_object_set_new(line, "ms", ms);
    json_object_set_new(line, "flops_image", json_real(bench_run_flops(r)));
    if (o->began > 0) json_object_set_new(line, "start_s", json_real(bench_seconds() - o->began));
    o->began = 0;
    if (!code) code = bench_run_steps(r, steps, NULL, err);
    for (int i = 0; i < o->rounds && !code; i++) {
        code = bench_run_steps(r, steps, &seconds, err);
        json_array_append_new(ms, json_real(1e3 * seconds / steps));
    }
    if (o->evaluations && !code) code = evaluate(r, data, o->evaluations, line, err);
    json_object_set_new(line, "memory_bytes", json_integer(memory_held(r)));
    if (code)
        json_decref(line);
    else
        bench_print(line);
    return code;
}

static int measure(options *o, const char *path, const nl_dataset *data, nl_error *err) {
    static bench_run r;
    int code = bench_run_open(&r, &o->run, path, data, err);
    if (!code) code = o->losses ? write_losses(&r, o, err) : time_steps(&r, o, data, err);
    bench_run_close(&r);
    return code;
}

/* ---- command line ---- */

static int usage(void) {
    fprintf(stderr,
            "usage: bench_step %s\n                  [--rounds N] [--steps N] [--evaluate N] "
            "[--losses N] [--init DIR] CONFIG...\n",
            bench_run_usage);
    return NL_EUSAGE;
}

static bool option(options *o, const char *name, const char *value) {
    int *const number = !strcmp(name, "--rounds")     ? &o->rounds
                        : !strcmp(name, "--steps")    ? &o->steps
                        : !strcmp(name, "--evaluate") ? &o->evaluations
                        : !strcmp(name, "--losses")   ? &o->losses
                                                      : NULL;
    if (number)
        *number = bench_number(name, value);
    else if (!strcmp(name, "--init"))
        o->init = value;
    else
        return bench_option(&o->run, name, value);
    return true;
}

int main(int argc, char **argv) {
    options o = {.rounds = 5, .steps = 20, .began = bench_seconds()};
    nl_dataset data = {0};
    nl_error err = {0};
    bench_options_init(&o.run);
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (!option(&o, argv[i], argv[i + 1])) return usage();
    if (i >= argc) return usage();
    int code = bench_load(&data, &o.run, &err);
    for (; i < argc && !code; i++) code = measure(&o, argv[i], &data, &err);
    if (code) nl_error_print(&err);
    nl_dataset_free(&data);
    return code;
}
