/* See toy_cli.h. */
#include "support/toy_cli.h"

#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr

#include "normlab/run_files.h" // NL_FILE_RUN

toy toy_cli;
char toy_yaml[256], toy_data[256];

void toy_cli_open(void) {
    toy_open(&toy_cli);
    snprintf(toy_yaml, sizeof toy_yaml, "%s/toy.yaml", toy_cli.dir);
    snprintf(toy_data, sizeof toy_data, "%s/data", toy_cli.dir);
}

void toy_cli_close(void) {
    toy_close(&toy_cli);
}

void expect_code(program_result r, int code, const char *said) {
    cr_expect(r.code == code, "code %d, not %d: %s", r.code, code, r.err);
    if (said) cr_expect(strstr(r.err, said), "'%s' is not in: %s", said, r.err);
    program_free(&r);
}

char *unit_content(const char *out, const char *file) {
    size_t size = 0;
    char *text = toy_read(&toy_cli, out, file, &size);
    cr_assert(text, "%s/%s is missing", out, file);
    return text;
}

bool unit_has(const char *out, const char *file) {
    size_t size = 0;
    char *text = toy_read(&toy_cli, out, file, &size);
    const bool there = text != NULL;
    free(text);
    return there;
}

void expect_status(const char *status) {
    char *text = unit_content(toy_cli.out, NL_FILE_RUN), line[64];
    snprintf(line, sizeof line, "\"status\": \"%s\"", status);
    cr_expect(strstr(text, line), "not %s: %s", status, text);
    free(text);
}

const char *toy_path(char text[256], const char *name) {
    snprintf(text, 256, "%s/%s", toy_cli.dir, name);
    return text;
}
