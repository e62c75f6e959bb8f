/* Without --out each run gets a folder of its own, however many start in one second. */
#include <criterion/criterion.h>
#include <string.h> // strcmp
#include <time.h>   // time_t
#include <unistd.h> // chdir, access

#include "cli/train_options.h"
#include "support/idx_set.h" // temp_dir_make

/* In place of the C library's: the clock stands still. */
time_t time(time_t *now) {
    if (now) *now = 1700000000;
    return 1700000000;
}

Test(default_out, runs_of_one_second_are_kept_apart) {
    static const char *const names[] = {"runs/2023-11-14T22-13-20Z", "runs/2023-11-14T22-13-20Z-2",
                                        "runs/2023-11-14T22-13-20Z-3"};
    char *argv[] = {(char[]){"normlab train"}, (char[]){"x.yaml"}, NULL}, *dir = temp_dir_make();
    cr_assert(chdir(dir) == 0);
    for (int i = 0; i < 3; i++) {
        train_arguments a;
        cr_assert(train_arguments_parse(&a, 2, argv) == NL_OK, "%s", a.err.what);
        cr_expect(access(a.options.out, F_OK) != 0, "nothing is there before it is checked");
        cr_assert(train_arguments_make_out(&a) == NL_OK, "%s", a.err.what);
        cr_expect_str_eq(a.options.out, names[i]);
        cr_expect(access(names[i], F_OK) == 0);
        train_arguments_free(&a);
    }
    temp_dir_remove(dir);
}

Test(default_out, a_folder_of_the_user_is_left_alone) {
    char *argv[] = {(char[]){"normlab train"}, (char[]){"x.yaml"}, (char[]){"--out"},
                    (char[]){"mine"}, NULL},
         *dir = temp_dir_make();
    train_arguments a;
    cr_assert(chdir(dir) == 0);
    cr_assert(train_arguments_parse(&a, 4, argv) == NL_OK, "%s", a.err.what);
    cr_expect(train_arguments_make_out(&a) == NL_OK && access("mine", F_OK) != 0);
    cr_expect_str_eq(a.options.out, "mine");
    train_arguments_free(&a);
    temp_dir_remove(dir);
}

Test(default_out, a_folder_that_cannot_be_made) {
    char *argv[] = {(char[]){"normlab train"}, (char[]){"x.yaml"}, NULL}, *dir = temp_dir_make();
    cr_assert(chdir(dir) == 0);
    idx_set_save("runs", "x", 1, false); /* a file of that name */
    train_arguments a;
    cr_assert(train_arguments_parse(&a, 2, argv) == NL_OK);
    cr_expect(train_arguments_make_out(&a) == NL_EWRITE);
    cr_expect(strstr(a.err.hint, "--out"), "%s", a.err.hint);
    train_arguments_free(&a);
    temp_dir_remove(dir);
}
