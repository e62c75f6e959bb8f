/* The folder of a run: what counts as there, the lock, what --overwrite removes. */
#include <criterion/criterion.h>
#include <fcntl.h>        // open
#include <stdio.h>        // snprintf
#include <stdlib.h>       // free
#include <string.h>       // memset
#include <sys/stat.h>     // mkdir
#include <unistd.h>       // access
#include <sys/resource.h> // setrlimit

#include "train/run_folder.h"
#include "support/idx_set.h" // temp_dir_make

static void touch(const nl_unit *unit, const char *file) {
    char path[NL_PATH_SIZE];
    const int fd = open(nl_unit_file(unit, path, file), O_WRONLY | O_CREAT, 0666);
    cr_assert(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

static bool there(const nl_unit *unit, const char *file) {
    char path[NL_PATH_SIZE];
    return access(nl_unit_file(unit, path, file), F_OK) == 0;
}

static char *open_unit(nl_unit *unit) {
    char *dir = temp_dir_make(), out[256];
    snprintf(out, sizeof out, "%s/a/b", dir);
    cr_assert(nl_unit_init(unit, out, "gn", 7, NULL) == NL_OK);
    return dir;
}

Test(run_folder, path_and_life) {
    nl_unit unit;
    nl_error err;
    char *dir = open_unit(&unit);
    cr_expect(strstr(unit.folder, "/a/b/gn/seed-7"));
    cr_expect(nl_unit_check(&unit, false, &err) == NL_OK);
    cr_expect(access(unit.folder, F_OK) != 0, "a check creates nothing");

    cr_assert(nl_unit_enter(&unit, false, NULL, &err) == NL_OK, "%s", err.what);
    nl_unit_leave(&unit);
    cr_expect(nl_unit_check(&unit, false, &err) == NL_OK, "a lock alone is no run");
    touch(&unit, "run.json");
    cr_expect(nl_unit_check(&unit, false, &err) == NL_EUSAGE);
    cr_expect(strstr(err.what, "already there") && strstr(err.hint, "--resume"));
    cr_expect(nl_unit_check(&unit, true, &err) == NL_OK);
    cr_expect(nl_unit_enter(&unit, false, NULL, &err) == NL_EUSAGE);
    cr_expect_not(unit.claim.held);
    temp_dir_remove(dir);
}

/* Who cannot look does not know. */
Test(run_folder, too_few_descriptors) {
    nl_unit unit;
    nl_error err;
    char *dir = open_unit(&unit);
    cr_assert(nl_unit_enter(&unit, false, NULL, &err) == NL_OK);
    nl_unit_leave(&unit);
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const struct rlimit none = {3, limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const int code = nl_unit_check(&unit, false, &err);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect(code == NL_EDATA && strstr(err.what, "Too many open files"), "%d: %s", code,
              err.what);
    temp_dir_remove(dir);
}

Test(run_folder, lock_keeps_a_second_one_off) {
    nl_unit unit, second;
    nl_error err;
    char *dir = open_unit(&unit);
    cr_assert(nl_unit_enter(&unit, false, NULL, &err) == NL_OK);
    second = unit;
    second.claim = (nl_claim){0};
    cr_expect(nl_unit_check(&second, true, &err) == NL_EUSAGE);
    cr_expect(strstr(err.what, "another process"));
    cr_expect(nl_unit_enter(&second, true, NULL, &err) == NL_EUSAGE);
    nl_unit_leave(&unit);
    cr_expect(nl_unit_enter(&second, true, NULL, &err) == NL_OK, "free again");
    nl_unit_leave(&second);
    temp_dir_remove(dir);
}

Test(run_folder, clear_removes_runs_only) {
    nl_unit unit;
    nl_error err;
    char *dir = open_unit(&unit);
    cr_assert(nl_unit_enter(&unit, false, NULL, &err) == NL_OK);
    touch(&unit, "run.json");
    touch(&unit, "last.safetensors");
    touch(&unit, "notes.txt");
    cr_expect(nl_unit_clear(&unit, &err) == NL_OK);
    cr_expect_not(there(&unit, "run.json") || there(&unit, "last.safetensors"));
    cr_expect(there(&unit, "notes.txt"), "a user's own file stays");
    nl_unit_leave(&unit);
    temp_dir_remove(dir);
}

/* The renaming of a process that lost the unit has to fail before the heir reads anything. */
Test(run_folder, entering_removes_what_was_not_renamed) {
    nl_unit unit;
    nl_error err;
    char *dir = open_unit(&unit);
    cr_assert(nl_unit_enter(&unit, false, NULL, &err) == NL_OK);
    nl_unit_leave(&unit);
    touch(&unit, "run.json");
    touch(&unit, "last.safetensors.0123abcd.tmp");
    cr_expect(nl_unit_enter(&unit, false, NULL, &err) == NL_EUSAGE);
    cr_expect(there(&unit, "last.safetensors.0123abcd.tmp"), "not entered: nothing is touched");
    cr_assert(nl_unit_enter(&unit, true, NULL, &err) == NL_OK);
    cr_expect_not(there(&unit, "last.safetensors.0123abcd.tmp"));
    cr_expect(there(&unit, "run.json"));
    nl_unit_leave(&unit);
    temp_dir_remove(dir);
}

Test(run_folder, paths_that_cannot_be) {
    nl_unit unit;
    nl_error err;
    char out[NL_PATH_SIZE + 1];
    memset(out, 'x', NL_PATH_SIZE);
    out[NL_PATH_SIZE] = '\0';
    cr_expect(nl_unit_init(&unit, out, "gn", 1, &err) == NL_EUSAGE);
    cr_expect(nl_unit_init(&unit, "", "gn", 1, &err) == NL_EUSAGE);

    char *dir = temp_dir_make(), file[256];
    snprintf(file, sizeof file, "%s/file", dir);
    const int fd = open(file, O_WRONLY | O_CREAT, 0666);
    cr_assert(fd >= 0 && close(fd) == 0);
    cr_assert(nl_unit_init(&unit, file, "gn", 1, &err) == NL_OK);
    cr_expect(nl_unit_check(&unit, false, &err) == NL_OK);
    cr_expect(nl_unit_enter(&unit, false, NULL, &err) == NL_EWRITE);
    cr_expect(strstr(err.where, "/file"), "%s", err.where);
    temp_dir_remove(dir);
}
