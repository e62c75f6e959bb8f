/* See stops.h. */
#include "support/stops.h"

#include <criterion/criterion.h>
#include <signal.h>   // raise
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/wait.h> // waitpid
#include <unistd.h>   // fork

void stops_train(toy *t, const char *out, int expected) {
    nl_error err = {0};
    t->study.options.out = out;
    const int code = toy_train(t, &err);
    cr_assert_eq(code, expected, "code %d, not %d: %s: %s", code, expected, err.where, err.what);
}

const char *stops_folder(const toy *t, char text[256], const char *name) {
    snprintf(text, 256, "%s/%s", t->dir, name);
    return text;
}

/* --- stopping ------------------------------------------------------------------------------- */

static const nl_backend *real_backend;
static int steps_left; /* until the signal, or the end, comes */

static int enqueue_then_signal(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err) {
    const int code = real_backend->enqueue(engine, first, count, err);
    if (--steps_left == 0) raise(SIGINT);
    return code;
}

static int enqueue_or_end(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err) {
    if (--steps_left == 0) _exit(7);
    return real_backend->enqueue(engine, first, count, err);
}

/* One step at a time, so that each has an end to stop at. */
nl_backend stops_backend(const nl_backend *backend, int step) {
    nl_backend stopping = *backend;
    real_backend = backend;
    steps_left = step;
    stopping.enqueue = enqueue_then_signal;
    stopping.burst = 1;
    return stopping;
}

/* The process ends with the `step`-th step. */
static nl_backend ending_backend(const nl_backend *backend, int step) {
    nl_backend ending = stops_backend(backend, step);
    ending.enqueue = enqueue_or_end;
    return ending;
}

/* --- comparing ------------------------------------------------------------------------------ */

char *stops_records(const toy *t, const char *out) {
    size_t size;
    char *text = toy_read(t, out, "metrics.jsonl", &size);
    cr_assert(text);
    for (char *at = text; (at = strstr(at, "\"seconds\":"));) {
        char *end = strchr(at, '}');
        memmove(at, end, strlen(end) + 1);
    }
    return text;
}

void stops_expect_same_end(const toy *t, const char *whole, const char *parts, int step) {
    static const char *const files[] = {"init.safetensors", "last.safetensors", "best.safetensors",
                                        "predictions.csv"};
    for (int i = 0; i < 4; i++)
        cr_assert(toy_same(t, whole, parts, files[i]), "%s differs, step %d", files[i], step);
    /* weights, momentum and running values; its place holds times */
    cr_assert(toy_same_weights(t, whole, "state.safetensors", parts, "state.safetensors"),
              "the state differs, step %d", step);
    char *expected = stops_records(t, whole), *found = stops_records(t, parts);
    cr_assert_str_eq(found, expected, "step %d", step);
    free(expected);
    free(found);
}

/* Where the saved state says that the run goes on. */
static void expect_place(const toy *t, const char *out, int epoch, int step) {
    char place[80];
    size_t size;
    snprintf(place, sizeof place, "\\\"epoch\\\":%d,\\\"step\\\":%d,", epoch, step);
    char *state = toy_read(t, out, "state.safetensors", &size);
    cr_assert(state && size > 8, "no state before epoch %d, step %d", epoch, step);
    cr_assert(strstr(state + 8, place), "no %s in %.2000s", place, state + 8);
    free(state);
}

/* The state after `done` whole steps is that of the last multiple of `every`, or of the last epoch. */
static void expect_saved_place(const toy *t, const char *out, int done, int steps, int every) {
    const int due = done / every * every, whole = done / steps * steps;
    const int saved = due > whole ? due : whole;
    expect_place(t, out, saved / steps, saved % steps);
}

/* --- a run of many steps -------------------------------------------------------------------- */

void stops_after_each_step(toy *t, const nl_backend *backend, int steps) {
    char whole[256], parts[256], name[32];
    t->study.backend = backend;
    t->study.options.log_every = 1;
    stops_train(t, stops_folder(t, whole, "whole"), NL_OK);
    for (int step = 1; step <= t->config.train.epochs * steps; step++) {
        snprintf(name, sizeof name, "stop-%d", step);
        stops_folder(t, parts, name);
        const nl_backend stopping = stops_backend(backend, step);
        t->study.backend = &stopping;
        t->study.options.resume = false;
        stops_train(t, parts, NL_ESIGINT);
        expect_place(t, parts, (step - 1) / steps, (step - 1) % steps + 1);
        t->study.backend = backend;
        t->study.options.resume = true;
        stops_train(t, parts, NL_OK);
        stops_expect_same_end(t, whole, parts, step);
    }
}

void stops_saved_every(toy *t, const nl_backend *backend, int steps, int every) {
    char whole[256], parts[256], name[32];
    t->study.backend = backend;
    t->study.options.save_every = (uint32_t)every;
    stops_train(t, stops_folder(t, whole, "whole"), NL_OK);
    for (int step = 1; step <= t->config.train.epochs * steps; step++) {
        nl_error err = {0};
        snprintf(name, sizeof name, "end-%d", step);
        t->study.options.out = stops_folder(t, parts, name);
        const pid_t child = fork();
        if (child == 0) {
            const nl_backend ending = ending_backend(backend, step);
            t->study.backend = &ending;
            toy_train(t, &err);
            _exit(1);
        }
        int status = 0;
        cr_assert(child > 0 && waitpid(child, &status, 0) == child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        expect_saved_place(t, parts, step - 1, steps, every);
        t->study.options.resume = true;
        stops_train(t, parts, NL_OK);
        t->study.options.resume = false;
        stops_expect_same_end(t, whole, parts, step);
    }
}
