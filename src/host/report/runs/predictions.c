/* Reads predictions.csv, or predictions.csv.gz where that is there alone: a header line, then
 * image,label,prediction,probability and, but in older files, loss. The file is taken whole or, with
 * a warning, not at all: half a test set would make wrong comparisons.
 */
#include <jansson.h> // json_integer_value
#include <math.h>    // NAN
#include <stdlib.h>  // realloc, strtod
#include <string.h>  // strncmp, strspn, memchr

#include "runs.h"
#include "data/data_file.h" // nl_data_file_open

enum { MOST = 1 << 28 }; /* bytes; a few million images */

static const char header[] = "image,label,prediction,probability";

/* The whole number at *at, followed by `end`; moves *at behind it. */
static bool whole(const char **at, char end, uint32_t most, uint32_t *value) {
    uint64_t number = 0;
    const char *digit = *at;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        number = number * 10 + (uint64_t)(*digit - '0');
        if (number > most) return false;
    }
    if (digit == *at || *digit != end) return false;
    *value = (uint32_t)number;
    *at = digit + 1;
    return true;
}

/* Digits with a point among them, as far as double arithmetic brings back what strtod would: a whole
 * number below 2^53 divided by a power of ten of 22 or less, both exact, is rounded once (Clinger,
 * How to read floating point numbers accurately, PLDI 1990). NULL: another kind of number. */
static const char *plain_decimal(const char *at, double *value) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t digits = 0;
    int behind = 0, e = 0;
    const char *first = at;
    for (; *at >= '0' && *at <= '9'; at++) digits = digits * 10 + (uint64_t)(*at - '0');
    if (at == first || at - first > 15) return NULL;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++, behind++)
            digits = digits * 10 + (uint64_t)(*at - '0');
    if (at - first > 16) return NULL; /* 15 digits and a point */
    if (*at == 'e' && at[1] == '-' && at[2] >= '0' && at[2] <= '9') {
        for (at += 2; *at >= '0' && *at <= '9' && e < 100; at++) e = e * 10 + (*at - '0');
    }
    if ((*at != ',' && *at != '\n' && *at != '\r' && *at != '\0') || behind + e > 22) return NULL;
    *value = (double)digits / tens[behind + e];
    return at;
}

/* The number at *at, from 0 to `most`; moves *at behind it. */
static bool real(const char **at, double most, double *value) {
    const char *behind = plain_decimal(*at, value);
    if (!behind) {
        char *rest;
        *value = strtod(*at, &rest);
        behind = rest;
    }
    if (behind == *at || !(*value >= 0 && *value <= most)) return false;
    *at = behind;
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

/* The whole file, with a NUL behind it; NULL with the reason where it cannot be read. */
static char *read_content(const char *path, size_t *size, nl_error *err) {
    nl_data_file *file;
    size_t room = 0, got = 1;
    char *text = NULL;
    int code = nl_data_file_open(&file, path, err);
    *size = 0;
    while (!code && got > 0) {
        if (*size + 1 >= room) {
            room = room ? 2 * room : 1 << 19;
            text = realloc(text, room);
            NL_NEED(text);
        }
        code = nl_data_file_read(file, text + *size, room - 1 - *size, &got, err);
        *size += got;
        if (!code && *size > MOST) code = nl_fail(err, NL_EDATA, path, "has no end");
    }
    nl_data_file_close(file);
    if (!code) return text[*size] = '\0', text;
    free(text);
    return NULL;
}

/* Ends the line at `at`; where the next one begins, or NULL where it has no end. */
static char *end_of_line(char *at, char *end) {
    char *newline = memchr(at, '\n', (size_t)(end - at));
    if (!newline) return NULL;
    *newline = '\0';
    return newline + 1;
}

/* Returns the number of the first bad line, 0 if there is none. */
static int read_lines(nl_seed_run *run, char *at, char *end) {
    const uint32_t classes = (uint32_t)run->config.data.picture.classes;
    size_t capacity = 0;
    int number = 1;
    char *next = end_of_line(at, end);
    if (!next || strncmp(at, header, sizeof header - 1) != 0) return number;
    while (next < end) {
        at = next;
        next = end_of_line(at, end);
        number++;
        if (!next) return number;
        if (run->n_guesses == capacity) {
            capacity = capacity ? 2 * capacity : 16384;
            run->guesses = realloc(run->guesses, capacity * sizeof *run->guesses);
            NL_NEED(run->guesses);
        }
        const nl_guess *before = run->n_guesses ? &run->guesses[run->n_guesses - 1] : NULL;
        if (!parse(&run->guesses[run->n_guesses], at, before, classes)) return number;
        run->n_guesses++;
    }
    return 0;
}

/* How many images the run was tested on, where its record tells that; else 0. */
static json_int_t tested(const nl_seed_run *run) {
    const json_t *options = json_object_get(run->info, "options");
    const json_t *data = json_object_get(run->info, "data");
    if (json_integer_value(json_object_get(options, "limit_batches")) > 0) return 0;
    return json_integer_value(json_object_get(data, "test"));
}

void nl_seed_run_read_guesses(nl_seed_run *run, const char *path) {
    nl_error err = {0};
    size_t size;
    if (!nl_data_file_exists(path)) return;
    char *text = read_content(path, &size, &err);
    if (!text) {
        nl_warn(err.where, "%s", err.what);
        return;
    }
    const int bad = read_lines(run, text, text + size);
    const json_int_t images = tested(run);
    free(text);
    if (bad)
        nl_warn(path, "line %d is no prediction; the run's images are left out", bad);
    else if (images && (json_int_t)run->n_guesses != images)
        nl_warn(path,
                "%zu predictions, but %" JSON_INTEGER_FORMAT
                " test images; the run's images are left out",
                (size_t)run->n_guesses, images);
    else
        return;
    free(run->guesses);
    run->guesses = NULL;
    run->n_guesses = 0;
}
