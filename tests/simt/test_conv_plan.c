/* How a run comes to its convolution plans, with a cuDNN that is played (played_cudnn.h). */
#include <criterion/criterion.h>
#include <stdio.h>    // snprintf
#include <stdlib.h>   // setenv, free
#include <string.h>   // strstr
#include <sys/wait.h> // waitpid
#include <unistd.h>   // unlink

#include <jansson.h> // the cache file

#include "cuda/conv/conv_plan.h"
#include "cuda/conv/conv_tune.h" // nl_conv_time
#include "cuda/conv/plan_cache.h"
#include "played_cudnn.h"
#include "support/idx_set.h" // temp_dir_make

static char *cache_dir;
static cudaStream_t streams[16]; /* of the test that runs */
static int n_streams;

static cudaStream_t make_stream(void) {
    cr_assert(cudaStreamCreateWithFlags(&streams[n_streams], cudaStreamNonBlocking) == cudaSuccess);
    return streams[n_streams++];
}

static nl_convs *open_convs(bool autotune, const char *plan) {
    nl_convs *convs;
    nl_error err = {0};
    const nl_convs_options options = {.streams = {make_stream(), make_stream()},
                                      .autotune = autotune,
                                      .device = "played",
                                      .plan = plan};
    cr_assert(nl_convs_open(&convs, &options, &err) == NL_OK, "%s", err.what);
    return convs;
}

static nl_conv_problem problem_of(int n) {
    return (nl_conv_problem){NL_CONV_FORWARD, {n, 2, 4, 4, 3, 3, 1}};
}

static int plan(nl_convs *convs, const char *const *tags, int n, nl_error *err) {
    int index;
    played_candidates = tags;
    *err = (nl_error){0};
    const int code = nl_convs_plan(&index, convs, problem_of(n), "conv1", err);
    cr_assert(code || index == n - 1);
    return code;
}

static bool chose(const nl_convs *convs, const char *tag) {
    json_t *plan = nl_convs_json(convs);
    char *text = json_dumps(plan, 0);
    json_decref(plan);
    const bool found = strstr(text, tag) != NULL;
    free(text);
    return found;
}

static void begin(void) {
    cache_dir = temp_dir_make();
    setenv("XDG_CACHE_HOME", cache_dir, 1);
}
static void end(void) {
    cr_assert(played_handles == 0);
    while (n_streams > 0) cudaStreamDestroy(streams[--n_streams]);
    temp_dir_remove(cache_dir);
}

TestSuite(conv_plan, .init = begin, .fini = end);

static int called;

static void call(void *argument) {
    *(int *)argument += 1;
}

static int queue_call(void *stream, nl_error *err) {
    (void)err;
    simt_submit(stream, call, &called);
    return NL_OK;
}

/* A device that waits for each launch would be measured with its idleness. */
Test(conv_plan, what_is_timed_is_queued_before_anybody_waits) {
    double seconds = -1;
    nl_error err = {0};
    const cudaStream_t stream = make_stream();
    simt_fail_at("cudaEventSynchronize", 0, cudaSuccess);
    cr_assert(nl_conv_time(&seconds, queue_call, stream, stream, &err) == NL_OK, "%s", err.what);
    cr_expect_eq(simt_calls(), 1);
    cr_expect(called == NL_CONV_TIME_CALLS && seconds >= 0);
    simt_fail_at(NULL, 0, cudaSuccess);
}

Test(conv_plan, workspaces_grow_as_often_as_it_takes) {
    enum { GROWTHS = 24 };
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    for (int i = 1; i <= GROWTHS; i++) {
        char tag[NL_TAG];
        snprintf(tag, sizeof tag, "good %d", (8 << 20) + i * 4);
        const char *const tags[] = {tag, NULL};
        cr_assert(plan(convs, tags, i, &err) == NL_OK, "%s", err.what);
    }
    for (int i = 0; i < GROWTHS; i++)
        cr_assert(!nl_convs_run(convs, i, i % NL_CONV_LANES, x, x, x, &err));
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

Test(conv_plan, any_number_of_problems_and_of_candidates) {
    enum { PROBLEMS = 1100, CANDIDATES = 100 };
    static char names[CANDIDATES][NL_TAG];
    const char *tags[CANDIDATES + 1] = {NULL};
    for (int i = 0; i < CANDIDATES; i++) {
        snprintf(names[i], NL_TAG, i < CANDIDATES - 1 ? "refused %d" : "good %d", i);
        tags[i] = names[i];
    }
    const char *const simple[] = {"good 0", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_OK, "%s", err.what);
    cr_assert(chose(convs, "good 99"));
    for (int i = 2; i <= PROBLEMS; i++) cr_assert(plan(convs, simple, i, &err) == NL_OK);
    nl_convs_close(convs);
}

Test(conv_plan, where_none_works_the_first_reason_is_told) {
    static const char *const tags[] = {"refused at first", "refused at last", NULL}, *none = NULL;
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "none of 2") && strstr(err.what, "refused at first here"), "%s",
              err.what);
    cr_assert(plan(convs, &none, 1, &err) == NL_EDEVICE && strstr(err.what, "names none"));
    nl_convs_close(convs);
}

Test(conv_plan, a_device_that_breaks_is_no_matter_of_plans) {
    static const char *const tags[] = {"breaks", "good 0", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "illegal memory access") && !strstr(err.what, "plans works"), "%s",
              err.what);
    nl_convs_close(convs);
}

Test(conv_plan, lack_of_memory_is_told_as_such) {
    static const char *const tags[] = {"good 100000000", "good 200000000", NULL};
    static const char *const small[] = {"good 100000000", "good 9000000", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    simt_memory(40 << 20);
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "out of GPU memory: 95.4 MiB wanted"), "%s", err.what);
    cr_assert(strstr(err.hint, "data.batch"), "%s", err.hint);
    cr_assert(plan(convs, small, 1, &err) == NL_OK && chose(convs, "good 9000000"), "%s", err.what);
    nl_convs_close(convs);
}

/* Both lanes at work at once, as in a step: neither takes the other's stream or workspace. */
Test(conv_plan, each_lane_has_a_stream_and_a_workspace) {
    static const char *const tags[] = {"good 64", NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    cr_assert(plan(convs, tags, 1, &err) == NL_OK && played_handles == NL_CONV_LANES);
    const int first = played_jobs_made;
    for (int i = 0; i < 4; i++)
        cr_assert(!nl_convs_run(convs, 0, i % NL_CONV_LANES, x, x, x, &err));
    for (int i = 0; i < 4; i++) {
        const played_job *j = &played_jobs[first + i];
        cr_assert(j->stream == streams[i % NL_CONV_LANES]);
        cr_assert((j->workspace == played_jobs[first].workspace) == (i % NL_CONV_LANES == 0));
    }
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

/* Room for one lane and not for the other: the lanes stay as they were. */
Test(conv_plan, a_workspace_that_fits_once_is_none) {
    static const char *const small[] = {"good 9000000", NULL}, *const large[] = {"good 30000000",
                                                                                 NULL};
    nl_convs *convs = open_convs(false, NULL);
    nl_error err;
    float *x;
    cr_assert(cudaMalloc((void **)&x, 1 << 20) == cudaSuccess);
    simt_memory(60 << 20);
    cr_assert(plan(convs, small, 1, &err) == NL_OK);
    cr_assert(plan(convs, large, 2, &err) == NL_EDEVICE);
    cr_assert(plan(convs, small, 2, &err) == NL_OK);
    for (int lane = 0; lane < NL_CONV_LANES; lane++)
        cr_assert(!nl_convs_run(convs, 1, lane, x, x, x, &err));
    cr_assert(cudaDeviceSynchronize() == cudaSuccess);
    nl_convs_close(convs);
    cudaFree(x);
}

/* Whatever a plan comes from, it has been run inside a graph before a run relies on it. */
Test(conv_plan, a_plan_that_cannot_be_captured_is_none) {
    static const char *const tags[] = {"live", "good 16", NULL};
    static const char key[] = "forward n1 c2 h4 w4 o3 k3 p1 fp32";
    nl_error err;
    for (int autotune = 0; autotune < 2; autotune++) {
        json_t *choices = json_pack("{s:s}", key, "live");
        nl_plan_cache_store("played, cuDNN 9, cuBLAS none", choices);
        json_decref(choices);
        nl_convs *convs = open_convs(autotune, NULL);
        cr_assert(plan(convs, tags, 1, &err) == NL_OK && chose(convs, "good 16"), "%s", err.what);
        nl_convs_close(convs);
    }
    char given[256], tag[NL_TAG];
    cr_assert(nl_plan_cache_find(tag, sizeof tag, "played, cuDNN 9, cuBLAS none", key));
    cr_assert(!strcmp(tag, "good 16"), "the cache has the new choice: %s", tag);
    snprintf(given, sizeof given, "{\"plans\": {\"%s\": \"live\"}}", key);
    nl_convs *convs = open_convs(true, given);
    cr_assert(plan(convs, tags, 1, &err) == NL_EDEVICE);
    cr_assert(strstr(err.what, "not while capturing") && strstr(err.hint, "resume it where"), "%s",
              err.what);
    nl_convs_close(convs);
}

/* Of another device, of another version, or of no plan that there is: chosen anew, and kept. */
Test(conv_plan, a_stale_or_foreign_cache_is_ignored) {
    static const char *const tags[] = {"good 16", NULL};
    static const char key[] = "forward n1 c2 h4 w4 o3 k3 p1 fp32";
    static const char *const devices[] = {"another", "played, cuDNN 8, cuBLAS none",
                                          "played, cuDNN 9, cuBLAS none"};
    char tag[NL_TAG];
    nl_error err;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        json_t *choices = json_pack("{s:s}", key, "refused: no such plan");
        nl_plan_cache_store(devices[i], choices);
        json_decref(choices);
    }
    nl_convs *convs = open_convs(true, NULL);
    cr_assert(plan(convs, tags, 1, &err) == NL_OK && chose(convs, "good 16"), "%s", err.what);
    nl_convs_close(convs);
    cr_assert(nl_plan_cache_find(tag, sizeof tag, devices[2], key) && !strcmp(tag, "good 16"));
    cr_assert(nl_plan_cache_find(tag, sizeof tag, devices[0], key) && strstr(tag, "refused"));
}

/* ---- calls of the runtime that fail ---- */

static int plan_one(bool autotune, char chosen[NL_TAG], nl_error *err) {
    static const char *const tags[] = {"good 16", "good 32", NULL};
    const cudaStream_t both[] = {streams[0], streams[1]};
    const nl_convs_options options = {
        .streams = {both[0], both[1]}, .autotune = autotune, .device = "played"};
    char cache[512];
    snprintf(cache, sizeof cache, "%s/normlab/conv-plans.json", cache_dir);
    unlink(cache); /* every time the candidates are tried */
    nl_convs *convs;
    int index, code = nl_convs_open(&convs, &options, err);
    if (code) return code;
    played_candidates = tags;
    played_jobs_made = 0;
    code = nl_convs_plan(&index, convs, problem_of(1), "conv1", err);
    snprintf(chosen, NL_TAG, "%s", chose(convs, "good 16") ? "good 16" : "good 32");
    nl_convs_close(convs);
    return code;
}

/* ---- the lock of the cache ---- */

/* Takes and leaves the lock, with standard error in a file. held: the parent's own, or -1. */
static pid_t start_waiting(const char *errors, int held) {
    fflush(stderr);
    const pid_t child = fork();
    if (child != 0) return child;
    if (!freopen(errors, "w", stderr) || setvbuf(stderr, NULL, _IONBF, 0)) _exit(2);
    nl_plan_cache_unlock(held); /* the copy, or it would stay locked */
    const int lock = nl_plan_cache_lock();
    nl_plan_cache_unlock(lock);
    fflush(stderr);
    _exit(lock >= 0 ? 0 : 1);
}

static char *said(const char *errors) {
    static char text[1024];
    FILE *file = fopen(errors, "r");
    const size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[size] = '\0';
    if (file) fclose(file);
    return text;
}

static void expect_end(pid_t child) {
    int status;
    cr_assert(waitpid(child, &status, 0) == child && WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

/* The other process is held until it has told that it waits. */
Test(conv_plan, who_waits_for_the_cache_is_told, .timeout = 60) {
    char errors[512];
    snprintf(errors, sizeof errors, "%s/errors", cache_dir);
    const int lock = nl_plan_cache_lock();
    cr_assert(lock >= 0);
    const pid_t child = start_waiting(errors, lock);
    while (!strchr(said(errors), '\n')) usleep(10000);
    nl_plan_cache_unlock(lock);
    expect_end(child);
    const char *text = said(errors), *line = strstr(text, "conv-plans.json.lock: warning: held by");
    cr_assert(line && strchr(line, '\n')[1] == '\0', "%s", text);
    expect_end(start_waiting(errors, -1));
    cr_assert_str_empty(said(errors));
}

/* A candidate during whose trial something fails drops out, and the other is taken; where nothing is
 * left that is told. Nothing stays behind. */
Test(conv_plan, each_call_of_the_runtime_fails_in_turn) {
    make_stream();
    make_stream();
    const int there = simt_alive();
    long calls[2] = {0}, told[2] = {0}, others = 0;
    for (int autotune = 0; autotune < 2; autotune++) {
        char tag[NL_TAG];
        nl_error err = {0};
        simt_fail_at(NULL, 0, cudaSuccess);
        cr_assert(plan_one(autotune, tag, &err) == NL_OK, "%s", err.what);
        calls[autotune] = simt_calls();
        for (long n = 1; n <= calls[autotune]; n++) {
            simt_fail_at(NULL, n, cudaErrorUnknown);
            const int code = plan_one(autotune, tag, &err);
            simt_fail_at(NULL, 0, cudaSuccess);
            cr_assert(code == NL_OK || (code == NL_EDEVICE && err.what[0]), "call %ld: %d", n,
                      code);
            told[autotune] += code != NL_OK;
            others += code == NL_OK && !strcmp(tag, "good 32");
            cr_assert_eq(simt_alive(), there, "call %ld: something stays behind", n);
        }
        cr_expect(told[autotune] > 0 && told[autotune] < calls[autotune]);
    }
    cr_expect(others > 0, "no candidate ever dropped out");
    printf(
        "simt: planning a convolution: %ld calls of the runtime, with timing %ld: failed in turn, "
        "%ld and %ld were told\n",
        calls[0], calls[1], told[0], told[1]);
    fflush(stdout);
}
