/* Stopping the toy study after a step and resuming it: what is there at the end has to be what a run
 * leaves that nothing stopped. Every function ends its test at the first difference. */
#pragma once

#include "support/toy.h"

/* Trains into `out`, with the exit code expected. */
void stops_train(toy *t, const char *out, int expected);

/* text: a folder of the study. */
const char *stops_folder(const toy *t, char text[256], const char *name);

/* A backend of which SIGINT comes in the `step`-th step of this process. */
nl_backend stops_backend(const nl_backend *backend, int step);

/* The records of a unit without their times; the caller frees. */
char *stops_records(const toy *t, const char *out);

/* Weights, momentum, running values, predictions and records are those of the run `whole`. */
void stops_expect_same_end(const toy *t, const char *whole, const char *parts, int step);

/* Stopped by a signal in each step and resumed. The study's steps, epochs of `steps` each. */
void stops_after_each_step(toy *t, const nl_backend *backend, int steps);

/* A process with --save-every N that ends without a word in each of its steps, and is resumed. */
void stops_saved_every(toy *t, const nl_backend *backend, int steps, int every);
