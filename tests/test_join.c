/* Processes that share a study: each run is trained once, to the bits of one process alone, however
 * many of them are killed; one that stood still for too long finds its run taken and leaves it. */
#include <criterion/criterion.h>
#include <dirent.h>   // opendir
#include <signal.h>   // kill
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free, setenv
#include <string.h>   // strstr
#include <sys/stat.h> // stat
#include <sys/wait.h> // waitpid
#include <unistd.h>   // access, fork, usleep

#include "base/claim.h"
#include "normlab/run_files.h" // NL_FILE_RUN
#include "support/idx_set.h"   // temp_dir_make
#include "support/toy_cli.h"

static void open_toy(void) {
    toy_cli_open();
    setenv("NORMLAB_CLAIM_SECONDS", "0.6", 1);
}

TestSuite(join, .init = open_toy, .fini = toy_cli_close);

#define START(out, seeds, epochs, ...)                                                             \
    program_start((const char *const[]){NL_PROGRAM, "train", toy_yaml, "--data", toy_data,         \
                                        "--device", "cpu", "--threads", "1", "--out", out,         \
                                        "--seeds", seeds, "--epochs", epochs, __VA_ARGS__, NULL})

static const char *unit_file(char path[600], const char *out, unsigned seed, const char *file) {
    snprintf(path, 600, "%s/toy/seed-%u/%s", out, seed, file);
    return path;
}

static void wait_for(const char *path) {
    for (int i = 0; i < 20000 && access(path, F_OK) != 0; i++) usleep(1000);
    cr_assert(access(path, F_OK) == 0, "%s", path);
}

static void expect_same_weights(const char *a, const char *b, unsigned seeds) {
    char x[600], y[600];
    static const char *const files[] = {NL_FILE_INIT, NL_FILE_LAST, NL_FILE_BEST,
                                        NL_FILE_PREDICTIONS};
    for (unsigned s = 1; s <= seeds; s++)
        for (int i = 0; i < 4; i++) {
            program_result r =
                program_run((const char *const[]){"/usr/bin/cmp", unit_file(x, a, s, files[i]),
                                                  unit_file(y, b, s, files[i]), NULL},
                            60);
            cr_expect(r.code == 0, "%s%s", r.out, r.err);
            program_free(&r);
        }
}

/* Nothing of claims is left, and the record of the run holds each epoch and the end once. */
static void expect_trained_once(const char *out, unsigned seeds, int epochs) {
    for (unsigned s = 1; s <= seeds; s++) {
        char path[600], *line = NULL;
        int n_epochs = 0, n_finals = 0;
        size_t room = 0;
        FILE *file = fopen(unit_file(path, out, s, NL_FILE_METRICS), "r");
        cr_assert(file, "%s", path);
        while (getline(&line, &room, file) > 0) {
            n_epochs += strstr(line, "\"event\":\"epoch\"") != NULL;
            n_finals += strstr(line, "\"event\":\"final\"") != NULL;
        }
        free(line);
        fclose(file);
        cr_expect(n_epochs == epochs && n_finals == 1, "seed %u: %d, %d", s, n_epochs, n_finals);
        cr_expect(access(unit_file(path, out, s, NL_FILE_CLAIM), F_OK) != 0);
    }
}

/* How often the outputs say that this run was begun. */
static int begun(const program_result *r, int n, unsigned seed) {
    char text[64];
    int count = 0;
    snprintf(text, sizeof text, "toy, seed %u: run ", seed);
    for (int i = 0; i < n; i++)
        for (const char *at = r[i].out; (at = strstr(at, text)); at++) {
            const char *end = strstr(at, "finished before");
            count += !end || end > strchr(strchr(at, '\n') + 1, '\n');
        }
    return count;
}

Test(join, four_of_which_two_are_killed) {
    enum { PROCESSES = 4, SEEDS = 6, EPOCHS = 60 };
    char whole[256], shared[256], path[600];
    toy_path(whole, "whole");
    toy_path(shared, "not/yet/there");
    program one = START(whole, "1-6", "60", "--no-report");
    program p[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        p[i] = START(shared, "1-6", "60", "--join", "--jobs", i % 2 ? "1" : "2");
    wait_for(unit_file(path, shared, 1, NL_FILE_LAST));
    kill(p[0].pid, SIGKILL);
    kill(p[1].pid, SIGKILL);
    for (int i = 0; i < PROCESSES; i++) {
        program_result r = program_wait(&p[i], 120);
        cr_expect(r.code == (i < 2 ? -SIGKILL : 0), "%d: %d %s", i, r.code, r.err);
        program_free(&r);
    }
    expect_code(program_wait(&one, 120), 0, NULL);
    expect_trained_once(shared, SEEDS, EPOCHS);
    expect_same_weights(whole, shared, SEEDS);
    snprintf(path, sizeof path, "%s/" NL_REPORT_FOLDER "/" NL_REPORT_PAGE, shared);
    cr_expect(access(path, F_OK) == 0, "the report");
}

/* Every file of the unit with its size and time. */
static char *listing(const char *out, unsigned seed) {
    char path[600], *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    DIR *dir = opendir(unit_file(path, out, seed, ""));
    cr_assert(dir && to);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct stat info;
        if (entry->d_name[0] == '.' || stat(unit_file(path, out, seed, entry->d_name), &info) != 0)
            continue;
        fprintf(to, "%s %ld %ld.%09ld\n", entry->d_name, (long)info.st_size,
                (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    }
    closedir(dir);
    fclose(to);
    return text;
}

Test(join, one_that_stood_still_leaves_the_run_alone) {
    char whole[256], out[256], path[600];
    toy_path(whole, "whole");
    toy_path(out, "out");
    expect_code(RUN_NORMLAB("train", toy_yaml, "--data", toy_data, "--device", "cpu", "--threads",
                            "1", "--out", whole, "--seeds", "1", "--epochs", "300", "--no-report"),
                0, NULL);
    program stopped = START(out, "1", "300", "--join", "--no-report");
    wait_for(unit_file(path, out, 1, NL_FILE_LAST));
    kill(stopped.pid, SIGSTOP);
    program heir = START(out, "1", "300", "--join", "--no-report");
    program_result r = program_wait(&heir, 120);
    cr_expect(r.code == 0, "%d %s", r.code, r.err);
    cr_expect(begun(&r, 1, 1) == 1, "%s", r.out);
    program_free(&r);
    char *before = listing(out, 1);
    kill(stopped.pid, SIGCONT);
    r = program_wait(&stopped, 120);
    cr_expect(r.code == 0, "%d %s", r.code, r.err);
    cr_expect(strstr(r.err, "another process has taken this run over"), "%s", r.err);
    program_free(&r);
    char *after = listing(out, 1);
    cr_expect_str_eq(after, before, "wherever it stopped, it has touched nothing");
    free(before);
    free(after);
    expect_trained_once(out, 1, 300);
    expect_same_weights(whole, out, 1);
}

Test(join, a_living_owner_keeps_its_run) {
    enum { PROCESSES = 3 };
    program p[PROCESSES];
    program_result r[PROCESSES];
    setenv("NORMLAB_CLAIM_SECONDS", "0.3", 1);
    for (int i = 0; i < PROCESSES; i++) /* its training takes many times that long */
        p[i] = START(toy_cli.out, "1", "400", "--join", "--no-report");
    for (int i = 0; i < PROCESSES; i++) {
        r[i] = program_wait(&p[i], 120);
        cr_expect(r[i].code == 0, "%d %s", r[i].code, r[i].err);
    }
    cr_expect(begun(r, PROCESSES, 1) == 1, "%d: %s%s", begun(r, PROCESSES, 1), r[0].out, r[1].out);
    for (int i = 0; i < PROCESSES; i++) program_free(&r[i]);
}

Test(join, two_race_for_one_run) {
    for (int round = 0; round < 12; round++) {
        char out[256], name[32];
        program p[2];
        program_result r[2];
        snprintf(name, sizeof name, "race-%d", round);
        toy_path(out, name);
        for (int i = 0; i < 2; i++) p[i] = START(out, "1", "1", "--join", "--no-report");
        for (int i = 0; i < 2; i++) {
            r[i] = program_wait(&p[i], 120);
            cr_expect(r[i].code == 0, "%d %s", r[i].code, r[i].err);
        }
        cr_expect(begun(r, 2, 1) == 1, "%s%s", r[0].out, r[1].out);
        expect_trained_once(out, 1, 1);
        for (int i = 0; i < 2; i++) program_free(&r[i]);
    }
}

Test(join, a_signal_gives_the_runs_back) {
    char path[600];
    program p = START(toy_cli.out, "1-3", "200", "--join", "--jobs", "2", "--no-report");
    wait_for(unit_file(path, toy_cli.out, 2, NL_FILE_LAST));
    kill(p.pid, SIGTERM);
    expect_code(program_wait(&p, 120), 143, "--resume goes on");
    cr_expect(access(unit_file(path, toy_cli.out, 1, NL_FILE_CLAIM), F_OK) != 0);
    cr_expect(access(unit_file(path, toy_cli.out, 2, NL_FILE_CLAIM), F_OK) != 0);
    p = START(toy_cli.out, "1-3", "200", "--join", "--no-report");
    expect_code(program_wait(&p, 120), 0, NULL);
    expect_trained_once(toy_cli.out, 3, 200);
}

Test(join, a_run_that_diverged_is_not_tried_again) {
    expect_code(TRAIN("--join", "--set", "train.lr=1e30"), 5, "not finite");
    program_result r = TRAIN("--join", "--set", "train.lr=1e30");
    cr_expect(r.code == 0 && strstr(r.out, "failed before"), "%d %s%s", r.code, r.out, r.err);
    program_free(&r);
}

Test(join, wrong_uses) {
    expect_code(TRAIN("--join", "--overwrite"), 2, "--overwrite");
    expect_code(RUN_NORMLAB("train", toy_yaml, "--join"), 2, "--out");
    setenv("NORMLAB_CLAIM_SECONDS", "0", 1);
    expect_code(TRAIN("--join"), 2, "NORMLAB_CLAIM_SECONDS");
}

/* ---- the claim ---- */

/* An heir that is patient waits as long as the owner shows a heartbeat. */
Test(join, an_heir_waits) {
    char *dir = temp_dir_make(), path[600];
    nl_claim owner, heir;
    nl_claim_watch watch = {0};
    nl_error err;
    cr_assert(nl_claim_read_patience(&err) == NL_OK && nl_claim_patience() == 0.6);
    cr_assert(nl_claim_take(&owner, dir, NULL, &err) == NL_OK, "%s", err.what);
    for (int i = 0; i < 15; i++) { /* it lives */
        cr_expect(nl_claim_take(&heir, dir, &watch, &err) == NL_EUSAGE);
        usleep(100000);
    }
    cr_expect_not(nl_claim_is_lost(&owner));
    snprintf(path, sizeof path, "%s/.claim.%s", dir, owner.id);
    cr_expect(access(path, F_OK) != 0);
    nl_claim_release(&owner, dir);
    cr_expect(nl_claim_take(&heir, dir, &watch, &err) == NL_OK, "given back: taken at once");
    nl_claim_release(&heir, dir);
    temp_dir_remove(dir);
}

/* Stopped for too long, it is given up, and giving back what it lost does not touch the heir's. */
Test(join, an_owner_that_was_stopped_has_lost) {
    char *dir = temp_dir_make();
    nl_claim heir, third;
    nl_claim_watch watch = {0};
    nl_error err;
    int status, code = NL_EUSAGE;
    cr_assert(nl_claim_read_patience(&err) == NL_OK);
    const pid_t child = fork();
    if (child == 0) {
        nl_claim owner;
        if (nl_claim_take(&owner, dir, NULL, NULL) != NL_OK || nl_claim_is_lost(&owner)) _exit(1);
        raise(SIGSTOP);
        const bool lost = nl_claim_is_lost(&owner);
        nl_claim_release(&owner, dir);
        _exit(lost ? 0 : 2);
    }
    cr_assert(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    for (int i = 0; i < 1000 && code == NL_EUSAGE; i++, usleep(10000))
        code = nl_claim_take(&heir, dir, &watch, &err);
    cr_assert(code == NL_OK, "%s", err.what);
    kill(child, SIGCONT);
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", WEXITSTATUS(status));
    cr_expect_not(nl_claim_is_lost(&heir));
    cr_expect(nl_claim_take(&third, dir, NULL, &err) == NL_EUSAGE);
    nl_claim_release(&heir, dir);
    cr_expect(nl_claim_take(&third, dir, NULL, &err) == NL_OK);
    nl_claim_release(&third, dir);
    temp_dir_remove(dir);
}
