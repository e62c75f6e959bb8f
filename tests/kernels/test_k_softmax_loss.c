/* The head by the kernel: loss, hits, outputs and gradients against the plain operations in double,
 * what it leaves in state and records, and the flag. */
#include <math.h>   // isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "normlab/ops.h"     // nl_softmax_loss_f64
#include "support/compare.h" // CHECK_CLOSE
#include "support/random.h"  // random_f64
#include "support_device.h"

enum { STEPS = 4, STEP = 2, MOST_CLASSES = NL_MAX_CLASSES };

typedef struct head {
    int n, batch, classes, hw;
    double sigma;   /* of the logits */
    bool bare;      /* no bias */
    double penalty; /* of the weights */
} head;

/* Results of one run; in double the truth, in float its plain twin or the kernel. */
typedef struct answer {
    double *dz, *dbias, *logits, *probs;
    double loss;
    uint32_t hits;
    uint8_t *predictions;
} answer;

static answer make_answer(const head *h) {
    const int64_t classes = (int64_t)h->n * h->classes;
    return (answer){guarded_f64(classes * h->hw),
                    guarded_f64(h->classes),
                    guarded_f64(classes),
                    guarded_f64(classes),
                    0,
                    0,
                    malloc((size_t)h->n)};
}

static void drop_answer(answer *a) {
    guarded_free(a->dz), guarded_free(a->dbias), guarded_free(a->logits), guarded_free(a->probs);
    free(a->predictions);
}

#define DEFINE_PLAIN(REAL, suffix)                                                                 \
    static void plain_##suffix(answer *a, const head *h, const double *z, const double *bias,      \
                               const uint8_t *labels) {                                            \
        const int64_t rows = (int64_t)h->n * h->classes, all = rows * h->hw;                       \
        REAL *x = malloc((size_t)all * sizeof *x), *l = malloc((size_t)rows * sizeof *l);          \
        REAL *p = malloc((size_t)rows * sizeof *p), *dl = malloc((size_t)rows * sizeof *dl);       \
        for (int64_t i = 0; i < all; i++)                                                          \
            x[i] = (REAL)z[i] + (REAL)(h->bare ? 0 : bias[i / h->hw % h->classes]);                \
        nl_pool_avg_forward_##suffix(l, x, h->n, h->classes, h->hw);                               \
        a->loss = nl_softmax_loss_##suffix(p, dl, a->predictions, &a->hits, l, labels, h->n,       \
                                           h->classes);                                            \
        nl_pool_avg_backward_##suffix(x, dl, h->n, h->classes, h->hw);                             \
        for (int64_t c = 0; c < h->classes; c++) a->dbias[c] = 0;                                  \
        for (int64_t i = 0; i < all; i++) {                                                        \
            a->dz[i] = (double)x[i];                                                               \
            a->dbias[i / h->hw % h->classes] += (double)x[i];                                      \
        }                                                                                          \
        for (int64_t i = 0; i < rows; i++)                                                         \
            a->logits[i] = (double)l[i], a->probs[i] = (double)p[i];                               \
        free(x), free(l), free(p), free(dl);                                                       \
    }
DEFINE_PLAIN(double, f64)
DEFINE_PLAIN(float, f32)

/* What the kernel gave. */
typedef struct given {
    float *dz, *dbias, *logits, *probs;
    uint8_t *predictions;
    nl_k_record records[STEPS];
    nl_k_state state;
} given;

static given make_given(const head *h) {
    const int64_t rows = (int64_t)h->n * h->classes;
    return (given){.dz = guarded_f32(rows * h->hw),
                   .dbias = guarded_f32(h->classes),
                   .logits = guarded_f32((STEP * h->batch + h->n) * h->classes),
                   .probs = guarded_f32((STEP * h->batch + h->n) * h->classes),
                   .predictions = malloc((size_t)(STEP * h->batch + h->n))};
}

static void drop_given(given *g) {
    guarded_free(g->dz), guarded_free(g->dbias), guarded_free(g->logits), guarded_free(g->probs);
    free(g->predictions);
}

static void run(given *g, const head *h, const double *z, const double *bias, const uint8_t *labels,
                bool training, unsigned s, const char *name) {
    const int64_t rows = (int64_t)h->n * h->classes, places = STEP * h->batch + h->n;
    float *z32 = to_f32(z, rows * h->hw), *bias32 = to_f32(bias, h->classes);
    nl_k_state state = {.step = STEP, .penalty = h->penalty};
    float *dz = device_copy(NULL, rows * h->hw, 4, 0), *dbias = device_copy(NULL, h->classes, 4, 0);
    nl_k_outputs out = {device_copy(NULL, places * h->classes, 4, 0),
                        device_copy(NULL, places * h->classes, 4, 0),
                        device_copy(NULL, places, 1, 0)};
    nl_k_record *records = device_copy(NULL, STEPS, sizeof *records, 0);
    nl_k_state *on = device_copy(&state, 1, sizeof state, 0);
    float *in = device_copy(z32, rows * h->hw, 4, 0), *b = device_copy(bias32, h->classes, 4, 0);
    uint8_t *l = device_copy(labels, h->n, 1, 0);
    void *scratch = scratch_make(nl_k_softmax_loss_scratch(h->n, h->classes));
    uint32_t *counters = counters_make(1);
    schedule(s);
    nl_k_head k = {.n = h->n,
                   .batch = h->batch,
                   .classes = h->classes,
                   .hw = h->hw,
                   .z = in,
                   .bias = h->bare ? NULL : b,
                   .labels = l,
                   .records = records,
                   .state = on,
                   .scratch = scratch,
                   .counters = counters};
    if (training) k.dz = dz, k.dbias = h->bare ? NULL : dbias;
    if (!training) k.out = out;
    cr_assert(nl_k_softmax_loss(&k, NULL) == 0);
    same_bits(g->dz, dz, rows * h->hw, 4, s, name);
    same_bits(g->dbias, dbias, h->classes, 4, s, name);
    same_bits(g->logits, out.logits, places * h->classes, 4, s, name);
    same_bits(g->probs, out.probs, places * h->classes, 4, s, name);
    same_bits(g->predictions, out.predictions, places, 1, s, name);
    same_bits(g->records, records, STEPS, sizeof *records, s, name);
    same_bits(&g->state, on, 1, sizeof state, s, name);
    void *all[] = {dz, dbias, out.logits, out.probs, out.predictions, records,
                   on, in,    b,          l,         scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) device_free(all[i]);
    counters_free(counters, 1);
    guarded_free(z32), guarded_free(bias32);
}

static void check_record(const given *g, const head *h, const answer *want, const answer *plain,
                         bool training, const char *name) {
    const nl_k_record *r = &g->records[STEP];
    const double bound = 4 * fabs(plain->loss - want->loss) + 4 * 0x1p-23 * want->loss;
    cr_assert(!(fabs(r->loss - want->loss) > bound) && !isnan(r->loss), "%s: loss %.9g, want %.9g",
              name, r->loss, want->loss);
    cr_assert(r->hits == want->hits && r->images == (uint32_t)h->n, "%s: %u hits, want %u", name,
              r->hits, want->hits);
    cr_assert(isnan(g->records[STEP - 1].loss) && isnan(g->records[STEP + 1].loss), "%s: records",
              name);
    cr_assert(g->state.step == (training ? STEP : STEP + 1) && g->state.stop == 0, "%s: state",
              name);
    cr_assert(training || r->penalty == 0);
}

static void check_head(const head *h) {
    char name[96];
    snprintf(name, sizeof name, "%d of %d x %d x %d sigma %g%s", h->n, h->batch, h->classes, h->hw,
             h->sigma, h->bare ? " bare" : "");
    covered("softmax_loss", name);
    const int64_t rows = (int64_t)h->n * h->classes;
    double *z = random_f64(rows * h->hw, 1, 0, h->sigma), *bias = random_f64(h->classes, 2, 0, 1);
    uint8_t *labels = malloc((size_t)h->n);
    for (int i = 0; i < h->n; i++) labels[i] = (uint8_t)(i * 7 % h->classes);
    answer want = make_answer(h), plain = make_answer(h);
    given g = make_given(h);
    plain_f64(&want, h, z, bias, labels);
    plain_f32(&plain, h, z, bias, labels);
    for (unsigned s = 0; s < schedules(); s++) run(&g, h, z, bias, labels, true, s, name);
    check_record(&g, h, &want, &plain, true, name);
    check_as_plain(name, "dz", g.dz, want.dz, plain.dz, rows * h->hw);
    if (!h->bare) check_as_plain(name, "dbias", g.dbias, want.dbias, plain.dbias, h->classes);
    for (unsigned s = 0; s < schedules(); s++) run(&g, h, z, bias, labels, false, s, name);
    check_record(&g, h, &want, &plain, false, name);
    const int64_t at = STEP * h->batch;
    check_as_plain(name, "logits", g.logits + at * h->classes, want.logits, plain.logits, rows);
    check_as_plain(name, "probs", g.probs + at * h->classes, want.probs, plain.probs, rows);
    for (int i = 0; i < h->n; i++)
        cr_assert(g.predictions[at + i] == want.predictions[i], "%s", name);
    for (int64_t i = 0; i < at * h->classes; i++) cr_assert(isnan(g.logits[i]), "%s: before", name);
    drop_answer(&want), drop_answer(&plain), drop_given(&g);
    guarded_free(z), guarded_free(bias), free(labels);
}

Test(k_softmax_loss, every_shape) {
    const head cases[] = {
        {1, 1, 10, 1, 1, false, 0},   {1, 4, 10, 4, 1, false, 0},   {7, 7, 10, 4, 3, false, 0},
        {8, 16, 10, 4, 1, true, 0},   {9, 9, 10, 1, 30, false, 0},  {33, 33, 10, 9, 1, false, 0},
        {64, 64, 10, 4, 1, false, 0}, {5, 6, 32, 3, 1, false, 0},   {5, 6, 1, 3, 1, false, 0},
        {3, 3, 2, 784, 1, true, 0},   {5, 6, 33, 3, 1, false, 0},   {9, 9, 100, 1, 3, false, 0},
        {3, 4, 255, 2, 1, true, 0},   {17, 17, 256, 1, 5, false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_head(&cases[i]);
}

/* The first of equal logits is the prediction. */
Test(k_softmax_loss, ties_go_to_the_first) {
    const head h = {4, 4, 10, 1, 0, true, 0};
    const double bias[10] = {0};
    double z[40];
    const uint8_t labels[4] = {0, 3, 4, 9};
    for (int i = 0; i < 40; i++) z[i] = i / 10 == 0 ? 1 : i % 10 >= 3 ? 2 : 1;
    given g = make_given(&h);
    for (unsigned s = 0; s < schedules(); s++) run(&g, &h, z, bias, labels, false, s, "ties");
    const uint8_t want[4] = {0, 3, 3, 3};
    for (int i = 0; i < 4; i++) cr_assert(g.predictions[STEP * 4 + i] == want[i]);
    cr_assert(g.records[STEP].hits == 2);
    drop_given(&g);
}

/* A loss that is not finite raises the flag, whatever made it so. */
Test(k_softmax_loss, not_finite_raises_the_flag) {
    const head h = {11, 11, 10, 4, 1, false, 0};
    const double poisons[] = {NAN, INFINITY, -INFINITY};
    double *bias = random_f64(10, 2, 0, 1);
    uint8_t labels[11] = {0};
    for (int i = 0; i < 3; i++) {
        double *z = random_f64(440, 1, 0, 1);
        z[399] = poisons[i]; /* image 9, class 9 */
        labels[9] = 9;
        given g = make_given(&h);
        for (unsigned s = 0; s < schedules(); s++) run(&g, &h, z, bias, labels, true, s, "poison");
        cr_assert(g.state.stop == 1 && g.state.step == STEP && !isfinite(g.records[STEP].loss));
        drop_given(&g);
        guarded_free(z);
    }
    guarded_free(bias);
}

/* So does a penalty: the update is not to go on, whatever the loss. */
Test(k_softmax_loss, a_penalty_that_is_not_finite_raises_the_flag) {
    const double penalties[] = {NAN, INFINITY, 1e300};
    double *bias = random_f64(10, 2, 0, 1), *z = random_f64(440, 1, 0, 1);
    const uint8_t labels[11] = {0};
    for (int i = 0; i < 3; i++) {
        const head h = {11, 11, 10, 4, 1, false, penalties[i]};
        given g = make_given(&h);
        for (unsigned s = 0; s < schedules(); s++) run(&g, &h, z, bias, labels, true, s, "penalty");
        cr_assert(g.state.stop == !isfinite(penalties[i]) && isfinite(g.records[STEP].loss));
        drop_given(&g);
    }
    guarded_free(z), guarded_free(bias);
}
