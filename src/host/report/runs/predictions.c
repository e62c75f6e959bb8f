/* Reads predictions.csv: a header line, then image,label,prediction,probability and, but in older
 * files, loss. The file is taken whole or, with a warning, not at all: half a test set would make
 * wrong comparisons.
 */
#include <errno.h>  // errno
#include <math.h>   // NAN
#include <stdio.h>  // getline
#include <stdlib.h> // realloc, strtod
#include <string.h> // strspn

#include "runs.h"
#include "base/regular.h" // nl_regular_open

static const char header[] = "image,label,prediction,probability";

/* The whole number at *at, followed by `end`; moves *at behind it. */
static bool whole(const char **at, char end, uint32_t most, uint32_t *value) {
    char *rest;
    if (**at < '0' || **at > '9') return false;
    errno = 0;
    const unsigned long long number = strtoull(*at, &rest, 10);
    if (errno || number > most || *rest != end) return false;
    *value = (uint32_t)number;
    *at = rest + 1;
    return true;
}

/* The number at *at, from 0 to `most`; moves *at behind it. */
static bool real(const char **at, double most, double *value) {
    char *rest;
    *value = strtod(*at, &rest);
    if (rest == *at || !(*value >= 0 && *value <= most)) return false;
    *at = rest;
    return true;
}

/* Images come in rising order, so that two runs can be compared line by line. */
static bool parse(nl_guess *guess, const char *line, const nl_guess *before, uint32_t classes) {
    uint32_t label, prediction;
    guess->loss = NAN;
    if (!whole(&line, ',', UINT32_MAX, &guess->image)) return false;
    if (!whole(&line, ',', classes - 1, &label)) return false;
    if (!whole(&line, ',', classes - 1, &prediction)) return false;
    if (!real(&line, 1, &guess->probability)) return false;
    if (*line == ',' && (line++, !real(&line, INFINITY, &guess->loss))) return false;
    if (line[strspn(line, "\r\n")] != '\0') return false;
    guess->label = (uint8_t)label;
    guess->prediction = (uint8_t)prediction;
    return !before || guess->image > before->image;
}

/* Returns the number of the first bad line, 0 if there is none. */
static int read_lines(nl_seed_run *run, FILE *file) {
    char *line = NULL;
    size_t room = 0, capacity = 0;
    const uint32_t classes = (uint32_t)run->config.data.picture.classes;
    int number = 1, bad = 0;
    if (getline(&line, &room, file) < 0 || strncmp(line, header, sizeof header - 1) != 0) bad = 1;
    while (!bad && getline(&line, &room, file) >= 0) {
        number++;
        if (run->n_guesses == capacity) {
            capacity = capacity ? 2 * capacity : 16384;
            run->guesses = realloc(run->guesses, capacity * sizeof *run->guesses);
            NL_NEED(run->guesses);
        }
        const nl_guess *before = run->n_guesses ? &run->guesses[run->n_guesses - 1] : NULL;
        if (!parse(&run->guesses[run->n_guesses], line, before, classes)) bad = number;
        run->n_guesses++;
    }
    free(line);
    return bad;
}

void nl_seed_run_read_guesses(nl_seed_run *run, const char *path) {
    char reason[NL_REASON];
    FILE *file = nl_regular_open(path, reason);
    if (!file) {
        if (errno != ENOENT) nl_warn(path, "cannot open: %s", reason);
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
