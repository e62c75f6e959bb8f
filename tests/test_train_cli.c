/* normlab train as a user meets it: files, log, records, several seeds, resuming and replacing.
 * Everything runs the real program on the toy study. */
#include <criterion/criterion.h>
#include <fcntl.h>    // open
#include <jansson.h>  // json_loads
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/file.h> // flock
#include <unistd.h>   // access, truncate

#include "support/toy_cli.h"

TestSuite(train_cli, .init = toy_cli_open, .fini = toy_cli_close);

/* --- what is left behind ---------------------------------------------------------------------- */

/* The keys of a record in the order of the file, as "event,epoch,...". */
static void keys_of(char text[256], const json_t *record) {
    const char *key;
    json_t *value;
    text[0] = '\0';
    json_object_foreach((json_t *)record, key, value) {
        if (*text) strcat(text, ",");
        strcat(text, key);
    }
}

Test(train_cli, files_log_and_records) {
    program_result r = TRAIN("--log-every", "4");
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_expect(strstr(r.out, "EPOCH: 0  LR:  0.05\n"), "%s", r.out);
    cr_expect(strstr(r.out, "EPOCH: 1  LR:  0.025\n"), "%s", r.out);
    cr_expect(strstr(r.out, " | Batch = 5 | Accuracy = "), "%s", r.out);
    cr_expect(strstr(r.out, "\n\nTest set: Average loss: "), "%s", r.out);
    cr_expect(strstr(r.out, "\nvariant "), "%s", r.out);
    cr_expect_not(strchr(r.out, '\r') || strchr(r.err, '\r'), "no bar off a terminal");
    program_free(&r);
    cr_expect(
        unit_has(toy_cli.out, "init.safetensors") && unit_has(toy_cli.out, "last.safetensors") &&
        unit_has(toy_cli.out, "best.safetensors") && unit_has(toy_cli.out, "state.safetensors"));
    expect_status("finished");

    enum { STEP, PROGRESS, EPOCH, FINAL };
    static const char *const expected[] = {
        "event,epoch,step,loss,penalty", "event,epoch,step,loss,accuracy",
        ("event,epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,"
         "images_per_second"),
        "event,train_loss,train_accuracy,test_loss,test_accuracy"};
    /* Progress of each of the 6 steps of an epoch, records of every fourth step in front of it. */
    static const int kinds[] = {STEP,     PROGRESS, PROGRESS, PROGRESS, PROGRESS, STEP,
                                PROGRESS, PROGRESS, EPOCH,    PROGRESS, PROGRESS, STEP,
                                PROGRESS, PROGRESS, PROGRESS, PROGRESS, EPOCH,    FINAL};
    static const int steps[] = {0, 0, 1, 2, 3, 4, 4, 5, -1, 6, 7, 8, 8, 9, 10, 11, -1, -1};
    char *text = unit_content(toy_cli.out, "metrics.jsonl"), *rest = text, keys[256];
    for (int i = 0; i < 18; i++) {
        const char *line = strsep(&rest, "\n");
        json_t *record = line ? json_loads(line, 0, NULL) : NULL;
        cr_assert(record, "line %d: %s", i, line);
        keys_of(keys, record);
        cr_expect_str_eq(keys, expected[kinds[i]]);
        if (steps[i] >= 0)
            cr_expect(json_integer_value(json_object_get(record, "step")) == steps[i]);
        json_decref(record);
    }
    cr_expect(rest && *rest == '\0', "nothing more: %s", rest);
    free(text);
    char *csv = unit_content(toy_cli.out, "predictions.csv");
    cr_expect(strncmp(csv, "image,label,prediction,probability,loss\n0,", 42) == 0, "%s", csv);
    free(csv);
}

/* Two convolutions, before training and after both epochs; the training itself is the same. */
Test(train_cli, layer_records_on_request) {
    char with[256], expected[32];
    expect_code(TRAIN("--quiet"), 0, NULL);
    expect_code(TRAIN("--quiet", "--layer-stats", "--out", toy_path(with, "with")), 0, NULL);
    cr_expect(
        toy_same_weights(&toy_cli, toy_cli.out, "last.safetensors", with, "last.safetensors"));
    char *text = unit_content(with, "metrics.jsonl"), *rest = text, keys[256];
    int layers = 0;
    for (const char *line; (line = strsep(&rest, "\n")) && *line;) {
        json_t *record = json_loads(line, 0, NULL);
        cr_assert(record, "%s", line);
        keys_of(keys, record);
        if (strcmp(json_string_value(json_object_get(record, "event")), "layer") == 0) {
            cr_expect_str_eq(keys, "event,epoch,layer,z_mean,z_sd,y_mean,y_sd,dy_mean,dy_sd,"
                                   "dw_mean,dw_sd,zero,dead");
            cr_expect(json_integer_value(json_object_get(record, "epoch")) == layers / 2 - 1);
            snprintf(expected, sizeof expected, "conv%d", layers % 2 + 1);
            cr_expect_str_eq(json_string_value(json_object_get(record, "layer")), expected);
            cr_expect(json_is_null(json_object_get(record, "dead")) == (layers % 2 == 1),
                      "conv2 has no ReLU");
            cr_expect(json_number_value(json_object_get(record, "dy_sd")) > 0);
            layers++;
        }
        json_decref(record);
    }
    cr_expect_eq(layers, 2 * (1 + TOY_EPOCHS));
    free(text);
}

Test(train_cli, limit_batches_counts_in_every_pass) {
    program_result r = TRAIN("--limit-batches", "2", "--log-every", "1");
    cr_assert_eq(r.code, 0, "%s", r.err);
    /* Of whole batches the original's figure is the mean loss divided by the batch. */
    double loss = 0, figure = 0;
    const char *line = strstr(r.out, "Average loss: ");
    cr_assert(line && sscanf(line, "Average loss: %lf (by the original's formula %lf)", &loss,
                             &figure) == 2);
    cr_expect(loss > 0 && !(figure - loss / TOY_BATCH > 2e-5) && figure - loss / TOY_BATCH > -2e-5,
              "%f and %f", loss, figure);
    program_free(&r);
    char *text = unit_content(toy_cli.out, "metrics.jsonl"),
         *csv = unit_content(toy_cli.out, "predictions.csv");
    int steps = 0, images = -1; /* the header */
    for (const char *at = text; (at = strstr(at, "\"step\",")); at++) steps++;
    for (const char *at = csv; (at = strchr(at, '\n')); at++) images++;
    cr_expect_eq(steps, 4);
    cr_expect_eq(images, 2 * TOY_BATCH);
    free(text);
    free(csv);
}

Test(train_cli, any_number_of_threads_gives_the_same_weights) {
    char two[256], three[256];
    expect_code(TRAIN("--threads", "1"), 0, NULL);
    expect_code(TRAIN("--threads", "2", "--out", toy_path(two, "two")), 0, NULL);
    expect_code(TRAIN("--threads", "3", "--out", toy_path(three, "three")), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, two, "last.safetensors"));
    cr_expect(toy_same(&toy_cli, toy_cli.out, three, "last.safetensors"));
    cr_expect(
        toy_same_weights(&toy_cli, toy_cli.out, "state.safetensors", three, "state.safetensors"));
}

Test(train_cli, no_epochs_writes_init_and_stops) {
    char whole[256];
    expect_code(TRAIN("--epochs", "0"), 0, NULL);
    expect_status("finished");
    cr_expect(unit_has(toy_cli.out, "init.safetensors"));
    cr_expect_not(unit_has(toy_cli.out, "last.safetensors") ||
                  unit_has(toy_cli.out, "predictions.csv"));
    expect_code(TRAIN("--out", toy_path(whole, "whole")), 0, NULL);
    cr_expect(
        toy_same_weights(&toy_cli, toy_cli.out, "init.safetensors", whole, "init.safetensors"));
    cr_expect_not(
        toy_same_weights(&toy_cli, toy_cli.out, "init.safetensors", whole, "last.safetensors"));
}

Test(train_cli, a_study_of_two_seeds) {
    program_result r = TRAIN("--seeds", "3,5");
    cr_expect_eq(r.code, 0, "%s", r.err);
    cr_expect(strstr(r.out, "toy, seed 5: run 2 of 2"), "%s", r.out);
    cr_expect(strstr(r.out, "toy        mean"), "%s", r.out);
    program_free(&r);
    expect_code(TRAIN("--seeds", "6", "--quiet"), 0, NULL); /* joins the same folder */
    expect_code(TRAIN("--seeds", "6-7"), 2, "already there");
    cr_expect(unit_has(toy_cli.out, "run.json"));
    toy_cli.config.train.seed = 7;
    cr_expect_not(unit_has(toy_cli.out, "run.json"), "refused as a whole");
}

/* --- resuming and replacing ------------------------------------------------------------------- */

Test(train_cli, a_run_that_is_there) {
    expect_code(TRAIN("--quiet"), 0, NULL);
    char *before = unit_content(toy_cli.out, "metrics.jsonl");
    expect_code(TRAIN("--quiet"), 2, "already there");
    program_result r = TRAIN("--resume");
    cr_expect(r.code == 0 && strstr(r.out, "finished before"), "%s%s", r.out, r.err);
    program_free(&r);
    char *after = unit_content(toy_cli.out, "metrics.jsonl");
    cr_expect_str_eq(before, after, "a finished run is left alone");
    expect_code(TRAIN("--overwrite", "--epochs", "1"), 0, NULL);
    free(after);
    after = unit_content(toy_cli.out, "metrics.jsonl");
    cr_expect(strlen(after) < strlen(before));
    free(before);
    free(after);
}

Test(train_cli, more_epochs_continue_a_finished_run) {
    char whole[256];
    expect_code(TRAIN("--epochs", "0"), 0, NULL);
    expect_code(TRAIN("--epochs", "1", "--resume"), 0, NULL);
    expect_code(TRAIN("--epochs", "2", "--resume"), 0, NULL);
    expect_code(TRAIN("--out", toy_path(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "predictions.csv"));
    char *text = unit_content(toy_cli.out, "metrics.jsonl");
    const char *final = strstr(text, "\"final\"");
    cr_expect(final && !strstr(final + 1, "\"final\""), "one final record: %s", text);
    free(text);
    expect_code(TRAIN("--epochs", "1", "--resume"), 2, "train.epochs");
}

Test(train_cli, a_resumed_run_must_be_the_same) {
    char out[256], moved[512];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    expect_code(TRAIN("--resume", "--set", "train.lr=0.04"), 2, "train.lr");
    expect_code(TRAIN("--resume", "--limit-batches", "3"), 2, "--limit-batches");
    expect_code(TRAIN("--resume", "--device", "cpu64"), 2, "device");
    expect_code(TRAIN("--resume", "--out", toy_path(out, "absent")), 3, "no such folder");
    cr_expect(access(out, F_OK) != 0, "nothing was created");
    snprintf(moved, sizeof moved, "%s/t10k-labels-idx1-ubyte", toy_data);
    FILE *file = fopen(moved, "r+");
    cr_assert(file && fseek(file, -1, SEEK_END) == 0 && fputc(3, file) == 3 && !fclose(file));
    expect_code(TRAIN("--resume"), 3, "t10k-labels");
    expect_status("finished");
}

Test(train_cli, a_broken_state_is_refused) {
    char path[512];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(path, sizeof path, "%s/toy/seed-3/state.safetensors", toy_cli.out);
    cr_assert(truncate(path, 100) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 3, "state.safetensors");
    snprintf(path, sizeof path, "%s/toy/seed-3/run.json", toy_cli.out);
    cr_assert(truncate(path, 10) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 3, "run.json");
    cr_assert(unlink(path) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 3, "run.json");
    expect_code(TRAIN("--overwrite"), 0, NULL);
}

Test(train_cli, a_lock_keeps_a_second_process_off) {
    char path[512];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(path, sizeof path, "%s/toy/seed-3/.lock", toy_cli.out);
    const int lock = open(path, O_RDWR);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
    expect_code(TRAIN("--resume"), 2, "another process");
    expect_code(TRAIN("--overwrite"), 2, "another process");
    close(lock);
    expect_code(TRAIN("--resume"), 0, NULL);
}
