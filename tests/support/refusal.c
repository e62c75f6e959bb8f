/* What every refusal has in common; see refusal.h. */
#include "support/refusal.h"

#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <string.h> // strstr

char *join(char path[REFUSAL_PATH], const char *dir, const char *name) {
    snprintf(path, REFUSAL_PATH, "%s/%s", dir, name);
    return path;
}

bool one_clear_line(const char *err) {
    const char *line_end = strchr(err, '\n');
    if (strncmp(err, "normlab: ", 9) != 0 || !line_end) return false;
    const char *rest = line_end + 1;
    if (!*rest) return true;
    const char *rest_end = strchr(rest, '\n');
    return strncmp(rest, "         hint: ", 15) == 0 && rest_end && !rest_end[1];
}

void check_refusal(const char *what, int code, const char *says, const char *const argv[]) {
    program_result r = program_run(argv, 300);
    cr_expect(!r.timed_out, "%s: does not end", what);
    cr_expect(r.code == code, "%s: exit %d, must be %d: %s", what, r.code, code, r.err);
    cr_expect(one_clear_line(r.err), "%s: not one clear line: %s", what, r.err);
    cr_expect(strstr(r.err, says), "%s: does not say '%s': %s", what, says, r.err);
    cr_expect(!*r.out, "%s: spoke before it refused: %s", what, r.out);
    program_free(&r);
}
