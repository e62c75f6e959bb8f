/* Reads predictions.csv: a header line, then image,label,prediction,probability. The file is taken
 * whole or, with a warning, not at all: half a test set would make wrong comparisons.
 */
#include <errno.h>    // errno
#include <inttypes.h> // SCNu32
#include <stdio.h>    // getline
#include <stdlib.h>   // realloc
#include <string.h>   // strcmp

#include "normlab/model.h" // NL_CLASSES

#include "runs.h"

static const char header[] = "image,label,prediction,probability";

/* Images come in rising order, so that two runs can be compared line by line. */
static bool parse(nl_guess *guess, const char *line, const nl_guess *before) {
    unsigned label, prediction;
    int end = 0;
    if (sscanf(line, "%" SCNu32 ",%u,%u,%lf%n", &guess->image, &label, &prediction,
               &guess->probability, &end) != 4)
        return false;
    if (line[end + (int)strspn(line + end, "\r\n")] != '\0') return false;
    if (label >= NL_CLASSES || prediction >= NL_CLASSES) return false;
    if (!(guess->probability >= 0 && guess->probability <= 1)) return false;
    guess->label = (uint8_t)label;
    guess->prediction = (uint8_t)prediction;
    return !before || guess->image > before->image;
}

/* Returns the number of the first bad line, 0 if there is none. */
static int read_lines(nl_seed_run *run, FILE *file) {
    char *line = NULL;
    size_t room = 0, capacity = 0;
    int number = 1, bad = 0;
    if (getline(&line, &room, file) < 0 || strncmp(line, header, sizeof header - 1) != 0) bad = 1;
    while (!bad && getline(&line, &room, file) >= 0) {
        number++;
        if (run->n_guesses == capacity) {
            capacity = capacity ? 2 * capacity : 16384;
            run->guesses = realloc(run->guesses, capacity * sizeof *run->guesses);
            NL_ASSERT(run->guesses);
        }
        const nl_guess *before = run->n_guesses ? &run->guesses[run->n_guesses - 1] : NULL;
        if (!parse(&run->guesses[run->n_guesses], line, before)) bad = number;
        run->n_guesses++;
    }
    free(line);
    return bad;
}

void nl_seed_run_read_guesses(nl_seed_run *run, const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        if (errno != ENOENT) nl_warn(path, "cannot open: %s", strerror(errno));
        return;
    }
    const int bad = read_lines(run, file);
    fclose(file);
    if (!bad) return;
    nl_warn(path, "line %d is no prediction; the run's images are left out", bad);
    free(run->guesses);
    run->guesses = NULL;
    run->n_guesses = 0;
}
