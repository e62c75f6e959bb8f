/* Reads metrics.jsonl: curves, layers and final figures of one run. A broken line, half a line at
 * the end, or a null (a loss that is not finite) spoils nothing else.
 */
#include "runs.h"

#include <errno.h>  // errno
#include <math.h>   // NAN
#include <stdio.h>  // getline
#include <stdlib.h> // realloc
#include <string.h> // strcmp

#include <jansson.h> // json_loadb

enum { MAX_EPOCH = 1000000 };
static const char label_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_"; /* of a layer */

static double number(const json_t *record, const char *key) {
    const json_t *value = json_object_get(record, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A cross-entropy or an accuracy; what cannot be one is NaN. */
static double loss(const json_t *record, const char *key) {
    const double value = number(record, key);
    return value >= 0 ? value : NAN;
}

static double percent(const json_t *record, const char *key) {
    const double value = number(record, key);
    return value >= 0 && value <= 100 ? value : NAN;
}

static nl_point point_of(const json_t *record) {
    nl_point p = {.lr = number(record, "lr"),
                  .train_loss = loss(record, "train_loss"),
                  .train_accuracy = percent(record, "train_accuracy"),
                  .test_loss = loss(record, "test_loss"),
                  .test_accuracy = percent(record, "test_accuracy"),
                  .seconds = number(record, "seconds"),
                  .images_per_second = number(record, "images_per_second")};
    return p;
}

/* A resumed run may have written an epoch twice: the later record is the one it went on from. */
static void add_point(nl_seed_run *run, nl_point point) {
    int i = 0;
    while (i < run->n_points && run->points[i].epoch < point.epoch) i++;
    if (i == run->n_points || run->points[i].epoch != point.epoch) {
        const size_t bytes = ((size_t)run->n_points + 1) * sizeof *run->points;
        nl_point *grown = realloc(run->points, bytes);
        NL_ASSERT(grown);
        memmove(grown + i + 1, grown + i, (size_t)(run->n_points - i) * sizeof *grown);
        run->points = grown;
        run->n_points++;
    }
    run->points[i] = point;
}

/* False: not a record. Steps rise, but for those that a resumed run has trained again. */
static bool add_piece(nl_seed_run *run, const json_t *record) {
    const json_t *epoch = json_object_get(record, "epoch"), *step = json_object_get(record, "step");
    const json_int_t value = json_integer_value(epoch);
    if (!json_is_integer(epoch) || value < 0 || value > MAX_EPOCH || !json_is_integer(step))
        return false;
    const nl_piece piece = {(int)value, json_integer_value(step), number(record, "loss"),
                            number(record, "accuracy")};
    while (run->n_pieces > 0 && run->pieces[run->n_pieces - 1].step >= piece.step) run->n_pieces--;
    if ((run->n_pieces & (run->n_pieces - 1)) == 0) { /* room for a power of two */
        const size_t room = run->n_pieces ? 2 * (size_t)run->n_pieces : 1;
        run->pieces = realloc(run->pieces, room * sizeof *run->pieces);
        NL_ASSERT(run->pieces);
    }
    run->pieces[run->n_pieces++] = piece;
    return true;
}

/* False: not a record. */
static bool add_layer(nl_seed_run *run, const json_t *record) {
    const json_t *epoch = json_object_get(record, "epoch");
    const json_int_t value = json_integer_value(epoch);
    const char *label = json_string_value(json_object_get(record, "layer"));
    nl_layer_point p = {.epoch = (int)value,
                        .z_sd = number(record, "z_sd"),
                        .dy_sd = number(record, "dy_sd"),
                        .zero = number(record, "zero"),
                        .dead = number(record, "dead")};
    if (!label || !json_is_integer(epoch) || value < -1 || value > MAX_EPOCH) return false;
    if (!*label || strlen(label) >= sizeof p.label || label[strspn(label, label_letters)])
        return false;
    strcpy(p.label, label);
    int i = 0;
    while (i < run->n_layers &&
           (run->layers[i].epoch != p.epoch || strcmp(run->layers[i].label, label) != 0))
        i++;
    if (i == run->n_layers) {
        run->layers = realloc(run->layers, ((size_t)i + 1) * sizeof *run->layers);
        NL_ASSERT(run->layers);
        run->n_layers++;
    }
    run->layers[i] = p;
    return true;
}

/* False: not a record. */
static bool take_record(nl_seed_run *run, const json_t *record) {
    const char *event = json_string_value(json_object_get(record, "event"));
    if (!event) return false;
    if (strcmp(event, "final") == 0) {
        run->final = point_of(record);
        run->finished = true;
        return true;
    }
    if (strcmp(event, "progress") == 0) return add_piece(run, record);
    if (strcmp(event, "layer") == 0) return add_layer(run, record);
    if (strcmp(event, "epoch") != 0) return true; /* a step, or something newer than this */
    const json_t *epoch = json_object_get(record, "epoch");
    const json_int_t value = json_integer_value(epoch);
    if (!json_is_integer(epoch) || value < 0 || value > MAX_EPOCH) return false;
    nl_point point = point_of(record);
    point.epoch = (int)value;
    add_point(run, point);
    return true;
}

void nl_seed_run_read_metrics(nl_seed_run *run, const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        if (errno != ENOENT) nl_warn(path, "cannot open: %s", strerror(errno));
        return;
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    for (int number = 1; (length = getline(&line, &room, file)) >= 0; number++) {
        if (strspn(line, " \t\r\n") == (size_t)length) continue;
        json_error_t error;
        json_t *record = json_loadb(line, (size_t)length, 0, &error);
        if (!record || !take_record(run, record))
            nl_warn(path, "line %d is no record and is left out", number);
        json_decref(record);
    }
    if (ferror(file)) nl_warn(path, "cannot read: %s", strerror(errno));
    free(line);
    fclose(file);
}
