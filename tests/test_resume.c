/* What --resume takes from the record, what it refuses, and what it makes again: the real program
 * on the toy study. */
#include <criterion/criterion.h>
#include <stdarg.h>   // va_list
#include <stdio.h>    // vsnprintf
#include <stdlib.h>   // system
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir
#include <unistd.h>   // unlink, symlink

#include "support/toy_cli.h"

TestSuite(resume, .init = toy_cli_open, .fini = toy_cli_close);

/* A shell command in the unit's folder; its exit code. */
static int in_unit(const char *form, ...) {
    char command[2000];
    va_list list;
    const int used = snprintf(command, sizeof command, "cd '%s/toy/seed-3' && ", toy_cli.out);
    va_start(list, form);
    vsnprintf(command + used, sizeof command - (size_t)used, form, list);
    va_end(list);
    return system(command);
}

#define IN_UNIT(...) cr_assert_eq(in_unit(__VA_ARGS__), 0)

/* As a process leaves it that is killed before its first save. */
static void forget_all_but_the_record(void) {
    IN_UNIT("rm -f *.safetensors *.csv metrics.jsonl && sed -i s/finished/running/ run.json");
}

static void mark_running(void) {
    IN_UNIT("sed -i s/finished/running/ run.json");
}

/* --- --init ------------------------------------------------------------------------------------ */

static void train_from_weights(char weights[512], char whole[256]) {
    char other[256];
    expect_code(TRAIN("--epochs", "1", "--out", toy_path(other, "other")), 0, NULL);
    snprintf(weights, 512, "%s/toy/seed-3/last.safetensors", other);
    expect_code(TRAIN("--init", weights, "--out", toy_path(whole, "whole")), 0, NULL);
    expect_code(TRAIN("--init", weights), 0, NULL);
}

Test(resume, init_is_not_forgotten) {
    char weights[512], whole[256];
    train_from_weights(weights, whole);
    forget_all_but_the_record();
    expect_code(TRAIN("--resume"), 0, NULL);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "init.safetensors"));
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "last.safetensors"));
    char *record = unit_content(toy_cli.out, "run.json");
    cr_expect(strstr(record, weights), "%s", record);
    free(record);
}

Test(resume, another_init_is_refused) {
    char weights[512], whole[256], best[600];
    train_from_weights(weights, whole);
    snprintf(best, sizeof best, "%s/toy/seed-3/last.safetensors", whole);
    expect_code(TRAIN("--resume", "--init", best), 2, "--init");
    IN_UNIT("cp '%s' '%s/copy.safetensors'", weights, toy_cli.dir);
    snprintf(best, sizeof best, "%s/copy.safetensors", toy_cli.dir);
    expect_code(TRAIN("--resume", "--init", best), 0, NULL); /* the same weights */
    IN_UNIT("cp '%s/toy/seed-3/best.safetensors' '%s'", whole, weights);
    forget_all_but_the_record();
    expect_code(TRAIN("--resume"), 3, "not those the run was to start from");
    cr_expect_not(unit_has(toy_cli.out, "metrics.jsonl"));
}

/* --- a state that is gone ----------------------------------------------------------------------- */

/* Refused, and every file is as before. */
static void expect_untouched(int code, const char *said) {
    const char *sum = "find . -type f ! -name '.*' -exec sha256sum {} + | sort";
    IN_UNIT("%s >'%s/before'", sum, toy_cli.dir);
    expect_code(TRAIN("--resume"), code, said);
    expect_code(TRAIN("--resume", "--epochs", "3"), code, said);
    IN_UNIT("%s | cmp - '%s/before'", sum, toy_cli.dir);
}

Test(resume, a_state_that_is_lost_is_no_new_start) {
    expect_code(TRAIN("--epochs", "2"), 0, NULL);
    mark_running();
    IN_UNIT("mv state.safetensors kept");
    expect_untouched(3, "state.safetensors: is gone, but last.safetensors is there");
    IN_UNIT("mv last.safetensors aside");
    expect_untouched(3, "state.safetensors: is gone, but metrics.jsonl is there");
    IN_UNIT("mv run.json record");
    expect_untouched(3, "run.json: cannot read");
    IN_UNIT("mv record run.json && mv aside last.safetensors");
    IN_UNIT("ln -s state.safetensors state.safetensors"); /* ELOOP */
    expect_untouched(3, "state.safetensors: cannot open");
    IN_UNIT("rm state.safetensors && mkdir state.safetensors");
    expect_untouched(3, "state.safetensors");
    IN_UNIT("rmdir state.safetensors && mv kept state.safetensors");
    expect_code(TRAIN("--resume"), 0, NULL);
}

/* --- results that are gone ---------------------------------------------------------------------- */

Test(resume, lost_results_are_made_again) {
    static const char *const files[] = {"predictions.csv", "last.safetensors", "best.safetensors"};
    char whole[256];
    expect_code(TRAIN("--epochs", "1", "--out", toy_path(whole, "whole")), 0, NULL);
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    for (int i = 0; i < 3; i++) {
        IN_UNIT("rm %s", files[i]);
        expect_code(TRAIN("--resume"), 0, "of a finished run it is gone: it is made again");
        cr_expect(toy_same(&toy_cli, toy_cli.out, whole, files[i]), "%s", files[i]);
        expect_status("finished");
    }
    for (int i = 0; i < 2; i++) { /* with the state, and without */
        IN_UNIT("tail -n 1 metrics.jsonl >'%s/final' && rm metrics.jsonl", toy_cli.dir);
        expect_code(TRAIN("--resume"), 0, "metrics.jsonl: warning: of a finished run it is gone");
        IN_UNIT("grep event...final metrics.jsonl | cmp - '%s/final'", toy_cli.dir);
        IN_UNIT("rm -f state.safetensors");
    }
    expect_code(TRAIN("--resume"), 0, NULL); /* whole but for the state */
    IN_UNIT("rm predictions.csv last.safetensors");
    expect_untouched(3, "safetensors: ");
}

/* With steps that change nothing the first epoch stays the best one. */
Test(resume, lost_weights_of_an_earlier_epoch_are_lost) {
    expect_code(TRAIN("--epochs", "2", "--set", "train.lr=1e-30"), 0, NULL);
    IN_UNIT("mv best.safetensors '%s/best'", toy_cli.dir);
    for (int i = 0; i < 2; i++) {
        expect_code(TRAIN("--resume", "--set", "train.lr=1e-30"), 0,
                    "of a finished run it is gone: the weights of that epoch are lost");
        IN_UNIT("test ! -e best.safetensors");
        expect_status("finished");
    }
}

#ifdef NL_FAIL_AT
/* What is left of it can be repaired the next time, also where no state tells of it any more. */
Test(resume, a_finished_run_whose_repair_fails_stays_finished) {
    char text[32];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    IN_UNIT("rm state.safetensors");
    for (int n = 1; n <= 5; n++) {
        IN_UNIT("rm -f predictions.csv");
        snprintf(text, sizeof text, "%d", n);
        cr_assert(!setenv("LD_PRELOAD", NL_FAIL_AT, 1) && !setenv("NL_FAIL_KIND", "rename", 1) &&
                  !setenv("NL_FAIL_AT", text, 1));
        expect_code(TRAIN("--resume"), n <= 3 ? 6 : 0, NULL);
        unsetenv("LD_PRELOAD");
        expect_status("finished");
    }
    IN_UNIT("rm predictions.csv");
    expect_code(TRAIN("--resume"), 0, "of a finished run it is gone: it is made again");
    IN_UNIT("test -s predictions.csv");
}
#endif

/* --- whose state it is -------------------------------------------------------------------------- */

/* The state of a run with these other settings is refused. */
static void expect_foreign(const char *keys, const char *set, const char *unit) {
    char other[256];
    toy_path(other, "other");
    expect_code(TRAIN("--epochs", "1", "--out", other, "--overwrite", "--set", set), 0, NULL);
    IN_UNIT("cp '%s/%s/state.safetensors' .", other, unit);
    expect_untouched(3, "state.safetensors");
    expect_code(TRAIN("--resume"), 3, keys);
}

Test(resume, the_state_of_another_run_is_refused) {
    char name[256], other[256];
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    mark_running();
    IN_UNIT("cp state.safetensors own");
    expect_foreign("another run: it differs in train.seed\n", "train.seed=4", "toy/seed-4");
    expect_foreign("another run: it differs in train.lr\n", "train.lr=0.050000000000000010",
                   "toy/seed-3");
    expect_foreign("another run: it differs in data.shuffle\n", "data.shuffle=false", "toy/seed-3");
    toy_path(name, "also.yaml");
    cr_assert(link(toy_yaml, name) == 0);
    expect_code(TRAIN(name, "--epochs", "1", "--out", toy_path(other, "named")), 0, NULL);
    IN_UNIT("cp '%s/also/seed-3/state.safetensors' .", other);
    expect_untouched(3, "another run: it differs in name\n");
    IN_UNIT("mv own state.safetensors");
    expect_code(TRAIN("--resume", "--epochs", "2"), 0, NULL);
}

Test(resume, configs_are_compared_exactly) {
    expect_code(TRAIN("--epochs", "1"), 0, NULL);
    expect_code(TRAIN("--resume", "--set", "train.lr=0.05000000000000001"), 2, "train.lr");
    expect_code(TRAIN("--resume", "--set", "train.lr=0.05"), 0, NULL);
    const char *const near = "train.lr=0.05000000000000001";
    expect_code(TRAIN("--overwrite", "--epochs", "1", "--set", near), 0, NULL);
    expect_code(TRAIN("--resume", "--epochs", "2"), 2, "train.lr");
    expect_code(TRAIN("--resume", "--epochs", "2", "--set", near), 0, NULL);
}

/* --- what the record says ----------------------------------------------------------------------- */

static char *timeless(const char *out) {
    char *text = unit_content(out, "metrics.jsonl");
    for (char *at = text; (at = strstr(at, ",\"seconds\":"));) {
        char *end = strchr(at, '}');
        memmove(at, end, strlen(end) + 1);
    }
    return text;
}

Test(resume, options_are_as_they_were) {
    char whole[256];
#define OPTIONS "--log-every", "2", "--layer-stats", "--save-every", "4"
    expect_code(TRAIN("--epochs", "3", OPTIONS, "--out", toy_path(whole, "whole")), 0, NULL);
    expect_code(TRAIN("--epochs", "1", OPTIONS), 0, NULL);
    program_result r = TRAIN("--resume"); /* not the 2 epochs of the file */
    cr_expect(r.code == 0 && strstr(r.out, "finished before"), "%s%s", r.out, r.err);
    program_free(&r);
    expect_code(TRAIN("--resume", "--epochs", "3"), 0, NULL);
    char *expected = timeless(whole), *found = timeless(toy_cli.out);
    cr_expect_str_eq(found, expected);
    free(expected), free(found);
    cr_expect(toy_same(&toy_cli, toy_cli.out, whole, "predictions.csv"));
    char *record = unit_content(toy_cli.out, "run.json");
    cr_expect(strstr(record, "\"save_every\": 4"), "%s", record);
    free(record);
}

/* A run that was not begun takes what those before it say. */
Test(resume, a_run_not_begun_is_like_its_siblings) {
    expect_code(TRAIN("--epochs", "1", "--log-every", "2"), 0, NULL);
    expect_code(TRAIN("--resume", "--seeds", "3,4"), 0, NULL);
    toy_cli.config.train.seed = 4;
    char *text = unit_content(toy_cli.out, "metrics.jsonl");
    cr_expect(strstr(text, "\"event\":\"step\"") && !strstr(text, "\"epoch\":1"), "%s", text);
    free(text);
}

Test(resume, a_cosine_schedule_cannot_be_longer) {
    static const char cosine[] = "train.schedule.kind=cosine";
    expect_code(TRAIN("--epochs", "1", "--set", cosine), 0, NULL);
    expect_code(TRAIN("--epochs", "3", "--resume", "--set", cosine), 2,
                "a cosine schedule stretches over all epochs: its 1 cannot become 3");
    expect_code(TRAIN("--resume", "--set", cosine), 0, NULL);
}

/* --- in which order things come to the disk ------------------------------------------------------ */

#ifdef NL_FAIL_AT
/* What is promised is on the disk before the promise: the records before a state that counts on
 * them, and all results before run.json says finished. */
Test(resume, nothing_is_promised_before_it_is_on_the_disk) {
    char log[256], line[600], flushed[64] = "";
    cr_assert(setenv("LD_PRELOAD", NL_FAIL_AT, 1) == 0);
    cr_assert(setenv("NL_FAIL_LOG", toy_path(log, "log"), 1) == 0);
    expect_code(TRAIN("--epochs", "2", "--save-every", "2"), 0, NULL);
    unsetenv("LD_PRELOAD");
    unsetenv("NL_FAIL_LOG");
    FILE *file = fopen(log, "r");
    cr_assert(file);
    int promises = 0, made = 0;
    for (char *name; fgets(line, sizeof line, file);) {
        name = strrchr(line, '/') + 1;
        const bool metrics = strcmp(name, "metrics.jsonl\n") == 0;
        made += strncmp(line, "fsync ", 6) == 0 && strcmp(name, "toy\n") == 0;
        if (strncmp(line, "flush ", 6) == 0 && metrics) snprintf(flushed, 64, "records");
        if (strncmp(line, "fsync ", 6) == 0 && metrics) flushed[0] = '\0';
        if (strncmp(line, "rename ", 7) != 0) continue;
        if (strcmp(name, "state.safetensors\n") != 0 && strcmp(name, "run.json\n") != 0) continue;
        cr_expect_str_eq(flushed, "", "not on the disk before %s", line);
        promises++;
    }
    fclose(file);
    cr_expect(promises >= 8, "%d", promises);
    cr_expect(made == 1, "the name of the unit's folder: %d", made);
}
#endif
