/* Reads metrics.jsonl: curves, layers and final figures of one run. A broken line, half a line at
 * the end, or a null (a loss that is not finite) spoils nothing else.
 */
#include "runs.h"

#include <math.h>   // NAN
#include <stdlib.h> // realloc
#include <string.h> // strcmp

#include "train/metrics.h" // nl_metrics_read

enum { MAX_EPOCH = 1000000 };
static const char label_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_"; /* of a layer */

/* What a figure cannot be is NaN: a loss, a deviation or a time below 0, an accuracy above 100. */
static double up_to(double most, double value) {
    return value >= 0 && value <= most ? value : NAN;
}

static double amount(double value) {
    return up_to(INFINITY, value);
}

static nl_point point_of(const nl_metrics_record *r) {
    return (nl_point){.epoch = (int)r->epoch,
                      .lr = amount(r->lr),
                      .train_loss = amount(r->figures.train_loss),
                      .train_accuracy = up_to(100, r->figures.train_accuracy),
                      .test_loss = amount(r->figures.test_loss),
                      .test_accuracy = up_to(100, r->figures.test_accuracy),
                      .seconds = amount(r->seconds),
                      .images_per_second = amount(r->images_per_second)};
}

/* A resumed run may have written an epoch twice: the later record is the one it went on from. */
static void add_point(nl_seed_run *run, nl_point point) {
    int i = 0;
    while (i < run->n_points && run->points[i].epoch < point.epoch) i++;
    if (i == run->n_points || run->points[i].epoch != point.epoch) {
        const size_t bytes = ((size_t)run->n_points + 1) * sizeof *run->points;
        nl_point *grown = realloc(run->points, bytes);
        NL_NEED(grown);
        memmove(grown + i + 1, grown + i, (size_t)(run->n_points - i) * sizeof *grown);
        run->points = grown;
        run->n_points++;
    }
    run->points[i] = point;
}

/* Steps rise, but for those that a resumed run has trained again. False: a step that is none. */
static bool add_piece(nl_seed_run *run, const nl_metrics_record *r) {
    const nl_piece piece = {(int)r->epoch, r->step, amount(r->loss), up_to(100, r->accuracy)};
    if (piece.step < 0) return false;
    while (run->n_pieces > 0 && run->pieces[run->n_pieces - 1].step >= piece.step) run->n_pieces--;
    if ((run->n_pieces & (run->n_pieces - 1)) == 0) { /* room for a power of two */
        const size_t room = run->n_pieces ? 2 * (size_t)run->n_pieces : 1;
        run->pieces = realloc(run->pieces, room * sizeof *run->pieces);
        NL_NEED(run->pieces);
    }
    run->pieces[run->n_pieces++] = piece;
    return true;
}

/* False: a label that no layer has. */
static bool add_layer(nl_seed_run *run, const nl_metrics_record *r) {
    nl_layer_point p = {.epoch = (int)r->epoch,
                        .z_sd = amount(r->z.sd),
                        .dy_sd = amount(r->dy.sd),
                        .zero = up_to(1, r->zero),
                        .dead = up_to(1, r->dead)};
    if (!r->layer[0] || r->layer[strspn(r->layer, label_letters)]) return false;
    strcpy(p.label, r->layer);
    int i = 0;
    while (i < run->n_layers &&
           (run->layers[i].epoch != p.epoch || strcmp(run->layers[i].label, p.label) != 0))
        i++;
    if (i == run->n_layers) {
        run->layers = realloc(run->layers, ((size_t)i + 1) * sizeof *run->layers);
        NL_NEED(run->layers);
        run->n_layers++;
    }
    run->layers[i] = p;
    return true;
}

/* False: not a record. */
static bool take_record(void *to, const nl_metrics_record *r) {
    nl_seed_run *run = to;
    if (r->epoch < (r->event == NL_EVENT_LAYER ? -1 : 0) || r->epoch > MAX_EPOCH) return false;
    switch (r->event) {
    case NL_EVENT_PROGRESS:
        return add_piece(run, r);
    case NL_EVENT_LAYER:
        return add_layer(run, r);
    case NL_EVENT_EPOCH:
        add_point(run, point_of(r));
        break;
    case NL_EVENT_FINAL:
        run->final = point_of(r);
        run->finished = true;
        break;
    case NL_EVENT_STEP:
    case NL_EVENTS:
        break;
    }
    return true;
}

void nl_seed_run_read_metrics(nl_seed_run *run, const char *path) {
    nl_metrics_read(path, take_record, run);
}
