/* Making folders: those that are missing, and what is in the way. */
#include <criterion/criterion.h>
#include <stdbool.h>  // bool
#include <stdio.h>    // snprintf
#include <string.h>   // strstr
#include <sys/stat.h> // stat
#include <unistd.h>   // chdir

#include "base/folder.h"
#include "support/idx_set.h" // temp_dir_make

static char *dir, path[512];
static nl_error err;

static void setup(void) {
    dir = temp_dir_make();
}

static void teardown(void) {
    temp_dir_remove(dir);
}

TestSuite(folder, .init = setup, .fini = teardown);

static const char *below(const char *name) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static bool is_folder(const char *name) {
    struct stat info;
    return stat(below(name), &info) == 0 && S_ISDIR(info.st_mode);
}

Test(folder, with_all_above_it) {
    cr_assert_eq(nl_folder_make(below("a/b/c"), &err), NL_OK, "%s: %s", err.where, err.what);
    cr_expect(is_folder("a/b/c"));
    cr_expect_eq(nl_folder_make(below("a/b/c"), &err), NL_OK, "it is there");
    cr_expect_eq(nl_folder_make(below("a//b/d/"), &err), NL_OK);
    cr_expect(is_folder("a/b/d"));
    cr_expect_eq(nl_folder_make("/", &err), NL_OK);
}

Test(folder, of_the_working_folder) {
    cr_assert(chdir(dir) == 0);
    cr_expect_eq(nl_folder_make("x/y", &err), NL_OK);
    cr_expect(is_folder("x/y"));
    cr_expect_eq(nl_folder_make("z", &err), NL_OK);
    cr_expect(is_folder("z"));
}

/* The error names the file, wherever in the path it is. */
Test(folder, a_file_is_in_the_way) {
    FILE *file = fopen(below("file"), "w");
    cr_assert(file && fclose(file) == 0);
    static const char *const names[] = {"file", "file/x/y"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(nl_folder_make(below(names[i]), &err), NL_EWRITE);
        cr_expect_str_eq(err.where, below("file"));
        cr_expect(strstr(err.hint, "move it away"), "%s", err.hint);
    }
    cr_expect_eq(nl_folder_make(below("file/x"), NULL), NL_EWRITE);
}

Test(folder, where_nothing_can_be_made) {
    cr_expect_eq(nl_folder_make("/proc/normlab/x", &err), NL_EWRITE);
    cr_expect_str_eq(err.where, "/proc/normlab");
    cr_expect_str_eq(err.hint, "", "the caller knows what to do");
}
