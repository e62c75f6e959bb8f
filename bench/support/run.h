/* A run of the network for measuring: a config with its engine, standing at the beginning of an
 * epoch. */
#pragma once

#include "normlab/backend.h" // nl_engine, nl_config, nl_model

enum { BENCH_MAX_SETS = 16 };

/* What the options of a benchmark say about its runs. */
typedef struct bench_options {
    char dir[512]; /* of the data */
    const char *device;
    int threads, batch, width; /* 0: as many as cores, the config's, 1 */
    const char *sets[BENCH_MAX_SETS];
    int n_sets;
} bench_options;

typedef struct bench_run {
    nl_config config;
    nl_model model;
    const nl_backend *backend;
    nl_engine *engine;
    int threads; /* of the CPU; 0 on another device */
    nl_state state;
    uint32_t *order;
    nl_rotation *rotations;
    nl_epoch epoch;
    uint32_t next, full; /* steps taken, full steps of the epoch */
    nl_step_record *records;
} bench_run;

extern const char bench_run_usage[];

void bench_options_init(bench_options *o);

/* Takes the option if it is one of --data --device --threads --batch --width --set; false if not.
 */
bool bench_option(bench_options *o, const char *name, const char *value);

/* The set of these benches: MNIST. */
int bench_load(nl_dataset *data, const bench_options *o, nl_error *err);

/* `width` multiplies the channels of every convolution but the last. The data outlives the run. */
int bench_run_open(bench_run *r, const bench_options *o, const char *config, const nl_dataset *data,
                   nl_error *err);
void bench_run_close(bench_run *r);

/* The next `count` steps, at most `full`; the epoch begins again where it has no more. Their
 * records are in r->records. `seconds` gets the time from the first to the last (may be NULL). */
int bench_run_steps(bench_run *r, int count, double *seconds, nl_error *err);

#ifdef NORMLAB_WITH_CUDA
/* Bytes in use on the current device, the context's and other processes' included. */
size_t bench_device_memory(void);
#endif

/* Floating-point operations of a training step, per image: two a multiply-add, forward, data
 * gradient and filter gradient; the first convolution has no data gradient. */
double bench_run_flops(const bench_run *r);
