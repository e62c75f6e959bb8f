/* Where shared libraries are looked for, in which order, and what is said of one that is not found.
 * The library is compiled here, once for each place; its function tells which place it is from. */
#include <criterion/criterion.h>
#include <dlfcn.h>  // dlsym
#include <stdio.h>  // snprintf
#include <stdlib.h> // setenv, system
#include <string.h> // strstr
#include <unistd.h> // chdir

#include "cuda/runtime/dynlib.h"
#include "support/idx_set.h" // temp_dir_make

#define NAME "libnlplace.so"
#define CACHE "cache/normlab/cuda-13.0/nvidia/"

static char *dir;

static void set_up(void) {
    char cache[512];
    dir = temp_dir_make();
    snprintf(cache, sizeof cache, "%s/cache", dir);
    setenv("XDG_CACHE_HOME", cache, 1);
    unsetenv("NORMLAB_LIBRARY_PATH");
}

static void tear_down(void) {
    temp_dir_remove(dir);
}

TestSuite(dynlib, .init = set_up, .fini = tear_down);

/* Compiles the library into a folder beneath `dir`; its function answers with `number`. */
static void make(const char *folder, int number) {
    char command[2048];
    snprintf(command, sizeof command,
             "mkdir -p '%s/%s' && echo 'int place(void); int place(void) { return %d; }' | "
             "cc -shared -fPIC -x c -o '%s/%s/" NAME "' -",
             dir, folder, number, dir, folder);
    cr_assert(system(command) == 0, "%s", command);
}

static void library_path(const char *folders) {
    char text[1024];
    snprintf(text, sizeof text, folders, dir, dir);
    setenv("NORMLAB_LIBRARY_PATH", text, 1);
}

/* The place that the library was opened at, or 0. */
static int opened(void) {
    static const char *const names[] = {"libnlnowhere.so", NAME, NULL};
    char path[NL_DYNLIB_PATH];
    void *library = nl_dynlib_open(names, path);
    if (!library) return 0;
    int (*place)(void);
    *(void **)&place = dlsym(library, "place");
    cr_assert(place, "%s", path);
    cr_assert(path[0] == '/' && strstr(path, "/" NAME), "tells where: %s", path);
    const int number = place();
    dlclose(library);
    return number;
}

Test(dynlib, the_cache_from_any_working_folder) {
    cr_assert(chdir("/") == 0);
    cr_expect_eq(opened(), 0);
    make(CACHE "cublas/lib", 1);
    cr_expect_eq(opened(), 1);
    make(CACHE "cu13/lib", 2);
    cr_expect_eq(opened(), 2);
    make(CACHE "cudnn/lib", 3);
    cr_expect_eq(opened(), 3);
}

Test(dynlib, the_users_folders_come_first_in_their_order) {
    make(CACHE "cudnn/lib", 1);
    make("b", 2);
    library_path("%s/a:%s/b");
    cr_expect_eq(opened(), 2);
    make("a", 3);
    cr_expect_eq(opened(), 3);
}

Test(dynlib, a_wheels_folder_stands_for_its_neighbours) {
    make("site/nvidia/cudnn/other", 0); /* the folder is there, the library is not in it */
    make("site/nvidia/cu13/lib", 1);
    make("site/nvidia/cudnn/lib/x", 0);
    library_path("%s/site/nvidia/cudnn/lib");
    cr_expect_eq(opened(), 1);
}

Test(dynlib, one_that_is_there_and_cannot_be_opened_is_told) {
    static const char *const names[] = {NAME, NULL};
    char path[NL_DYNLIB_PATH], file[512];
    nl_error err;
    cr_assert_null(nl_dynlib_open(names, path));
    cr_assert_eq(nl_dynlib_not_found(NAME, path, &err), NL_EDEVICE);
    cr_expect_str_eq(err.what, "not found on this machine");
    cr_expect(strstr(err.hint, "run.sh --cuda") && strstr(err.hint, "NORMLAB_LIBRARY_PATH"));

    make("a", 1);
    snprintf(file, sizeof file, "%s/a/" NAME, dir);
    FILE *library = fopen(file, "w");
    cr_assert(library && fputs("no library", library) >= 0 && fclose(library) == 0);
    library_path("%s/a:%s/b");
    cr_assert_null(nl_dynlib_open(names, path));
    nl_dynlib_not_found(NAME, path, &err);
    cr_expect(strstr(err.what, "cannot be opened: ") && strstr(err.what, NAME), "%s", err.what);
    make("b", 2);
    cr_expect_eq(opened(), 2, "a broken one does not hide a good one");
}
