/* The trainer on a toy study: what it writes, that it repeats itself, and that a run stopped after
 * any step and resumed ends with the same bytes. */
#include <criterion/criterion.h>

#include <math.h>     // fabs
#include <signal.h>   // raise
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/wait.h> // waitpid
#include <unistd.h>   // fork

#include "normlab/rng.h" // nl_rotation_degrees
#include "support/idx_set.h"
#include "support/toy.h"

/* Trains into `out`, with the exit code expected. */
static void train(toy *t, const char *out, int expected) {
    nl_error err = {0};
    t->study.options.out = out;
    const int code = toy_train(t, &err);
    cr_assert_eq(code, expected, "code %d, not %d: %s: %s", code, expected, err.where, err.what);
}

static const char *folder(const toy *t, char text[256], const char *name) {
    snprintf(text, 256, "%s/%s", t->dir, name);
    return text;
}

Test(trainer, two_runs_are_identical) {
    toy t;
    toy_open(&t);
    char a[256], b[256];
    train(&t, folder(&t, a, "a"), NL_OK);
    train(&t, folder(&t, b, "b"), NL_OK);
    cr_expect(toy_same(&t, a, b, "init.safetensors"));
    cr_expect(toy_same(&t, a, b, "last.safetensors"));
    cr_expect(toy_same(&t, a, b, "best.safetensors"));
    cr_expect(toy_same(&t, a, b, "predictions.csv"));
    cr_expect_not(toy_same(&t, a, a, "absent"));
    t.config.train.seed = 4; /* the comparison can fail */
    char c[256];
    train(&t, folder(&t, c, "c"), NL_OK);
    size_t size_a, size_c;
    char *weights_c = toy_read(&t, c, "last.safetensors", &size_c);
    t.config.train.seed = 3;
    char *weights_a = toy_read(&t, a, "last.safetensors", &size_a);
    cr_expect_not(size_a == size_c && memcmp(weights_a, weights_c, size_a) == 0);
    free(weights_a);
    free(weights_c);
    toy_close(&t);
}

Test(trainer, train_loss_is_the_mean_over_images) {
    toy t;
    toy_open(&t);
    t.study.options.log_every = 1;
    char a[256];
    size_t size;
    train(&t, folder(&t, a, "a"), NL_OK);
    char *text = toy_read(&t, a, "metrics.jsonl", &size), *at = text;
    double sum = 0, loss = 0;
    for (int step = 0; step < TOY_STEPS; step++) { /* 5 batches of 8 images and one of 4 */
        cr_assert((at = strstr(at, "\"event\":\"step\"")) && (at = strstr(at, "\"loss\":")) &&
                  sscanf(at, "\"loss\":%lf", &loss) == 1);
        sum += loss * (step < TOY_STEPS - 1 ? TOY_BATCH : TOY_TRAIN % TOY_BATCH);
    }
    cr_assert((at = strstr(at, "\"train_loss\":")) && sscanf(at, "\"train_loss\":%lf", &loss) == 1);
    cr_expect(!(loss - sum / TOY_TRAIN > 1e-12) && loss - sum / TOY_TRAIN > -1e-12, "%.15g, %.15g",
              loss, sum / TOY_TRAIN);
    free(text);
    toy_close(&t);
}

/* --- the best epoch, and the last look ----------------------------------------------------------
 */

/* The best epoch by the rule, from the records. */
static int best_of(char *metrics) {
    int best = -1, epoch;
    double accuracy, loss, best_accuracy = 0, best_loss = 0;
    for (char *line; (line = strsep(&metrics, "\n"));) {
        const char *test = strstr(line, "\"test_loss\"");
        if (sscanf(line, "{\"event\":\"epoch\",\"epoch\":%d,", &epoch) != 1) continue;
        cr_assert(sscanf(test, "\"test_loss\":%lf,\"test_accuracy\":%lf", &loss, &accuracy) == 2);
        if (best >= 0 &&
            (accuracy < best_accuracy || (accuracy == best_accuracy && !(loss < best_loss))))
            continue;
        best = epoch;
        best_accuracy = accuracy;
        best_loss = loss;
    }
    return best;
}

Test(trainer, best_is_the_best_epoch) {
    int seen_inside = 0;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        toy t;
        toy_open(&t);
        char a[256], b[256];
        size_t size;
        t.config.train.seed = seed;
        t.config.train.epochs = 8;
        t.config.train.lr = 0.3; /* restless: ties and losses that rise again */
        t.config.train.schedule.factor = 0.9;
        train(&t, folder(&t, a, "a"), NL_OK);
        char *metrics = toy_read(&t, a, "metrics.jsonl", &size);
        const int best = best_of(metrics);
        cr_assert(best >= 0);
        seen_inside += best < 7;
        t.config.train.epochs = best + 1;
        train(&t, folder(&t, b, "b"), NL_OK);
        cr_expect(toy_same_weights(&t, a, "best.safetensors", b, "last.safetensors"));
        free(metrics);
        toy_close(&t);
    }
    cr_expect(seen_inside > 0, "no seed whose best epoch is not its last: the test is blind");
}

static nl_rotation seen_train, seen_test;

static int look_at_rotations(nl_engine *engine, const nl_eval_pass *pass, nl_eval_result *result,
                             nl_error *err) {
    const nl_rotation none = {0, 0, 0, 0};
    if (pass->split->count == TOY_TRAIN)
        seen_train = pass->rotations ? pass->rotations[5] : none;
    else
        seen_test = pass->rotations ? pass->rotations[5] : none;
    return nl_backend_cpu64.evaluate(engine, pass, result, err);
}

Test(trainer, final_rotates_by_the_epoch_after_the_last) {
    toy t;
    toy_open(&t);
    char a[256];
    nl_backend looking = nl_backend_cpu64;
    looking.evaluate = look_at_rotations;
    t.study.backend = &looking;
    train(&t, folder(&t, a, "a"), NL_OK);
    const nl_rotation expected =
        nl_rotation_make(nl_rotation_degrees(3, TOY_EPOCHS, 5, 7), t.config.data.picture.shape);
    cr_expect(memcmp(&seen_train, &expected, sizeof expected) == 0);
    cr_expect(seen_test.a == 0, "test images are never rotated");
    toy_close(&t);
}

/* --- stopping and resuming ------------------------------------------------------------------- */

static const nl_backend *real_backend;
static int steps_left; /* until the signal comes */

static int enqueue_then_signal(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err) {
    const int code = real_backend->enqueue(engine, first, count, err);
    if (--steps_left == 0) raise(SIGINT);
    return code;
}

/* A backend during whose `step`-th step of this process SIGINT comes. */
static nl_backend stopping_backend(const nl_backend *backend, int step) {
    nl_backend stopping = *backend;
    real_backend = backend;
    steps_left = step;
    stopping.enqueue = enqueue_then_signal;
    return stopping;
}

static int enqueue_or_end(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err) {
    if (--steps_left == 0) _exit(7);
    return real_backend->enqueue(engine, first, count, err);
}

/* A backend with whose `step`-th step the process ends. */
static nl_backend ending_backend(const nl_backend *backend, int step) {
    nl_backend ending = stopping_backend(backend, step);
    ending.enqueue = enqueue_or_end;
    return ending;
}

/* The state after `done` whole steps is that of the last multiple of 4, or of the last epoch. */
static void expect_saved_place(const toy *t, const char *out, int done) {
    const int four = done / 4 * 4, whole = done / TOY_STEPS * TOY_STEPS;
    const int saved = four > whole ? four : whole;
    char place[80];
    size_t size;
    snprintf(place, sizeof place, "\\\"epoch\\\":%d,\\\"step\\\":%d,", saved / TOY_STEPS,
             saved % TOY_STEPS);
    char *state = toy_read(t, out, "state.safetensors", &size);
    cr_assert(state && size > 8);
    cr_expect(strstr(state + 8, place), "after %d steps: no %s in %.2000s", done, place, state + 8);
    free(state);
}

/* The records of a unit without their times. */
static char *records(const toy *t, const char *out) {
    size_t size;
    char *text = toy_read(t, out, "metrics.jsonl", &size);
    cr_assert(text);
    for (char *at = text; (at = strstr(at, "\"seconds\":"));) {
        char *end = strchr(at, '}');
        memmove(at, end, strlen(end) + 1);
    }
    return text;
}

static void expect_same_end(const toy *t, const char *whole, const char *parts, int step) {
    static const char *const files[] = {"init.safetensors", "last.safetensors", "best.safetensors",
                                        "predictions.csv"};
    for (int i = 0; i < 4; i++)
        cr_expect(toy_same(t, whole, parts, files[i]), "%s differs, step %d", files[i], step);
    /* weights, momentum and running values; its place holds times */
    cr_expect(toy_same_weights(t, whole, "state.safetensors", parts, "state.safetensors"),
              "the state differs, step %d", step);
    char *expected = records(t, whole), *found = records(t, parts);
    cr_expect_str_eq(found, expected, "step %d", step);
    free(expected);
    free(found);
}

enum { LONG_EPOCHS = 5, LONG_STEPS = 8 }; /* of 6 images, the last of 2: 40 steps */

static void resume_after_every_step(const nl_backend *backend) {
    toy t;
    toy_open(&t);
    t.config.train.epochs = LONG_EPOCHS;
    t.config.data.batch = 6;
    t.study.backend = backend;
    t.study.options.log_every = 1;
    t.study.options.save_every = 13;
    t.study.layer_stats = nl_layer_stats_of;
    t.study.options.layer_stats = true;
    char whole[256], parts[256], name[32];
    train(&t, folder(&t, whole, "whole"), NL_OK);
    for (int step = 1; step <= LONG_EPOCHS * LONG_STEPS; step++) {
        snprintf(name, sizeof name, "stop-%d", step);
        folder(&t, parts, name);
        const nl_backend stopping = stopping_backend(backend, step);
        t.study.backend = &stopping;
        t.study.options.resume = false;
        train(&t, parts, NL_ESIGINT);
        t.study.backend = backend;
        t.study.options.resume = true;
        train(&t, parts, NL_OK);
        expect_same_end(&t, whole, parts, step);
    }
    toy_close(&t);
}

Test(trainer, resume_after_every_step_in_double) {
    resume_after_every_step(&nl_backend_cpu64);
}

Test(trainer, resume_after_every_step_in_float) {
    resume_after_every_step(&nl_backend_plain);
}

Test(trainer, resume_after_every_step_of_the_fast_engine) {
    resume_after_every_step(&nl_backend_cpu);
}

/* --save-every: what a process leaves that ends without a word in its step-th step, the newest state
 * of a multiple of N before it, goes on to the same bits. */
Test(trainer, saved_every_so_many_steps) {
    toy t;
    toy_open(&t);
    t.study.options.save_every = 4;
    char whole[256], parts[256], name[32];
    train(&t, folder(&t, whole, "whole"), NL_OK);
    for (int step = 1; step <= TOY_EPOCHS * TOY_STEPS; step++) {
        nl_error err = {0};
        snprintf(name, sizeof name, "end-%d", step);
        t.study.options.out = folder(&t, parts, name);
        const pid_t child = fork();
        if (child == 0) {
            const nl_backend ending = ending_backend(&nl_backend_cpu64, step);
            t.study.backend = &ending;
            toy_train(&t, &err);
            _exit(1);
        }
        int status = 0;
        cr_assert(child > 0 && waitpid(child, &status, 0) == child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        expect_saved_place(&t, parts, step - 1);
        t.study.options.resume = true;
        train(&t, parts, NL_OK);
        t.study.options.resume = false;
        expect_same_end(&t, whole, parts, step);
    }
    toy_close(&t);
}

/* --- progress --------------------------------------------------------------------------------- */

enum { MANY = 120, MANY_STEPS = 60 };

/* The toy with more steps an epoch than it is told in pieces, so that some pieces hold two. */
static void open_many(toy *t) {
    char path[320];
    nl_error err = {0};
    toy_open(t);
    nl_dataset_free(&t->data);
    snprintf(path, sizeof path, "%s/many", t->dir);
    idx_set_write(path, MANY, TOY_TEST, false);
    cr_assert(nl_dataset_load(&t->data, path, &t->config.data.picture, &err) == NL_OK, "%s",
              err.what);
    t->config.data.batch = MANY / MANY_STEPS;
    t->study.options.log_every = 1;
}

/* Fifty pieces an epoch; each is the mean of the steps that no piece before it has told. */
Test(trainer, progress_in_fifty_pieces) {
    toy t;
    open_many(&t);
    char a[256];
    size_t size;
    train(&t, folder(&t, a, "a"), NL_OK);
    char *text = toy_read(&t, a, "metrics.jsonl", &size), *rest = text, *line;
    int pieces = 0, steps = 0, longest = 0, step = -1, epoch;
    double sum = 0, loss, accuracy;
    while ((line = strsep(&rest, "\n"))) {
        if (sscanf(line, "{\"event\":\"step\",\"epoch\":%*d,\"step\":%d,\"loss\":%lf", &step,
                   &loss) == 2) {
            sum += loss;
            steps++;
        } else if (sscanf(line,
                          "{\"event\":\"progress\",\"epoch\":%d,\"step\":%d,\"loss\":%lf,"
                          "\"accuracy\":%lf}",
                          &epoch, &step, &loss, &accuracy) == 4) {
            cr_expect(fabs(loss - sum / steps) < 1e-12, "step %d", step);
            cr_expect(accuracy >= 0 && accuracy <= 100);
            pieces++;
            cr_expect_eq(epoch, step / MANY_STEPS);
            cr_expect_eq(step + 1, (pieces * MANY_STEPS + 49) / 50, "piece %d, step %d", pieces,
                         step);
            if (steps > longest) longest = steps;
            sum = steps = 0;
        }
    }
    cr_expect_eq(pieces, 50 * TOY_EPOCHS);
    cr_expect_eq(longest, 2);
    free(text);
    toy_close(&t);
}

/* A stop in the middle of a piece: its sums are part of the state. */
Test(trainer, progress_of_a_resumed_run) {
    toy t;
    open_many(&t);
    char whole[256], parts[256], name[32];
    train(&t, folder(&t, whole, "whole"), NL_OK);
    for (int step = 3; step < 3 + 7; step++) {
        snprintf(name, sizeof name, "stop-%d", step);
        folder(&t, parts, name);
        const nl_backend stopping = stopping_backend(&nl_backend_cpu64, step);
        t.study.backend = &stopping;
        t.study.options.resume = false;
        train(&t, parts, NL_ESIGINT);
        t.study.backend = &nl_backend_cpu64;
        t.study.options.resume = true;
        train(&t, parts, NL_OK);
        char *expected = records(&t, whole), *found = records(&t, parts);
        cr_expect_str_eq(found, expected, "step %d", step);
        free(expected);
        free(found);
    }
    toy_close(&t);
}
