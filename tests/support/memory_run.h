/* Training in memory, without files: a config of configs/, a synthetic set, an engine.
 *
 *     memory_run r;
 *     memory_run_open(&r, "gn", 76, "data.batch=8", "model.dropout=0", NULL);
 *     memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
 *     memory_engine_steps(&e, 0, 3, records);
 *     memory_engine_close(&e);
 *     memory_run_close(&r);
 */
#pragma once

#include "normlab/backend.h" // nl_backend

typedef struct memory_run {
    nl_config config;
    nl_model model;
    nl_dataset data; /* train and test are the same images: 0, 1, 2 ... of idx_set.h, or noise */
    uint32_t *order; /* of an epoch; at first the file's */
    int threads;     /* of an engine; 0: 1 */
} memory_run;

/* The config's file name without folder and .yaml, then --set assignments up to NULL. */
void memory_run_open(memory_run *r, const char *config, uint32_t images, ...);
void memory_run_close(memory_run *r);

/* After a change of config: checks it and builds the model again. */
void memory_run_rebuild(memory_run *r);

typedef struct memory_engine {
    const nl_backend *backend;
    memory_run *run;
    nl_engine *engine;
    nl_engine_spec spec;
    double *params, *momentum, *buffers; /* a copy of the state in double: get, change, set */
} memory_engine;

/* An engine with the run's initial weights, at the start of epoch 0. */
memory_engine memory_engine_open(memory_run *r, const nl_backend *backend);
void memory_engine_close(memory_engine *e);

/* The learning rate is the config's. */
void memory_engine_epoch(memory_engine *e, uint32_t epoch);
void memory_engine_steps(memory_engine *e, uint32_t first, uint32_t count, nl_step_record *records);

/* Losses against those in double precision: the first within 1e-5 of it, five within 1e-3, all within
 * 3e-2, as roundings grow from step to step. Returns the largest relative difference. */
double memory_losses_agree(const char *name, const nl_step_record *got, const nl_step_record *want,
                           int steps);

/* The state from the engine, and to it. */
void memory_engine_get(memory_engine *e);
void memory_engine_set(memory_engine *e);
