/* A run of the CUDA engine as a procedure of fault_phases.h: it opens an engine, trains a few steps,
 * evaluates and closes; its result are the weights.
 */
#pragma once

#include "fault_phases.h"
#include "normlab/backend.h" // nl_engine_spec

/* With one image a batch there are enough to time a step. */
enum { FAULT_RUN_IMAGES = 121, FAULT_RUN_STEPS = 4 };

/* An engine that times both ways through the first block opens one for each before; without it the
 * phases begin with the opening. */
enum {
    FAULT_GENERAL_WAY,
    FAULT_OWN_WAY,
    FAULT_OPENING,
    FAULT_RECORDING,
    FAULT_TRAINING,
    FAULT_EVALUATING,
    FAULT_CLOSING
};

typedef struct fault_run {
    fault_procedure procedure;
    int offset; /* of the phases: the first one that there is */
    nl_config config;
    nl_model model;
    nl_dataset data;
    uint32_t order[FAULT_RUN_IMAGES];
    nl_rotation rotations[FAULT_RUN_IMAGES];
    nl_engine_spec spec;
} fault_run;

/* model: the lines of a config behind "model:". */
fault_run *fault_run_open(const char *name, const char *model, nl_first_block way, bool autotune);
void fault_run_close(fault_run *r);

/* procedure.go of them all. Each time with an empty plan cache. */
int fault_run_train(fault_procedure *p, nl_error *err);
