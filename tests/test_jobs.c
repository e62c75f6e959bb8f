/* Runs side by side give the bits of runs one after the other; a run that diverges leaves the
 * others going; a signal saves them all; and parts of a study. */
#include <criterion/criterion.h>
#include <signal.h>   // kill
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free, setenv
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir
#include <unistd.h>   // access, usleep

#include "cli/shard.h"
#include "normlab/run_files.h" // NL_FILE_RUN
#include "support/slurp.h"
#include "support/toy_cli.h"

TestSuite(jobs, .init = toy_cli_open, .fini = toy_cli_close);

static char *content(const char *out, unsigned seed, const char *file) {
    char path[600];
    snprintf(path, sizeof path, "%s/toy/seed-%u/%s", out, seed, file);
    size_t size;
    return slurp(path, &size);
}

/* Figures of time are taken out. */
static char *metrics(const char *out, unsigned seed) {
    char *text = content(out, seed, NL_FILE_METRICS);
    for (char *at = text; (at = strstr(at, ",\"seconds\":"));) {
        char *end = strchr(at, '}');
        cr_assert(end);
        memmove(at, end, strlen(end) + 1);
    }
    return text;
}

static void expect_same(const char *a, const char *b, unsigned seeds) {
    char x[600], y[600];
    for (unsigned s = 1; s <= seeds; s++) {
        static const char *const files[] = {NL_FILE_INIT, NL_FILE_LAST, NL_FILE_BEST,
                                            NL_FILE_PREDICTIONS};
        char *left = metrics(a, s), *right = metrics(b, s);
        cr_expect_str_eq(left, right);
        free(left);
        free(right);
        for (int i = 0; i < 4; i++) {
            snprintf(x, sizeof x, "%s/toy/seed-%u/%s", a, s, files[i]);
            snprintf(y, sizeof y, "%s/toy/seed-%u/%s", b, s, files[i]);
            const program_result r =
                program_run((const char *const[]){"/usr/bin/cmp", x, y, NULL}, 60);
            cr_expect(r.code == 0, "%s%s", r.out, r.err);
            program_free((program_result *)&r);
        }
    }
}

#define TRAIN_INTO(out, ...)                                                                       \
    RUN_NORMLAB("train", toy_yaml, "--data", toy_data, "--device", "cpu", "--no-report", "--out",  \
                out, __VA_ARGS__)

Test(jobs, the_same_bits) {
    char one[256], three[256];
    toy_path(one, "one");
    toy_path(three, "three");
    expect_code(TRAIN_INTO(one, "--seeds", "1-7", "--jobs", "1"), 0, NULL);
    program_result r = TRAIN_INTO(three, "--seeds", "1-7", "--jobs", "3");
    cr_expect(r.code == 0, "%s", r.err);
    for (int s = 1; s <= 7; s++) {
        char line[64];
        snprintf(line, sizeof line, "toy, seed %d: epoch 1 of 2: train loss ", s);
        cr_expect(strstr(r.out, line), "%s", r.out);
        snprintf(line, sizeof line, "toy, seed %d: final: train loss ", s);
        cr_expect(strstr(r.out, line), "%s", r.out);
    }
    cr_expect(!strstr(r.out, "EPOCH"), "%s", r.out);
    program_free(&r);
    expect_same(one, three, 7);
}

Test(jobs, one_that_diverges_leaves_the_others_going) {
    const char *out = toy_cli.out;
    program_result r = TRAIN_INTO(out, "--seeds", "1-3", "--jobs", "2", "--set", "train.lr=1e30");
    cr_expect_eq(r.code, 5, "%s", r.err);
    for (unsigned s = 1; s <= 3; s++) {
        char *record = content(out, s, NL_FILE_RUN), unit[64];
        cr_expect(strstr(record, "\"status\": \"failed\""), "%s", record);
        free(record);
        snprintf(unit, sizeof unit, "toy/seed-%u: ", s); /* each is told, and once */
        const char *first = strstr(r.err, unit);
        cr_expect(first && !strstr(first + 1, unit), "%s", r.err);
    }
    program_free(&r);
}

/* A file stands where a run's folder should be: that run cannot begin, and the others stop. */
Test(jobs, another_failure_stops_the_others_saved) {
    char path[600];
    snprintf(path, sizeof path, "%s/toy", toy_cli.out);
    mkdir(toy_cli.out, 0777);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/toy/seed-2", toy_cli.out);
    FILE *file = fopen(path, "w");
    cr_assert(file && fclose(file) == 0);
    const program_result r =
        TRAIN_INTO(toy_cli.out, "--seeds", "1,2", "--jobs", "2", "--epochs", "100000");
    cr_expect(r.code == 6, "%d %s", r.code, r.err);
    cr_expect(strstr(r.err, "seed-2"), "%s", r.err);
    program_free((program_result *)&r);
    snprintf(path, sizeof path, "%s/toy/seed-1/" NL_FILE_RUN, toy_cli.out);
    if (access(path, F_OK) != 0) return; /* it had not begun */
    char *record = content(toy_cli.out, 1, NL_FILE_RUN);
    cr_expect(strstr(record, "\"status\": \"interrupted\""), "%s", record);
    free(record);
}

Test(jobs, a_signal_saves_them_all) {
    char whole[256];
    toy_path(whole, "whole");
    expect_code(TRAIN_INTO(whole, "--seeds", "1-3", "--jobs", "1", "--epochs", "150"), 0, NULL);
    const char *const command[] = {NL_PROGRAM, "train", toy_yaml, "--data",    toy_data,
                                   "--device", "cpu",   "--out",  toy_cli.out, "--no-report",
                                   "--seeds",  "1-3",   "--jobs", "2",         "--epochs",
                                   "150",      NULL};
    program p = program_start(command);
    char path[600];
    snprintf(path, sizeof path, "%s/toy/seed-2/" NL_FILE_LAST, toy_cli.out);
    for (int i = 0; i < 10000 && access(path, F_OK) != 0; i++) usleep(1000);
    kill(p.pid, SIGTERM);
    program_result r = program_wait(&p, 120);
    cr_expect(r.code == 143, "%d %s", r.code, r.err);
    cr_expect(strstr(r.err, "--resume goes on"), "%s", r.err);
    program_free(&r);
    for (unsigned s = 1; s <= 2; s++) {
        char *record = content(toy_cli.out, s, NL_FILE_RUN);
        cr_expect(strstr(record, "\"status\": \"interrupted\""), "%s", record);
        free(record);
    }
    expect_code(
        TRAIN_INTO(toy_cli.out, "--seeds", "1-3", "--jobs", "2", "--epochs", "150", "--resume"), 0,
        NULL);
    expect_same(whole, toy_cli.out, 3);
}

Test(jobs, wrong_numbers) {
    expect_code(TRAIN("--jobs", "0"), 2, "--jobs");
    expect_code(TRAIN("--jobs", "two"), 2, "--jobs");
    expect_code(TRAIN("--jobs", "auto", "--seeds", "1-2"), 0, NULL);
}

/* ---- parts ---- */

Test(jobs, parts_make_the_whole) {
    char whole[256], first[256], second[256];
    toy_path(whole, "whole");
    toy_path(first, "first");
    toy_path(second, "second");
    expect_code(TRAIN_INTO(whole, "--seeds", "1-3"), 0, NULL);
    expect_code(TRAIN_INTO(first, "--seeds", "1-3", "--shard", "1/2"), 0, NULL);
    setenv("SLURM_ARRAY_TASK_ID", "12", 1);
    setenv("SLURM_ARRAY_TASK_MIN", "10", 1);
    setenv("SLURM_ARRAY_TASK_MAX", "12", 1);
    setenv("SLURM_ARRAY_TASK_STEP", "2", 1);
    setenv("SLURM_ARRAY_TASK_COUNT", "2", 1);
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_NTASKS", "1", 1);
    program_result r = TRAIN_INTO(second, "--seeds", "1-3", "--shard", "auto");
    cr_expect(r.code == 0 && strstr(r.out, "run 1 of 1"), "%s%s", r.out, r.err);
    program_free(&r);
    char a[300], b[300];
    snprintf(a, sizeof a, "%s/toy/seed-3", first);
    snprintf(b, sizeof b, "%s/toy/seed-2", second);
    cr_expect(access(a, F_OK) == 0 && access(b, F_OK) == 0);
    r = RUN_NORMLAB("report", first, second, "--out", first);
    cr_expect(r.code == 0, "%s", r.err);
    program_free(&r);
    expect_code(RUN_NORMLAB("report", whole), 0, NULL);
    snprintf(a, sizeof a, "%s/report/findings.md", first);
    snprintf(b, sizeof b, "%s/report/findings.md", whole);
    cr_expect(access(a, F_OK) == 0 && access(b, F_OK) == 0);
    expect_code(TRAIN("--seeds", "1-2", "--shard", "3/3"), 0, NULL); /* none falls to it */
    cr_expect(access(toy_cli.out, F_OK) != 0);
}

static void expect_shard(const char *text, int part, int parts) {
    nl_shard shard = {0};
    nl_error err = {0};
    const int code = nl_shard_parse(&shard, text, &err);
    if (part == 0)
        cr_expect(code == NL_EUSAGE && err.hint[0], "%s: %d", text, code);
    else
        cr_expect(code == NL_OK && shard.part == part && shard.parts == parts, "%s: %d/%d %s", text,
                  shard.part, shard.parts, err.what);
}

Test(jobs, shards) {
    static const char *const wrong[] = {
        "",    "1",    "0/2",  "3/2",  "1/0", "-1/2", "1/2/3",
        "a/b", "1/2x", " 1/2", "1 /2", "/",   "1/",   "99999999999/99999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) expect_shard(wrong[i], 0, 0);
    expect_shard("1/1", 1, 1);
    expect_shard("7/32", 7, 32);
}

static void set(const char *name, const char *value) {
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

Test(jobs, schedulers) {
    static const struct {
        const char *id, *min, *max, *step, *count; /* of an array */
        int part, parts;
    } arrays[] = {{"0", "0", "3", "1", "4", 1, 4},     {"3", "0", "3", "1", "4", 4, 4},
                  {"1", "1", "1", "1", "1", 1, 1},     {"7", "1", "10", "3", "4", 3, 4},
                  {"5", "1", "5", NULL, "5", 5, 5},    {"5", "1", "9", "1", "4", 0, 0},
                  {"2", "1", "9", "2", "5", 0, 0},     {"11", "1", "9", "1", "9", 0, 0},
                  {"1", NULL, NULL, NULL, NULL, 0, 0}, {"3", "1", "8", "1", "0", 0, 0}};
    expect_shard("auto", 0, 0);
    set("SLURM_PROCID", "0");
    set("SLURM_NTASKS", "2");
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        set("SLURM_ARRAY_TASK_ID", arrays[i].id);
        set("SLURM_ARRAY_TASK_MIN", arrays[i].min);
        set("SLURM_ARRAY_TASK_MAX", arrays[i].max);
        set("SLURM_ARRAY_TASK_STEP", arrays[i].step);
        set("SLURM_ARRAY_TASK_COUNT", arrays[i].count);
        expect_shard("auto", arrays[i].part, arrays[i].parts);
    }
    set("SLURM_ARRAY_TASK_ID", NULL);
    expect_shard("auto", 1, 2);
    set("OMPI_COMM_WORLD_RANK", "3"); /* mpirun within a job: its rank, not the job's */
    set("OMPI_COMM_WORLD_SIZE", "4");
    expect_shard("auto", 4, 4);
    set("OMPI_COMM_WORLD_RANK", NULL);
    set("PMI_RANK", "1");
    set("PMI_SIZE", "3");
    expect_shard("auto", 2, 3);
}
