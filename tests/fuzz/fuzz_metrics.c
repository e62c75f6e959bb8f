/* metrics.jsonl: as the report reads it, and all its records as a run would write them. */
#include "fuzz.h"

#include <math.h>   // isnan
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "report/runs/runs.h" // nl_seed_run_read_metrics
#include "train/metrics.h"    // nl_metrics_write

/* NaN: none was told. */
static bool within(double value, double least, double most) {
    return isnan(value) || (value >= least && value <= most);
}

static void check_point(const nl_point *p) {
    HOLDS(within(p->train_loss, 0, INFINITY) && within(p->test_loss, 0, INFINITY));
    HOLDS(within(p->train_accuracy, 0, 100) && within(p->test_accuracy, 0, 100));
    HOLDS(within(p->lr, 0, INFINITY) && within(p->seconds, 0, INFINITY));
    HOLDS(within(p->images_per_second, 0, INFINITY));
}

static void check_layer(const nl_seed_run *run, int i) {
    const nl_layer_point *p = &run->layers[i];
    HOLDS(p->epoch >= -1 && p->label[0] && memchr(p->label, '\0', sizeof p->label));
    HOLDS(within(p->z_sd, 0, INFINITY) && within(p->dy_sd, 0, INFINITY));
    HOLDS(within(p->zero, 0, 1) && within(p->dead, 0, 1));
    for (int k = 0; k < i; k++)
        HOLDS(run->layers[k].epoch != p->epoch || strcmp(run->layers[k].label, p->label) != 0);
}

static void check_run(const nl_seed_run *run) {
    for (int i = 0; i < run->n_points; i++) {
        check_point(&run->points[i]);
        HOLDS(run->points[i].epoch > (i ? run->points[i - 1].epoch : -1));
    }
    for (int i = 0; i < run->n_pieces; i++) {
        const nl_piece *p = &run->pieces[i];
        HOLDS(p->epoch >= 0 && p->step > (i ? run->pieces[i - 1].step : -1));
        HOLDS(within(p->loss, 0, INFINITY) && within(p->accuracy, 0, 100));
    }
    for (int i = 0; i < run->n_layers; i++) check_layer(run, i);
    if (run->finished) check_point(&run->final);
}

static bool write(void *to, const nl_metrics_record *record) {
    nl_error err;
    HOLDS(nl_metrics_write(to, record, &err) == NL_OK);
    return true;
}

/* Writes all records of a file; returns their text, which the caller frees. */
static char *write_again(const char *path) {
    char *text = NULL;
    size_t size = 0;
    nl_metrics metrics = {.file = open_memstream(&text, &size)};
    HOLDS(metrics.file);
    nl_metrics_read(path, write, &metrics);
    HOLDS(fclose(metrics.file) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nl_seed_run run = {0};
    nl_final final;
    const char *path = fuzz_file("metrics.jsonl", data, size);
    fuzz_hear();
    nl_seed_run_read_metrics(&run, path);
    check_run(&run);
    fuzz_count(run.n_points + run.n_pieces + run.n_layers > 0);
    if (nl_metrics_read_final(path, &final))
        HOLDS(isfinite(final.train_loss + final.train_accuracy) &&
              isfinite(final.test_loss + final.test_accuracy));
    /* What was written once is written the same: fewer digits of some, and no line is lost. */
    char *once = write_again(path);
    fuzz_heard();
    fuzz_hear();
    char *twice = write_again(fuzz_file("again.jsonl", once, strlen(once)));
    HOLDS(fuzz_heard() == 0 && strcmp(once, twice) == 0);
    free(once);
    free(twice);
    nl_seed_run_free(&run);
    return 0;
}
