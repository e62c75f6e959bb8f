/* See vary_check.h. */
#include "support/vary_check.h"

#include <criterion/criterion.h>
#include <math.h>   // fabs
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp, strstr

#include "normlab/run_files.h" // NL_FILE_LAST
#include "support/toy.h"

/* What lies behind the header of a checkpoint of the seed trained last. */
static char *weights(const toy *t, const char *file, size_t *size) {
    uint64_t header;
    char *bytes = toy_read(t, t->out, file, size);
    cr_assert(bytes && *size > sizeof header);
    memcpy(&header, bytes, sizeof header);
    *size -= sizeof header + header;
    memmove(bytes, bytes + sizeof header + header, *size);
    return bytes;
}

static void train(toy *t, uint32_t seed) {
    nl_error err = {0};
    t->config.train.seed = seed;
    cr_assert_eq(toy_train(t, &err), NL_OK, "%s: %s", err.where, err.what);
}

/* Whether two seeds leave the same file of weights. */
static bool same(toy *t, const char *file) {
    size_t sizes[2];
    char *bytes[2];
    for (uint32_t i = 0; i < 2; i++) {
        t->config.train.seed = 5 + i;
        bytes[i] = weights(t, file, &sizes[i]);
    }
    const bool same = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

/* Takes away what the stream decides. */
static void switch_off(toy *t, enum nl_stream stream, const char *init) {
    if (stream == NL_STREAM_INIT) t->study.options.init = init;
    if (stream == NL_STREAM_ORDER) t->config.data.shuffle = false;
    if (stream == NL_STREAM_ROTATION) t->config.data.rotate = 0;
    if (stream == NL_STREAM_DROPOUT) t->config.model.dropout = 0;
}

void vary_check_streams(const nl_backend *backend) {
    for (enum nl_stream s = NL_STREAM_INIT; s <= NL_STREAM_DROPOUT; s++) {
        const char *name = nl_stream_words[s - NL_STREAM_INIT];
        char init[400];
        toy t;
        toy_open(&t);
        t.study.backend = backend;
        t.config.train.epochs = 1;
        t.config.train.vary = 1u << (s - NL_STREAM_INIT);
        train(&t, 5);
        train(&t, 6);
        cr_expect_not(same(&t, NL_FILE_LAST), "%s: the seed decides nothing", name);
        cr_expect_eq(same(&t, NL_FILE_INIT), s != NL_STREAM_INIT, "%s", name);
        snprintf(init, sizeof init, "%s/toy/" NL_SEED_FOLDER "/" NL_FILE_INIT, t.out, 6);
        snprintf(t.out, sizeof t.out, "%s/off", t.dir);
        switch_off(&t, s, init);
        train(&t, 5);
        train(&t, 6);
        cr_expect(same(&t, NL_FILE_LAST), "%s: another stream follows the seed too", name);
        toy_close(&t);
    }
}

/* The losses of all steps of a run where these streams follow seed 5; returns how many. */
static int losses(double *loss, const nl_backend *backend, unsigned vary) {
    toy t;
    size_t size;
    int n = 0;
    toy_open(&t);
    t.study.backend = backend;
    t.study.options.log_every = 1;
    t.config.train.vary = vary;
    t.config.model.dropout = 0.5; /* so that each step's loss tells */
    train(&t, 5);
    char *text = toy_read(&t, t.out, NL_FILE_METRICS, &size);
    cr_assert(text);
    for (char *at = text; (at = strstr(at, "\"event\":\"step\"")); at++) {
        const char *value = strstr(at, "\"loss\":");
        cr_assert(value && n < TOY_STEPS * TOY_EPOCHS);
        loss[n++] = atof(value + strlen("\"loss\":"));
    }
    free(text);
    toy_close(&t);
    return n;
}

void vary_check_losses(const nl_backend *backend) {
    enum { STEPS = TOY_STEPS * TOY_EPOCHS, ALL = 15 };
    static const unsigned cases[][2] = {{8, 7}, {6, 9}, {ALL, 1}}; /* or else */
    double got[STEPS], want[STEPS], none[STEPS];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const unsigned vary = cases[c][0];
        cr_assert_eq(losses(got, backend, vary), STEPS);
        cr_assert_eq(losses(want, &nl_backend_cpu64, vary), STEPS);
        cr_assert_eq(losses(none, &nl_backend_cpu64, cases[c][1]), STEPS);
        double apart = 0;
        for (int i = 0; i < STEPS; i++) {
            cr_expect(fabs(got[i] - want[i]) < 1e-4, "vary %u, step %d: %.9g, not %.9g", vary, i,
                      got[i], want[i]);
            apart = fmax(apart, fabs(none[i] - want[i]));
        }
        cr_expect(apart > 1e-2, "vary %u: the losses tell nothing", vary);
    }
}
