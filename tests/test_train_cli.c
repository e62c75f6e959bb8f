/* normlab train as a user meets it: files, records, exit codes, signals. Everything runs the real
 * program on the toy study. */
#include <criterion/criterion.h>
#include <jansson.h>      // json_loads
#include <signal.h>       // kill
#include <stdio.h>        // snprintf
#include <stdlib.h>       // free
#include <string.h>       // strstr
#include <sys/stat.h>     // mkdir
#include <sys/file.h>     // flock
#include <sys/resource.h> // setrlimit
#include <fcntl.h>        // open
#include <unistd.h>       // access, usleep

#include "support/program.h"
#include "support/toy.h"

static toy t;
static char yaml[256], data_dir[256];

static void setup(void) {
    toy_open(&t);
    snprintf(yaml, sizeof yaml, "%s/toy.yaml", t.dir);
    snprintf(data_dir, sizeof data_dir, "%s/data", t.dir);
}

static void teardown(void) {
    toy_close(&t);
}

TestSuite(train_cli, .init = setup, .fini = teardown);

/* The toy trained into t.out; more arguments follow and win. */
#define TRAIN(...)                                                                                 \
    RUN_NORMLAB("train", yaml, "--data", data_dir, "--device", "cpu", "--no-report", "--out",      \
                t.out, __VA_ARGS__)

static void expect_code(program_result r, int code, const char *said) {
    cr_expect(r.code == code, "code %d, not %d: %s", r.code, code, r.err);
    if (said) cr_expect(strstr(r.err, said), "'%s' is not in: %s", said, r.err);
    program_free(&r);
}

/* Content of a file of the unit, which must be there. */
static char *content(const char *out, const char *file) {
    size_t size = 0;
    char *text = toy_read(&t, out, file, &size);
    cr_assert(text, "%s/%s is missing", out, file);
    return text;
}

static bool has(const char *out, const char *file) {
    size_t size = 0;
    char *text = toy_read(&t, out, file, &size);
    free(text);
    return text;
}

static void expect_status(const char *status) {
    char *text = content(t.out, "run.json"), line[64];
    snprintf(line, sizeof line, "\"status\": \"%s\"", status);
    cr_expect(strstr(text, line), "not %s: %s", status, text);
    free(text);
}

static const char *other(char text[256], const char *name) {
    snprintf(text, 256, "%s/%s", t.dir, name);
    return text;
}

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
    cr_expect(has(t.out, "init.safetensors") && has(t.out, "last.safetensors") &&
              has(t.out, "best.safetensors") && has(t.out, "state.safetensors"));
    expect_status("finished");

    static const char *const expected[] = {
        "event,epoch,step,loss,penalty",
        "event,epoch,step,loss,penalty",
        "event,epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,"
        "images_per_second",
        "event,epoch,step,loss,penalty",
        "event,epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,"
        "images_per_second",
        "event,train_loss,train_accuracy,test_loss,test_accuracy"};
    static const int steps[] = {0, 4, -1, 8, -1, -1};
    char *text = content(t.out, "metrics.jsonl"), *rest = text, keys[256];
    for (int i = 0; i < 6; i++) {
        const char *line = strsep(&rest, "\n");
        json_t *record = line ? json_loads(line, 0, NULL) : NULL;
        cr_assert(record, "line %d: %s", i, line);
        keys_of(keys, record);
        cr_expect_str_eq(keys, expected[i]);
        if (steps[i] >= 0)
            cr_expect(json_integer_value(json_object_get(record, "step")) == steps[i]);
        json_decref(record);
    }
    cr_expect(rest && *rest == '\0', "nothing more: %s", rest);
    free(text);
    char *csv = content(t.out, "predictions.csv");
    cr_expect(strncmp(csv, "image,label,prediction,probability\n0,", 37) == 0, "%s", csv);
    free(csv);
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
    char *text = content(t.out, "metrics.jsonl"), *csv = content(t.out, "predictions.csv");
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
    expect_code(TRAIN("--threads", "2", "--out", other(two, "two")), 0, NULL);
    expect_code(TRAIN("--threads", "3", "--out", other(three, "three")), 0, NULL);
    cr_expect(toy_same(&t, t.out, two, "last.safetensors"));
    cr_expect(toy_same(&t, t.out, three, "last.safetensors"));
    cr_expect(toy_same_weights(&t, t.out, "state.safetensors", three, "state.safetensors"));
}

Test(train_cli, no_epochs_writes_init_and_stops) {
    char whole[256];
    expect_code(TRAIN("--epochs", "0"), 0, NULL);
    expect_status("finished");
    cr_expect(has(t.out, "init.safetensors"));
    cr_expect_not(has(t.out, "last.safetensors") || has(t.out, "predictions.csv"));
    expect_code(TRAIN("--out", other(whole, "whole")), 0, NULL);
    cr_expect(toy_same_weights(&t, t.out, "init.safetensors", whole, "init.safetensors"));
    cr_expect_not(toy_same_weights(&t, t.out, "init.safetensors", whole, "last.safetensors"));
}

Test(train_cli, a_study_of_two_seeds) {
    program_result r = TRAIN("--seeds", "3,5");
    cr_expect_eq(r.code, 0, "%s", r.err);
    cr_expect(strstr(r.out, "toy, seed 5: run 2 of 2"), "%s", r.out);
    cr_expect(strstr(r.out, "toy        mean"), "%s", r.out);
    program_free(&r);
    expect_code(TRAIN("--seeds", "6", "--quiet"), 0, NULL); /* joins the same folder */
    expect_code(TRAIN("--seeds", "6-7"), 2, "already there");
    cr_expect(has(t.out, "run.json"));
    t.config.train.seed = 7;
    cr_expect_not(has(t.out, "run.json"), "refused as a whole");
}

/* --- resuming and replacing ------------------------------------------------------------------- */

Test(train_cli, a_run_that_is_there) {
    expect_code(TRAIN("--quiet"), 0, NULL);
    char *before = content(t.out, "metrics.jsonl");
    expect_code(TRAIN("--quiet"), 2, "already there");
    program_result r = TRAIN("--resume");
    cr_expect(r.code == 0 && strstr(r.out, "finished before"), "%s%s", r.out, r.err);
    program_free(&r);
    char *after = content(t.out, "metrics.jsonl");
    cr_expect_str_eq(before, after, "a finished run is left alone");
    expect_code(TRAIN("--overwrite", "--epochs", "1"), 0, NULL);
    free(after);
    after = content(t.out, "metrics.jsonl");
    cr_expect(strlen(after) < strlen(before));
    free(before);
    free(after);
}

Test(train_cli, more_epochs_continue_a_finished_run) {
    char whole[256];
    expect_code(TRAIN("--epochs", "0"), 0, NULL);
    expect_code(TRAIN("--epochs", "1", "--resume"), 0, NULL);
    expect_code(TRAIN("--epochs", "2", "--resume"), 0, NULL);
    expect_code(TRAIN("--out", other(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&t, t.out, whole, "last.safetensors"));
    cr_expect(toy_same(&t, t.out, whole, "predictions.csv"));
    char *text = content(t.out, "metrics.jsonl");
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
    expect_code(TRAIN("--resume", "--out", other(out, "absent")), 3, "no such folder");
    cr_expect(access(out, F_OK) != 0, "nothing was created");
    snprintf(moved, sizeof moved, "%s/t10k-labels-idx1-ubyte", data_dir);
    FILE *file = fopen(moved, "r+");
    cr_assert(file && fseek(file, -1, SEEK_END) == 0 && fputc(3, file) == 3 && !fclose(file));
    expect_code(TRAIN("--resume"), 3, "t10k-labels");
    expect_status("finished");
}

Test(train_cli, a_broken_state_is_refused) {
    char path[512];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(path, sizeof path, "%s/toy/seed-3/state.safetensors", t.out);
    cr_assert(truncate(path, 100) == 0);
    expect_code(TRAIN("--resume"), 3, "state.safetensors");
    snprintf(path, sizeof path, "%s/toy/seed-3/run.json", t.out);
    cr_assert(truncate(path, 10) == 0);
    expect_code(TRAIN("--resume"), 3, "run.json");
    cr_assert(unlink(path) == 0);
    expect_code(TRAIN("--resume"), 3, "run.json");
    expect_code(TRAIN("--overwrite"), 0, NULL);
}

Test(train_cli, a_lock_keeps_a_second_process_off) {
    char path[512];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(path, sizeof path, "%s/toy/seed-3/.lock", t.out);
    const int lock = open(path, O_RDWR);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
    expect_code(TRAIN("--resume"), 2, "another process");
    expect_code(TRAIN("--overwrite"), 2, "another process");
    close(lock);
    expect_code(TRAIN("--resume"), 0, NULL);
}

/* --- signals -----------------------------------------------------------------------------------
 */

/* Starts a run of 60 epochs and waits until `epochs` of them are in metrics.jsonl. */
static program start_long_run(int epochs) {
    const char *const argv[] = {NL_PROGRAM, "train",       yaml,    "--data", data_dir,
                                "--device", "cpu",         "--out", t.out,    "--epochs",
                                "60",       "--no-report", NULL};
    program p = program_start(argv);
    for (int tries = 0; tries < 2000; tries++) {
        size_t size = 0;
        char *text = toy_read(&t, t.out, "metrics.jsonl", &size);
        int lines = 0;
        for (const char *at = text; at && (at = strchr(at, '\n')); at++) lines++;
        free(text);
        if (lines >= epochs) break;
        usleep(5000);
    }
    return p;
}

static void stop_and_resume(int number, int code) {
    char whole[256];
    program p = start_long_run(3);
    cr_assert(kill(p.pid, number) == 0);
    program_result r = program_wait(&p, 30);
    expect_code(r, code, "--resume");
    expect_status("interrupted");
    expect_code(TRAIN("--resume", "--epochs", "60"), 0, NULL);
    expect_status("finished");
    expect_code(TRAIN("--epochs", "60", "--out", other(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&t, t.out, whole, "last.safetensors"));
    cr_expect(toy_same(&t, t.out, whole, "best.safetensors"));
}

Test(train_cli, interrupt_saves_and_resumes) {
    stop_and_resume(SIGINT, 130);
}

Test(train_cli, terminate_saves_and_resumes) {
    stop_and_resume(SIGTERM, 143);
}

Test(train_cli, a_killed_run_resumes) {
    char whole[256];
    program p = start_long_run(3);
    cr_assert(kill(p.pid, SIGKILL) == 0);
    program_result r = program_wait(&p, 30);
    expect_code(r, -SIGKILL, NULL);
    expect_status("running");
    expect_code(TRAIN("--resume", "--epochs", "60"), 0, NULL);
    expect_code(TRAIN("--epochs", "60", "--out", other(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&t, t.out, whole, "last.safetensors"));
}

/* --- what is refused, and what goes wrong ------------------------------------------------------
 */

Test(train_cli, refused_before_anything_is_written) {
    char absent[256], copy[512], folder[256];
    snprintf(folder, sizeof folder, "%s/copy", t.dir);
    snprintf(copy, sizeof copy, "%s/toy.yaml", folder);
    cr_assert(mkdir(folder, 0777) == 0 && link(yaml, copy) == 0);
    other(absent, "absent");
    expect_code(TRAIN(copy), 2, "two configs have this name");
    expect_code(TRAIN("--epochs", "-1"), 2, "--epochs");
    expect_code(TRAIN("--epochs", "1x"), 2, "--epochs");
    expect_code(TRAIN("--threads", "0"), 2, "--threads");
    expect_code(TRAIN("--log-every", "0"), 2, "--log-every");
    expect_code(TRAIN("--limit-batches", "0"), 2, "--limit-batches");
    expect_code(TRAIN("--seeds", "2-1"), 2, "--seeds");
    expect_code(TRAIN("--set", "train.lr=0"), 2, "train.lr");
    expect_code(TRAIN("--set", "model.group_size=3", "--set", "model.norm=group"), 2, "conv1");
    expect_code(TRAIN("--device", "gpu"), 2, "--device");
    expect_code(TRAIN("--resume", "--overwrite"), 2, "--resume");
    expect_code(TRAIN("--epoch-count", "1"), 2, "--epoch-count");
    expect_code(TRAIN("--out", absent, "--init", "absent.safetensors"), 3, "absent.safetensors");
    expect_code(TRAIN("--out", absent, "--data", "/nonexistent"), 3, "/nonexistent");
    expect_code(TRAIN("--out", absent, "absent.yaml"), 2, "absent.yaml");
    expect_code(TRAIN("--out", ""), 2, "--out");
    cr_expect(access(absent, F_OK) != 0, "nothing was created");
}

Test(train_cli, init_starts_from_weights) {
    char weights[512], out[256], third[256];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(weights, sizeof weights, "%s/toy/seed-3/last.safetensors", t.out);
    expect_code(TRAIN("--init", weights, "--epochs", "0", "--out", other(out, "b")), 0, NULL);
    cr_expect(toy_same_weights(&t, t.out, "last.safetensors", out, "init.safetensors"));
    expect_code(TRAIN("--init", weights, "--set", "model.norm=none", "--out", other(third, "c")), 3,
                "norm1");
    cr_expect(access(third, F_OK) != 0, "nothing was created");
}

Test(train_cli, a_loss_that_is_not_finite) {
    expect_code(TRAIN("--set", "train.lr=1e30", "--set", "model.norm=none"), 5,
                "step 1 is not finite: the output of conv");
    expect_status("failed");
    cr_expect(has(t.out, "init.safetensors"));
}

Test(train_cli, the_last_good_checkpoint_is_kept) {
    char good[256];
    expect_code(TRAIN("--epochs", "1", "--set", "model.norm=none", "--out", other(good, "good")), 0,
                NULL);
    expect_code(TRAIN("--set", "train.schedule.factor=1e30", "--set", "model.norm=none"), 5,
                "epoch 1, step ");
    cr_expect(toy_same_weights(&t, t.out, "last.safetensors", good, "last.safetensors"));
}

Test(train_cli, others_go_on_when_one_run_fails) {
    char second[256];
    other(second, "also.yaml");
    cr_assert(link(yaml, second) == 0);
    program_result r = TRAIN(second, "--set", "train.lr=1e30", "--set", "model.norm=none");
    cr_expect_eq(r.code, 5);
    cr_expect(strstr(r.out, "also, seed 3: run 2 of 2"), "%s", r.out);
    program_free(&r);
}

/* A file may not grow beyond this: state.safetensors cannot be written, smaller files can. */
static void limit_files(rlim_t bytes) {
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

Test(train_cli, a_full_disk) {
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    char *before = content(t.out, "state.safetensors");
    limit_files(4096);
    program_result r = TRAIN("--resume", "--epochs", "2");
    limit_files(RLIM_INFINITY);
    expect_code(r, 6, "state.safetensors");
    char *after = content(t.out, "state.safetensors");
    cr_expect(memcmp(before, after, 4000) == 0, "the old state is intact");
    free(before);
    free(after);
    char path[512];
    snprintf(path, sizeof path, "ls -A %s/toy/seed-3 | grep -q tmp", t.out);
    cr_expect(system(path) != 0, "nothing half written is left");
    expect_code(TRAIN("--resume", "--epochs", "2"), 0, NULL);
}

Test(train_cli, a_checkpoint_that_cannot_be_written) {
    char path[512];
    snprintf(path, sizeof path, "%s/toy/seed-3", t.out);
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    char *before = content(t.out, "state.safetensors");
    strcat(path, "/last.safetensors");
    cr_assert(unlink(path) == 0 && mkdir(path, 0777) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 6, "last.safetensors");
    char *after = content(t.out, "state.safetensors");
    cr_expect(memcmp(before, after, 1000) == 0, "the old state is intact");
    expect_status("failed");
    free(before);
    free(after);
    cr_assert(rmdir(path) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 0, NULL);
}
