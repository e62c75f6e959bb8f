/* What normlab train refuses, and what it does when something goes wrong on the way: signals, a
 * loss that is not finite, a full disk. Everything runs the real program on the toy study. */
#include <criterion/criterion.h>
#include <signal.h>       // kill
#include <stdio.h>        // snprintf
#include <stdlib.h>       // free
#include <string.h>       // strstr
#include <sys/resource.h> // setrlimit
#include <sys/stat.h>     // mkdir
#include <unistd.h>       // access, usleep

#include "support/idx_set.h"
#include "support/toy_cli.h"

TestSuite(train_faults, .init = toy_cli_open, .fini = toy_cli_close);

/* --- signals -----------------------------------------------------------------------------------
 */

static int count_epochs(void) {
    size_t size = 0;
    char *text = toy_read(&toy_cli, toy_cli.out, "metrics.jsonl", &size);
    int epochs = 0;
    for (const char *at = text; at && (at = strstr(at, "\"event\":\"epoch\"")); at++) epochs++;
    free(text);
    return epochs;
}

/* Until so many epochs are in metrics.jsonl. */
static void wait_for_epochs(int epochs) {
    for (int tries = 0; tries < 12000 && count_epochs() < epochs; tries++) usleep(5000);
}

/* Starts a run of 60 epochs and waits until `epochs` of them are done. */
static program start_long_run(int epochs) {
    const char *const argv[] = {NL_PROGRAM, "train",       toy_yaml, "--data",    toy_data,
                                "--device", "cpu",         "--out",  toy_cli.out, "--epochs",
                                "60",       "--no-report", NULL};
    program p = program_start(argv);
    wait_for_epochs(epochs);
    return p;
}

static void stop_and_resume(int number, int code) {
    char whole[256];
    program p = start_long_run(3);
    cr_assert(kill(p.pid, number) == 0);
    program_result r = program_wait(&p, 120);
    expect_code(r, code, "--resume");
    expect_status("interrupted");
    expect_code(TRAIN("--resume", "--epochs", "60"), 0, NULL);
    expect_status("finished");
    expect_code(TRAIN("--epochs", "60", "--out", toy_path(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "best.safetensors"));
}

Test(train_faults, interrupt_saves_and_resumes) {
    stop_and_resume(SIGINT, 130);
}

Test(train_faults, terminate_saves_and_resumes) {
    stop_and_resume(SIGTERM, 143);
}

Test(train_faults, hangup_saves_and_resumes) {
    stop_and_resume(SIGHUP, 129);
}

Test(train_faults, ignored_signals_do_not_stop_it) {
    static const char script[] = "trap '' INT HUP; exec \"$0\" train \"$1\" --data \"$2\" --out "
                                 "\"$3\" --device cpu --epochs 100000 --no-report --quiet";
    const char *const argv[] = {"/bin/sh", "-c",     script,      NL_PROGRAM,
                                toy_yaml,  toy_data, toy_cli.out, NULL};
    program p = program_start(argv);
    wait_for_epochs(2);
    cr_assert(kill(p.pid, SIGINT) == 0 && kill(p.pid, SIGHUP) == 0);
    wait_for_epochs(count_epochs() + 3);
    cr_assert(kill(p.pid, SIGTERM) == 0);
    program_result r = program_wait(&p, 120);
    expect_code(r, 143, "--resume");
}

Test(train_faults, a_killed_run_resumes) {
    char whole[256];
    program p = start_long_run(3);
    cr_assert(kill(p.pid, SIGKILL) == 0);
    program_result r = program_wait(&p, 120);
    expect_code(r, -SIGKILL, NULL);
    expect_status("running");
    expect_code(TRAIN("--resume", "--epochs", "60"), 0, NULL);
    expect_code(TRAIN("--epochs", "60", "--out", toy_path(whole, "whole")), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
}

/* --- what is refused, and what goes wrong ------------------------------------------------------
 */

Test(train_faults, refused_before_anything_is_written) {
    char absent[256], copy[512], folder[256];
    snprintf(folder, sizeof folder, "%s/copy", toy_cli.dir);
    snprintf(copy, sizeof copy, "%s/toy.yaml", folder);
    cr_assert(mkdir(folder, 0777) == 0 && link(toy_yaml, copy) == 0);
    toy_path(absent, "absent");
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

/* The toy's config under another name, with more in its data section; the caller frees. */
static char *toy_with(const char *name, const char *more) {
    char *path = NULL, line[400];
    cr_assert(asprintf(&path, "%s/%s.yaml", toy_cli.dir, name) > 0);
    FILE *from = fopen(toy_yaml, "r"), *to = fopen(path, "w");
    cr_assert(from && to);
    while (fgets(line, sizeof line, from)) {
        const char *rest = strncmp(line, "data: {", 7) == 0 ? line + 7 : NULL;
        if (rest)
            fprintf(to, "data: {%s, %s", more, rest);
        else
            fputs(line, to);
    }
    cr_assert(fclose(from) == 0 && fclose(to) == 0);
    return path;
}

/* One command trains on one set. */
Test(train_faults, pictures_of_two_kinds_are_refused) {
    char absent[256];
    toy_path(absent, "absent");
    char *set = toy_with("kana", "set: kmnist"), *shape = toy_with("small", "shape: [1, 20, 28]");
    expect_code(TRAIN("--out", absent, set), 2, "kana: its data are not those of toy (data.set)");
    expect_code(TRAIN("--out", absent, shape), 2, "small: its data are not those of toy (data.sh");
    cr_expect(access(absent, F_OK) != 0, "nothing was created");
    expect_code(RUN_NORMLAB("train", shape, "--data", toy_data, "--device", "cpu", "--no-report",
                            "--out", absent),
                3, "28 x 28");
    free(set), free(shape);
}

Test(train_faults, init_starts_from_weights) {
    char weights[512], out[256], third[256];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    snprintf(weights, sizeof weights, "%s/toy/seed-3/last.safetensors", toy_cli.out);
    expect_code(TRAIN("--init", weights, "--epochs", "0", "--out", toy_path(out, "b")), 0, NULL);
    cr_expect(toy_same_weights(&toy_cli, toy_cli.out, "last.safetensors", out, "init.safetensors"));
    expect_code(TRAIN("--init", weights, "--set", "model.norm=none", "--out", toy_path(third, "c")),
                3, "norm1");
    cr_expect(access(third, F_OK) != 0, "nothing was created");
}

Test(train_faults, a_loss_that_is_not_finite) {
    expect_code(TRAIN("--set", "train.lr=1e30", "--set", "model.norm=none"), 5,
                "step 1 is not finite: the output of conv");
    expect_status("failed");
    cr_expect(unit_has(toy_cli.out, "init.safetensors"));
}

/* Its only step has a finite loss, and breaks the weights. */
Test(train_faults, a_test_loss_that_is_not_finite) {
    expect_code(TRAIN("--set", "train.lr=1e30", "--set", "model.norm=none", "--limit-batches", "1",
                      "--epochs", "1"),
                5, "the test loss after epoch 0 is not finite: the weights are lost");
    expect_status("failed");
    cr_expect(unit_has(toy_cli.out, "init.safetensors"));
    cr_expect(!unit_has(toy_cli.out, "last.safetensors"), "broken weights were saved");
}

Test(train_faults, the_last_good_checkpoint_is_kept) {
    char good[256];
    expect_code(TRAIN("--epochs", "1", "--set", "model.norm=none", "--out", toy_path(good, "good")),
                0, NULL);
    expect_code(TRAIN("--set", "train.schedule.factor=1e30", "--set", "model.norm=none"), 5,
                "epoch 1, step ");
    cr_expect(
        toy_same_weights(&toy_cli, toy_cli.out, "last.safetensors", good, "last.safetensors"));
}

Test(train_faults, others_go_on_when_one_run_fails) {
    char second[256];
    toy_path(second, "also.yaml");
    cr_assert(link(toy_yaml, second) == 0);
    program_result r = TRAIN(second, "--set", "train.lr=1e30", "--set", "model.norm=none");
    cr_expect_eq(r.code, 5);
    cr_expect(strstr(r.out, "also, seed 3: run 2 of 2"), "%s", r.out);
    program_free(&r);
}

#ifndef __SANITIZE_ADDRESS__ /* which needs more address space than can be granted */
/* 4,000 images of 96 x 28 x 28 doubles are 2.4 GB. */
Test(train_faults, out_of_memory_names_a_smaller_batch) {
    static const char script[] = "ulimit -v 600000; exec \"$0\" train \"$1\" --data \"$2\" --out "
                                 "\"$3\" --device cpu64 --threads 1 --set data.batch=4000";
    char data[256];
    idx_set_write(toy_path(data, "large"), 4000, 10, false);
    const char *const argv[] = {
        "/bin/sh", "-c",        script, NL_PROGRAM, NL_SOURCE_DIR "/configs/gn.yaml",
        data,      toy_cli.out, NULL};
    program_result r = program_run(argv, 120);
    cr_expect(strstr(r.err, "out of memory"), "%s", r.err);
    expect_code(r, 1, "hint: a smaller batch takes less: data.batch");
}
#endif

/* A file may not grow beyond this: state.safetensors cannot be written, smaller files can. */
static void limit_files(rlim_t bytes) {
    const struct rlimit limit = {bytes, RLIM_INFINITY};
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

Test(train_faults, a_full_disk) {
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    char *before = unit_content(toy_cli.out, "state.safetensors");
    limit_files(4096);
    program_result r = TRAIN("--resume", "--epochs", "2");
    limit_files(RLIM_INFINITY);
    expect_code(r, 6, "state.safetensors");
    char *after = unit_content(toy_cli.out, "state.safetensors");
    cr_expect(memcmp(before, after, 4000) == 0, "the old state is intact");
    free(before);
    free(after);
    char path[512];
    snprintf(path, sizeof path, "ls -A %s/toy/seed-3 | grep -q tmp", toy_cli.out);
    cr_expect(system(path) != 0, "nothing half written is left");
    expect_code(TRAIN("--resume", "--epochs", "2"), 0, NULL);
}

/* Refused before a word of a run that is not begun. */
Test(train_faults, out_cannot_be_made) {
    char inside[256];
    program_result r = TRAIN("--out", toy_path(inside, "toy.yaml/out"));
    cr_expect_str_empty(r.out);
    expect_code(r, 6, "toy.yaml: cannot make the folder");
}

Test(train_faults, a_checkpoint_that_cannot_be_written) {
    char path[512];
    snprintf(path, sizeof path, "%s/toy/seed-3", toy_cli.out);
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    char *before = unit_content(toy_cli.out, "state.safetensors");
    strcat(path, "/last.safetensors");
    cr_assert(unlink(path) == 0 && mkdir(path, 0777) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 6, "last.safetensors");
    char *after = unit_content(toy_cli.out, "state.safetensors");
    cr_expect(memcmp(before, after, 1000) == 0, "the old state is intact");
    expect_status("failed");
    free(before);
    free(after);
    cr_assert(rmdir(path) == 0);
    expect_code(TRAIN("--resume", "--epochs", "2"), 0, NULL);
}
