/* golden.h */
#include "golden.h"

#include <stdio.h>  // fopen
#include <stdlib.h> // strtod
#include <string.h> // strncmp

#include "compare.h" // guarded_f64

static double *parse(const char *text, const char *name, int64_t count) {
    char *end;
    cr_assert_eq(strtoll(text, &end, 10), count, "golden tensor %s has another size", name);
    double *x = guarded_f64(count);
    for (int64_t i = 0; i < count; i++) {
        const char *start = end;
        x[i] = strtod(start, &end);
        cr_assert(end > start, "golden tensor %s ends early", name);
    }
    return x;
}

double *golden(const char *file, const char *name, int64_t count) {
    char path[1024];
    snprintf(path, sizeof path, NL_SOURCE_DIR "/tests/golden/%s", file);
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in, "cannot open %s", path);
    char *line = NULL;
    size_t size = 0;
    double *x = NULL;
    const size_t length = strlen(name);
    while (!x && getline(&line, &size, in) > 0)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            x = parse(line + length, name, count);
    free(line);
    fclose(in);
    cr_assert_not_null(x, "no tensor %s in %s", name, path);
    return x;
}
