/* Evaluation in parts: the same bits as a whole pass, and a signal that comes in a pass ends it
 * there. What is stopped so and resumed ends as if nothing had happened. */
#include <criterion/criterion.h>
#include <dirent.h>   // opendir
#include <signal.h>   // raise, kill
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strstr
#include <sys/stat.h> // stat
#include <unistd.h>   // usleep

#include "normlab/run_files.h" // NL_FILE_METRICS
#include "support/idx_set.h"
#include "support/parts_check.h"
#include "support/stops.h" // stops_expect_same_end
#include "support/toy_cli.h"

Test(eval_parts, of_the_fast_engine) {
    parts_check(&nl_backend_cpu);
}

Test(eval_parts, of_the_plain_engine) {
    parts_check(&nl_backend_plain);
}

Test(eval_parts, of_the_engine_in_double) {
    parts_check(&nl_backend_cpu64);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

typedef struct asked {
    int times, stop_at; /* 0: never */
    uint32_t images;    /* evaluated so far */
} asked;

static asked asking;

/* Parts are whole batches of 8 but for the last, and join. */
static int count_part(nl_engine *engine, const nl_eval_pass *pass, nl_eval_result *result,
                      nl_error *err) {
    (void)engine, (void)result, (void)err;
    cr_expect_eq(pass->first, asking.images);
    cr_expect(pass->images % 8 == 0 || pass->first + pass->images == 1001);
    asking.images += pass->images;
    return NL_OK;
}

static int stop(void *context, nl_error *err) {
    asked *a = context;
    return ++a->times == a->stop_at ? nl_fail(err, NL_ESIGHUP, "here", "stopped") : NL_OK;
}

Test(eval_parts, asked_before_each) {
    nl_error err = {0};
    nl_backend counting = nl_backend_cpu;
    counting.evaluate = count_part;
    const nl_evaluator by = {&counting, NULL, 8, stop, &asking};
    const nl_eval_pass pass = {.images = 1001};
    nl_eval_result result = {0};
    cr_expect_eq(nl_evaluate(&by, &pass, &result, &err), NL_OK);
    cr_expect_eq(asking.images, 1001);
    const int parts = asking.times;
    cr_assert_gt(parts, 3);
    for (int at = 1; at <= 3; at++) {
        asking = (asked){.stop_at = at};
        cr_expect_eq(nl_evaluate(&by, &pass, &result, &err), NL_ESIGHUP);
        cr_expect_eq(asking.times, at);
        cr_expect_eq(asking.images > 0, at > 1);
        cr_expect_lt(asking.images, 1001);
    }
}

/* ---- a signal with any part of any pass ------------------------------------------------------- */

static const nl_backend *real_backend;
static int calls, signal_at; /* of evaluate; 0: none */

static int evaluate_then_signal(nl_engine *engine, const nl_eval_pass *pass, nl_eval_result *result,
                                nl_error *err) {
    const int code = real_backend->evaluate(engine, pass, result, err);
    if (++calls == signal_at) raise(SIGTERM);
    return code;
}

/* Trains into the folder of that name in the toy's; the code. */
static int train(toy *t, const char *name, int at) {
    nl_error err = {0};
    nl_backend signalling = *real_backend;
    signalling.evaluate = evaluate_then_signal;
    calls = 0;
    signal_at = at;
    t->study.backend = &signalling;
    t->study.options.out = t->out;
    snprintf(t->out, sizeof t->out, "%s/%s", t->dir, name);
    const int code = toy_train(t, &err);
    cr_assert(code == NL_OK || code == NL_ESIGTERM, "%s: %s", err.where, err.what);
    return code;
}

/* All steps that were told of are in the state. */
static void expect_all_saved(const toy *t) {
    unsigned epoch, step, told = 0;
    size_t size;
    char *state = toy_read(t, t->out, NL_FILE_STATE, &size);
    const char *place = state && size > 8 ? strstr(state + 8, "{\\\"epoch\\\":") : NULL;
    cr_assert(place && sscanf(place, "{\\\"epoch\\\":%u,\\\"step\\\":%u,", &epoch, &step) == 2);
    char *text = stops_records(t, t->out);
    for (const char *at = text; (at = strstr(at, "\"event\":\"progress\"")); at++) told++;
    cr_expect_eq(epoch * TOY_STEPS + step, told, "%s: epoch %u, step %u of %u", t->out, epoch, step,
                 told);
    free(text);
    free(state);
}

static void stop_in_every_part(const nl_backend *backend) {
    /* 20 test and 44 training images in batches of 8; the first part is one batch */
    enum { LEAST = 2 * TOY_EPOCHS + 2 + 2 };
    char whole[256], name[32];
    toy t;
    real_backend = backend;
    toy_open(&t);
    cr_assert_eq(train(&t, "whole", 0), NL_OK);
    memcpy(whole, t.out, sizeof whole);
    cr_assert_geq(calls, LEAST);
    const int parts = calls;
    for (int at = 1; at <= parts; at++) {
        snprintf(name, sizeof name, "part-%d", at);
        t.study.options.resume = false;
        if (train(&t, name, at) == NL_OK) { /* a slower machine had cut finer */
            cr_assert_gt(at, LEAST);
            break;
        }
        cr_expect_eq(calls, at, "part %d: %d more were evaluated", at, calls - at);
        expect_all_saved(&t);
        t.study.options.resume = true;
        cr_expect_eq(train(&t, name, 0), NL_OK);
        stops_expect_same_end(&t, whole, t.out, at);
    }
    toy_close(&t);
}

Test(eval_parts, stopped_in_every_part_in_double) {
    stop_in_every_part(&nl_backend_cpu64);
}

Test(eval_parts, stopped_in_every_part_in_float) {
    stop_in_every_part(&nl_backend_plain);
}

Test(eval_parts, stopped_in_every_part_of_the_fast_engine) {
    stop_in_every_part(&nl_backend_cpu);
}

/* ---- the program ------------------------------------------------------------------------------ */

enum { MANY = 5000 };

/* The toy with so many test images that a pass in double precision takes a while. */
static void open_many(void) {
    toy_cli_open();
    snprintf(toy_data, sizeof toy_data, "%s/many", toy_cli.dir);
    idx_set_write(toy_data, TOY_TRAIN, MANY, false);
}

TestSuite(eval_signal, .init = open_many, .fini = toy_cli_close);

static char *unit_text(const char *out, unsigned seed, const char *file) {
    toy_cli.config.train.seed = seed;
    size_t size;
    return toy_read(&toy_cli, out, file, &size);
}

/* Waits until the file of the unit holds those words; of a state, its header. */
static void wait_for(const char *out, unsigned seed, const char *file, const char *words) {
    const int skip = strcmp(file, NL_FILE_STATE) == 0 ? 8 : 0;
    for (int i = 0; i < 60000; i++, usleep(500)) {
        char *text = unit_text(out, seed, file);
        const bool there = text && strstr(text + skip, words);
        free(text);
        if (there) return;
    }
    cr_assert(false, "%s of seed %u never holds %s", file, seed, words);
}

/* more: an option, or NULL */
#define MANY_ARGUMENTS(out, seeds, jobs, more)                                                     \
    NL_PROGRAM, "train", toy_yaml, "--data", toy_data, "--device", "cpu64", "--no-report",         \
        "--epochs", "1", "--out", out, "--seeds", seeds, "--jobs", jobs, more, NULL

#define RUN_MANY(...) program_run((const char *const[]){MANY_ARGUMENTS(__VA_ARGS__)}, 600)

static void expect_same_runs(const char *whole, const char *parts, unsigned seeds) {
    for (unsigned s = 1; s <= seeds; s++) {
        toy_cli.config.train.seed = s;
        stops_expect_same_end(&toy_cli, whole, parts, 0);
    }
}

/* Sends SIGTERM when each of the runs has those words in that file, the last ones in front of a pass;
 * how many were within the pass then. What follows the pass must not be there when they have ended.
 * The process is made to stand still while that is looked at. */
static int signal_behind(program *p, program_result *r, const char *out, unsigned count,
                         const char *file, const char *words, const char *follows) {
    bool within[2];
    int caught = 0;
    for (unsigned s = 1; s <= count; s++) wait_for(out, s, file, words);
    kill(p->pid, SIGSTOP);
    for (unsigned s = 1; s <= count; s++) {
        char *text = unit_text(out, s, NL_FILE_METRICS);
        within[s - 1] = !strstr(text, follows);
        caught += within[s - 1];
        free(text);
    }
    kill(p->pid, SIGTERM);
    kill(p->pid, SIGCONT);
    *r = program_wait(p, 300);
    for (unsigned s = 1; s <= count; s++) {
        char *text = unit_text(out, s, NL_FILE_METRICS);
        cr_expect(!within[s - 1] || !strstr(text, follows), "seed %u went on: %s", s, text);
        free(text);
    }
    return caught;
}

static void stop_behind(const char *file, const char *words, const char *follows, const char *seeds,
                        const char *jobs, const char *join) {
    const unsigned count = *jobs == '1' ? 1 : 2;
    int caught = 0;
    char whole[256], out[256], name[16];
    expect_code(RUN_MANY(toy_path(whole, "whole"), seeds, "2", NULL), 0, NULL);
    for (int i = 0; i < 8 && !caught; i++) { /* this process may have stood still meanwhile */
        snprintf(name, sizeof name, "try-%d", i);
        toy_path(out, name);
        program_result r;
        program p = program_start((const char *const[]){MANY_ARGUMENTS(out, seeds, jobs, join)});
        caught = signal_behind(&p, &r, out, count, file, words, follows);
        if (caught) cr_expect_eq(r.code, 143, "%d: %s", r.code, r.err);
        program_free(&r);
    }
    cr_assert_gt(caught, 0, "no signal came within a pass");
    for (unsigned s = 1; s <= count; s++) {
        char *run = unit_text(out, s, NL_FILE_RUN);
        cr_expect(run && strstr(run, "\"status\": \"interrupted\""), "%s", run);
        free(run);
        cr_expect_null(unit_text(out, s, NL_FILE_CLAIM));
        cr_expect_null(unit_text(out, s, NL_FILE_PREDICTIONS));
    }
    expect_code(RUN_MANY(out, seeds, "2", join ? join : "--resume"), 0, NULL);
    expect_same_runs(whole, out, count);
}

static const char last_step[] = "\"event\":\"progress\",\"epoch\":0,\"step\":5,";
static const char one_epoch[] = "{\\\"epoch\\\":1,";
static const char epoch_record[] = "\"event\":\"epoch\"", final_record[] = "\"event\":\"final\"";

Test(eval_signal, in_the_test_behind_an_epoch) {
    stop_behind(NL_FILE_METRICS, last_step, epoch_record, "1", "1", NULL);
}

Test(eval_signal, in_two_tests_side_by_side) {
    stop_behind(NL_FILE_METRICS, last_step, epoch_record, "1-2", "2", NULL);
}

Test(eval_signal, in_runs_that_others_may_take) {
    stop_behind(NL_FILE_METRICS, last_step, epoch_record, "1-2", "2", "--join");
}

Test(eval_signal, in_the_last_pass) {
    stop_behind(NL_FILE_STATE, one_epoch, final_record, "1", "1", NULL);
}

/* ---- eval ------------------------------------------------------------------------------------- */

/* Whether the process has a handler of that signal. */
static bool catches(pid_t pid, int number) {
    char path[64], line[256];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "SigCgt: %llx", &mask);
    if (status) fclose(status);
    return mask >> (number - 1) & 1u;
}

static int count_files(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    cr_assert(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static void stop_eval(int number, int code, const char *last) {
    char results[256], logits[300];
    toy_path(results, "results");
    cr_assert(mkdir(results, 0777) == 0);
    snprintf(logits, sizeof logits, "%s/logits.csv", results);
    const char *const command[] = {NL_PROGRAM, "eval",   last,       "--data", toy_data, "--device",
                                   "cpu64",    "--json", "--logits", logits,   NULL};
    program p = program_start(command);
    for (int i = 0; i < 60000 && !catches(p.pid, number); i++) usleep(500);
    kill(p.pid, number);
    program_result r = program_wait(&p, 300);
    cr_expect_eq(r.code, code, "%d: %s", r.code, r.err);
    cr_expect(strstr(r.err, "last.safetensors: interrupted: no result\n"), "%s", r.err);
    cr_expect_str_eq(r.out, "");
    cr_expect_eq(count_files(results), 2, "only . and ..");
    program_free(&r);
    cr_assert(rmdir(results) == 0);
}

Test(eval_signal, in_eval) {
    char last[400];
    toy_cli.config.train.seed = 1;
    snprintf(last, sizeof last, "%s/toy/seed-1/last.safetensors", toy_cli.out);
    expect_code(TRAIN("--seeds", "1", "--limit-batches", "2"), 0, NULL);
    stop_eval(SIGINT, 130, last);
    stop_eval(SIGTERM, 143, last);
    stop_eval(SIGHUP, 129, last);
}
