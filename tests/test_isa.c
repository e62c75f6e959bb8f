/* NORMLAB_ISA: the instruction set that the CPU engine computes with, as a user sees it. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // setenv, free
#include <string.h> // strstr
#include <unistd.h> // access

#include "cpu/fast/isa.h" // nl_isa_choose
#include "support/idx_set.h"
#include "support/isa.h" // TEST_IN_EACH_SET
#include "support/program.h"
#include "support/slurp.h"

static char *dir; /* of data, and of what the program writes */

static void set_up(void) {
    dir = temp_dir_make();
    idx_set_write(dir, 20, 10, false);
}

static void tear_down(void) {
    temp_dir_remove(dir);
}

TestSuite(isa, .init = set_up, .fini = tear_down);

static program_result train(const char *out) {
    return RUN_NORMLAB("train", NL_SOURCE_DIR "/configs/ln.yaml", "--device", "cpu", "--data", dir,
                       "--out", out, "--epochs", "1", "--set", "data.batch=10", "--no-report",
                       "--quiet");
}

static void expect_error(program_result r, int code, const char *what) {
    cr_expect(r.code == code, "exit %d: %s", r.code, r.err);
    cr_expect(strstr(r.err, "normlab: NORMLAB_ISA: ") == r.err, "%s", r.err);
    cr_expect(strstr(r.err, what) && strstr(r.err, "hint: "), "%s", r.err);
    program_free(&r);
}

/* Every command that computes with it says the same, and nothing is written. */
static void expect_errors(int code, const char *what) {
    char out[512];
    snprintf(out, sizeof out, "%s/runs", dir);
    expect_error(train(out), code, what);
    cr_expect(access(out, F_OK) != 0, "%s is there", out);
    expect_error(RUN_NORMLAB("verify", "--device", "cpu"), code, what);
    expect_error(RUN_NORMLAB("--version", "--verbose"), code, what);
}

Test(isa, no_instruction_set_is_exit_2) {
    static const char *const words[] = {"sse", "avx", "AVX2", "avx512 ", "avx5122"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char what[64];
        snprintf(what, sizeof what, "'%s' is no instruction set", words[i]);
        setenv("NORMLAB_ISA", words[i], 1);
        expect_errors(2, what);
    }
}

Test(isa, one_that_is_missing_is_exit_4) {
    if (__builtin_cpu_supports("avx512f")) cr_skip_test("this machine has avx512");
    setenv("NORMLAB_ISA", "avx512", 1);
    expect_errors(4, "this machine has no avx512");
}

Test(isa, the_widest_is_taken_by_itself) {
    nl_error err;
    const nl_simd *widest, *here;
    unsetenv("NORMLAB_ISA");
    cr_assert_eq(nl_isa_choose(&widest, &err), NL_OK);
    setenv("NORMLAB_ISA", "", 1);
    cr_assert_eq(nl_isa_choose(&here, &err), NL_OK);
    cr_assert_eq(here, widest);
    cr_assert_str_eq(widest->name, __builtin_cpu_supports("avx512f") ? "avx512" : "avx2");
}

/* The chosen one is named, and is what it is called: compiled for vectors of that many floats. */
static void is_named(void) {
    const char *name = getenv("NORMLAB_ISA");
    const int lanes = strcmp(name, "avx512") ? 8 : 16;
    char text[1024];
    cr_assert_eq(test_isa(name)->lanes, lanes);
    program_result r = RUN_NORMLAB("--version", "--verbose");
    snprintf(text, sizeof text, "with %s, %d floats at once\n", name, lanes);
    cr_expect(r.code == 0 && strstr(r.out, text), "exit %d: %s%s", r.code, r.out, r.err);
    program_free(&r);
    snprintf(text, sizeof text, "%s/runs-%s", dir, name);
    r = train(text);
    cr_assert(r.code == 0, "exit %d: %s", r.code, r.err);
    program_free(&r);
    snprintf(text, sizeof text, "%s/runs-%s/ln/seed-1/run.json", dir, name);
    size_t size;
    char *record = slurp(text, &size);
    snprintf(text, sizeof text, ", %s\"", name);
    cr_expect(strstr(record, text), "%s", record);
    free(record);
}

TEST_IN_EACH_SET(isa, is_named)
