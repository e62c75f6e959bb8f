/* --device on the command line, on a machine with a GPU and on one without: cuda without one ends
 * with exit 4 and a line that tells why, auto says it in one line and trains on the CPU.
 */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // setenv
#include <string.h> // strstr

#include "support/idx_set.h"
#include "support/program.h"

static char *dir; /* of data, and of what the program writes */

static void set_up(void) {
    dir = temp_dir_make();
    idx_set_write(dir, 20, 10, false);
    setenv("XDG_CACHE_HOME", dir, 1);
}

static void tear_down(void) {
    temp_dir_remove(dir);
}

TestSuite(device, .init = set_up, .fini = tear_down);

static program_result train(const char *device) {
    char out[512];
    snprintf(out, sizeof out, "%s/runs", dir);
    return RUN_NORMLAB("train", NL_SOURCE_DIR "/configs/ln.yaml", "--device", device, "--data", dir,
                       "--out", out, "--epochs", "1", "--set", "data.batch=10", "--no-report",
                       "--quiet");
}

static int lines(const char *text) {
    int count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* Why CUDA cannot be used here; empty where it can. */
static void reason(char *text, size_t size) {
    program_result r = train("cuda");
    text[0] = '\0';
    if (r.code != 0) {
        cr_assert(r.code == 4, "exit %d: %s", r.code, r.err);
        const char *what = strchr(r.err + strlen("normlab: "), ':');
        cr_assert(!strncmp(r.err, "normlab: ", 9) && what, "%s", r.err);
        snprintf(text, size, "%.*s", (int)strcspn(what + 2, "\n"), what + 2);
    }
    program_free(&r);
}

Test(device, cuda_without_a_gpu_is_exit_4_and_tells_why) {
    program_result r = train("cuda");
    if (r.code == 0) cr_skip_test("this machine has a GPU");
    cr_assert(r.code == 4, "exit %d: %s", r.code, r.err);
    cr_assert(lines(r.err) == 2, "one line and a hint: %s", r.err);
    cr_assert(strstr(r.err, "hint: "), "%s", r.err);
#ifdef NORMLAB_WITH_CUDA
    cr_assert(strstr(r.err, "CUDA 1") || strstr(r.err, "cuDNN"), "names versions: %s", r.err);
#else
    cr_assert(strstr(r.err, "built without CUDA"), "%s", r.err);
#endif
    program_free(&r);
}

Test(device, auto_without_a_gpu_says_so_in_one_line_and_trains) {
    char why[512];
    reason(why, sizeof why);
    if (!why[0]) cr_skip_test("this machine has a GPU");
    program_result r = train("auto");
    cr_assert(r.code == 0, "exit %d: %s", r.code, r.err);
    cr_assert(lines(r.err) == 1 && strstr(r.err, why) && strstr(r.err, "CPU"), "%s", r.err);
    program_free(&r);
}

Test(device, cpu_says_nothing_of_gpus) {
    program_result r = train("cpu");
    cr_assert(r.code == 0 && r.err[0] == '\0', "exit %d: %s", r.code, r.err);
    program_free(&r);
}

Test(device, a_name_that_is_none_is_a_usage_error) {
    static const char *const names[] = {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "CPU"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        program_result r = train(names[i]);
        cr_assert(r.code == 2, "'%s': exit %d: %s", names[i], r.code, r.err);
        program_free(&r);
    }
}
