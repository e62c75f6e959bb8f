/* Tests of what is refused: the exit code of its kind and one line `normlab: WHERE: WHAT` that
 * names the place, with at most a hint behind it. */
#pragma once

#include <stdbool.h> // bool

#include "support/program.h" // program_run

/* One line of an error, or two where the second is a hint. */
bool one_clear_line(const char *err);

/* Runs argv for at most a minute. It must end with `code` and one clear line that contains `says`,
 * and no result. `what` names the case. */
void check_refusal(const char *what, int code, const char *says, const char *const argv[]);

/* The program under test with these arguments. */
#define REFUSE(what, code, says, ...)                                                              \
    check_refusal(what, code, says, (const char *const[]){NL_PROGRAM, __VA_ARGS__, NULL})

/* `normlab train` on the folders `data` and `out` in scope; `out` must not exist afterwards. */
#define REFUSE_TRAIN(what, code, says, ...)                                                        \
    do {                                                                                           \
        REFUSE(what, code, says, "train", "--data", data, "--out", out, "--epochs", "1",           \
               "--device", "cpu", __VA_ARGS__);                                                    \
        cr_expect(access(out, F_OK) != 0, "%s: wrote something", what);                            \
    } while (0)

/* DIR/NAME, into path and returned. */
enum { REFUSAL_PATH = 600 };
char *join(char path[REFUSAL_PATH], const char *dir, const char *name);
