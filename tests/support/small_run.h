/* A small run in memory, and the steps of its epoch on any backend. A check that fails ends the test.
 *
 *     small_run *r = small_run_open("batch", NULL);
 *     nl_step_record records[STEPS];
 *     nl_state state;
 *     small_run_train(&nl_backend_cuda, r, records, &state, STEPS);
 *     nl_state_free(&state);
 *     small_run_close(r);
 */
#pragma once

#include <stdbool.h> // bool

#include "normlab/backend.h"     // nl_backend
#include "support/config_text.h" // config_text_load
#include "support/idx_set.h"     // IDX_PIXELS

enum { BATCH = 2, IMAGES = 37, STEPS = 19, SEED = 5 }; /* 18 full batches, one of 1 image */

typedef struct small_run {
    nl_config config;
    nl_model model;
    nl_dataset data;
    uint32_t order[IMAGES];
    nl_rotation rotations[IMAGES];
    nl_engine_spec spec;
} small_run;

/* The published networks' layers with an eighth of the work, a norm, and --set assignments, which
 * end with NULL. */
small_run *small_run_open(const char *norm, const char *const *sets);

/* The same of another network. last: the smallest batch that it is to train with. */
small_run *small_run_of(const char *net, int last, const char *norm, const char *const *sets);
void small_run_close(small_run *r);

/* The state that it begins with; the caller frees. */
nl_state small_run_state(const small_run *r);

/* An engine with a state, at the start of epoch 0. */
nl_engine *small_run_engine(const nl_backend *backend, const small_run *r, const nl_state *state);

/* Steps first .. first + count - 1, into their places among the records. */
void small_run_steps(const nl_backend *backend, nl_engine *engine, nl_step_record *records,
                     uint32_t first, uint32_t count);
void small_run_fetch(const nl_backend *backend, nl_engine *engine, nl_state *state);

/* One epoch from the initial state, in enqueues of `burst` steps; state is allocated. */
void small_run_train(const nl_backend *backend, const small_run *r, nl_step_record records[STEPS],
                     nl_state *state, uint32_t burst);

/* Whether two states are the same to the bit. */
bool small_run_same(const small_run *r, const nl_state *a, const nl_state *b);
