/* The trainer on a toy study: what it writes, and that it repeats itself. That a run stopped after
 * any step and resumed does so too: test_resume_steps.c. */
#include <criterion/criterion.h>

#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr

#include "normlab/rng.h" // nl_rotation_degrees
#include "support/idx_set.h"
#include "support/stops.h"

Test(trainer, two_runs_are_identical) {
    toy t;
    toy_open(&t);
    char a[256], b[256];
    stops_train(&t, stops_folder(&t, a, "a"), NL_OK);
    stops_train(&t, stops_folder(&t, b, "b"), NL_OK);
    cr_expect(toy_same(&t, a, b, "init.safetensors"));
    cr_expect(toy_same(&t, a, b, "last.safetensors"));
    cr_expect(toy_same(&t, a, b, "best.safetensors"));
    cr_expect(toy_same(&t, a, b, "predictions.csv"));
    cr_expect_not(toy_same(&t, a, a, "absent"));
    t.config.train.seed = 4; /* the comparison can fail */
    char c[256];
    stops_train(&t, stops_folder(&t, c, "c"), NL_OK);
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
    stops_train(&t, stops_folder(&t, a, "a"), NL_OK);
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
        stops_train(&t, stops_folder(&t, a, "a"), NL_OK);
        char *metrics = toy_read(&t, a, "metrics.jsonl", &size);
        const int best = best_of(metrics);
        cr_assert(best >= 0);
        seen_inside += best < 7;
        t.config.train.epochs = best + 1;
        stops_train(&t, stops_folder(&t, b, "b"), NL_OK);
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
    stops_train(&t, stops_folder(&t, a, "a"), NL_OK);
    const nl_rotation expected =
        nl_rotation_make(nl_rotation_degrees(3, TOY_EPOCHS, 5, 7), t.config.data.picture.shape);
    cr_expect(memcmp(&seen_train, &expected, sizeof expected) == 0);
    cr_expect(seen_test.a == 0, "test images are never rotated");
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
    stops_train(&t, stops_folder(&t, a, "a"), NL_OK);
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
    stops_train(&t, stops_folder(&t, whole, "whole"), NL_OK);
    for (int step = 3; step < 3 + 7; step++) {
        snprintf(name, sizeof name, "stop-%d", step);
        stops_folder(&t, parts, name);
        const nl_backend stopping = stops_backend(&nl_backend_cpu64, step);
        t.study.backend = &stopping;
        t.study.options.resume = false;
        stops_train(&t, parts, NL_ESIGINT);
        t.study.backend = &nl_backend_cpu64;
        t.study.options.resume = true;
        stops_train(&t, parts, NL_OK);
        char *expected = stops_records(&t, whole), *found = stops_records(&t, parts);
        cr_expect_str_eq(found, expected, "step %d", step);
        free(expected);
        free(found);
    }
    toy_close(&t);
}
