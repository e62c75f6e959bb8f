/* The plain network as a whole, in double: its gradient against finite differences for every norm,
 * the update, partial batches, learning, dropout, and steps that are not finite. */
#define NL_DOUBLE
#include "cpu/plain/net_plain.h"

#include <math.h>   // isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/diagnose.h" // nl_diagnose
#include "normlab/rng.h"      // nl_epoch_order
#include "support/compare.h"
#include "support/difference.h"
#include "support/idx_set.h" // IDX_CLASSES
#include "support/memory_run.h"
#include "support/random.h"

/* The published network with fewer channels, which makes it quick. */
static void shrink(memory_run *r) {
    const int channels[] = {8, 8, 4, 4, 8, r->config.data.picture.classes};
    int conv = 0;
    for (int i = 0; i < r->config.model.n_layers; i++)
        if (r->config.model.layers[i].kind == NL_LAYER_CONV)
            r->config.model.layers[i].out = channels[conv++];
    cr_assert_eq(conv, 6);
    memory_run_rebuild(r);
}

// --- gradient -----------------------------------------------------------------------------------

enum { N = 3 };

typedef struct problem {
    const nl_model *model;
    plain_net net;
    net_batch batch;
    uint8_t labels[N];
    double *params, *grads, *buffers, dlogits[N * NL_MAX_CLASSES];
} problem;

/* The loss; *mask is a hash of which ReLUs are open and which inputs win in the max pools. */
static double loss(problem *p, uint64_t *mask) {
    const double *logits = nl_net_forward_f64(&p->net, p->params, p->buffers, p->batch);
    *mask = 14695981039346656037u;
    for (int i = 0; i < p->model->n_layers; i++) {
        const nl_layer *layer = &p->model->layers[i];
        const net_store *store = &p->net.stores[i];
        const int64_t count = (int64_t)N * layer->out_c * layer->out_h * layer->out_w;
        for (int64_t k = 0; k < count; k++) {
            const uint64_t bit = store->arg ? (uint64_t)store->arg[k] : store->y[k] > 0;
            if (store->arg || layer->relu) *mask = (*mask ^ bit) * 1099511628211u;
        }
    }
    uint32_t hits;
    return nl_softmax_loss_f64(NULL, p->dlogits, NULL, &hits, logits, p->labels, N,
                               p->model->picture.classes) /
           N;
}

/* One tensor along one direction; false where a mask differs between -h and +h. */
static bool along(problem *p, const nl_tensor *t, uint64_t seed) {
    const double h = 1e-6;
    double *w = p->params + t->offset, *g = p->grads + t->offset;
    double *u = guarded_f64(t->count), *origin = guarded_f64(t->count);
    random_fill(u, t->count, seed, 0, 1);
    memcpy(origin, w, (size_t)t->count * sizeof *w);
    uint64_t above_mask, below_mask;
    for (int64_t i = 0; i < t->count; i++) w[i] = origin[i] + h * u[i];
    const double above = loss(p, &above_mask);
    for (int64_t i = 0; i < t->count; i++) w[i] = origin[i] - h * u[i];
    const double below = loss(p, &below_mask);
    memcpy(w, origin, (size_t)t->count * sizeof *w);
    const double quotient = (above - below) / (2 * h), claim = dot(g, u, t->count);
    const double allowed = 1e-6 * sqrt(dot(g, g, t->count)) + 3e-8; /* rounding of the loss / h */
    const bool smooth = above_mask == below_mask;
    if (smooth)
        cr_assert(fabs(quotient - claim) <= allowed, "%s: gradient %.12g, differences %.12g",
                  t->name, claim, quotient);
    guarded_free(u);
    guarded_free(origin);
    return smooth;
}

static void open_problem(problem *p, memory_run *r, const uint32_t *images) {
    float *params = nl_alloc((size_t)r->model.params_size, sizeof *params, "weights");
    float *buffers = nl_alloc((size_t)r->model.buffers_size, sizeof *buffers, "running values");
    *p = (problem){.model = &r->model, .batch = {true, N, 3, 1, images}};
    nl_model_init(p->model, params, buffers, 5);
    p->params = guarded_f64(p->model->params_size);
    p->grads = nl_alloc((size_t)p->model->params_size, sizeof(double), "gradients");
    p->buffers = nl_alloc((size_t)p->model->buffers_size, sizeof(double), "running values");
    for (int64_t i = 0; i < p->model->params_size; i++) p->params[i] = (double)params[i];
    for (int i = 0; i < p->model->n_tensors; i++) /* gamma 1 and beta 0 would hide mistakes */
        if (strncmp(p->model->tensors[i].name, "norm", 4) == 0 && !p->model->tensors[i].buffer)
            random_fill(p->params + p->model->tensors[i].offset, p->model->tensors[i].count,
                        (uint64_t)i, 0.8, 0.3);
    free(params);
    free(buffers);
    nl_pixel_table table;
    nl_pixel_table_make(&table, &r->model.picture);
    nl_net_open_f64(&p->net, &r->config, p->model, N);
    nl_gather_f64(p->net.x, r->data.train.images, r->model.picture.shape, images, NULL, &table, N);
    for (int i = 0; i < N; i++) p->labels[i] = r->data.train.labels[images[i]];
}

/* `shape`: a --set, or one of what is set already. */
static void check_picture(const char *norm, const char *shape, int classes) {
    const uint32_t images[N] = {4, 1, 7};
    memory_run r;
    memory_run_open(&r, "gn", 10, norm, shape, (char *)NULL);
    r.config.data.picture.classes = classes;
    for (uint32_t i = 0; i < 10; i++) r.data.train.labels[i] = (uint8_t)(i * 5 % (uint32_t)classes);
    shrink(&r);
    problem p;
    open_problem(&p, &r, images);
    uint64_t mask;
    loss(&p, &mask);
    nl_net_backward_f64(&p.net, p.grads, p.dlogits, p.params, p.batch);
    for (int i = 0; i < r.model.n_tensors; i++) {
        const nl_tensor *t = &r.model.tensors[i];
        if (t->buffer) continue;
        uint64_t seed = 100 * (uint64_t)i, last = seed + 20;
        while (seed < last && !along(&p, t, seed)) seed++;
        cr_assert(seed < last, "%s: a kink in every direction", t->name);
    }
    nl_net_close_f64(&p.net);
    guarded_free(p.params);
    free(p.grads);
    free(p.buffers);
    memory_run_close(&r);
}

static void check_network(const char *norm) {
    check_picture(norm, "data.shape=[1, 28, 28]", 10);
}

Test(network, gradient_of_other_pictures) {
    check_picture("model.norm=batch", "data.shape=[3, 32, 32]", 10);
    check_picture("model.norm=group", "data.shape=[3, 24, 33]", 7);
    check_picture("model.norm=none", "data.shape=[2, 40, 24]", 2);
    check_picture("model.norm=layer", "data.shape=[4, 28, 28]", 30);
}

Test(network, gradient_with_batch_norm) {
    check_network("model.norm=batch");
}

Test(network, gradient_with_layer_norm) {
    check_network("model.norm=layer");
}

Test(network, gradient_with_group_norm) {
    check_network("model.norm=group");
}

Test(network, gradient_with_instance_norm) {
    check_network("model.norm=instance");
}

/* One that is added to the table is tried too. */
Test(network, gradient_with_every_norm_of_the_table) {
    for (int i = NL_NORM_NONE + 1; i < NL_NORMS; i++) {
        char set[64];
        snprintf(set, sizeof set, "model.norm=%s", nl_norm_words[i]);
        check_network(set);
    }
}

Test(network, gradient_without_norm) {
    check_network("model.norm=none");
}

// --- update -------------------------------------------------------------------------------------

/* The gradient of the first step is its velocity, where nothing else is in it. */
Test(network, update_with_l1_weight_decay_and_nesterov_by_hand) {
    memory_run r;
    memory_run_open(&r, "bn", 8, "data.batch=8", "train.momentum=0", (char *)NULL);
    shrink(&r);
    nl_step_record record;
    memory_engine bare = memory_engine_open(&r, &nl_backend_cpu64);
    memory_engine_steps(&bare, 0, 1, &record);
    memory_engine_get(&bare);
    cr_assert_eq(record.penalty, 0);
    const int64_t count = r.model.params_size;
    double *g = bare.momentum, *v = guarded_f64(count), *w = guarded_f64(count);
    r.config.train.momentum = 0.9;
    r.config.train.l1 = 0.001;
    r.config.train.weight_decay = 0.01;
    r.config.train.nesterov = true;
    memory_engine full = memory_engine_open(&r, &nl_backend_cpu64);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const double at = full.params[i], sign = at > 0 ? 1 : at < 0 ? -1 : 0;
        const double step = g[i] + 0.001 * sign + 0.01 * at;
        v[i] = step;
        w[i] = at - 0.01 * (step + 0.9 * step);
        sum += fabs(at);
    }
    const double penalty = 0.001 * sum, loss_before = record.loss;
    memory_engine_steps(&full, 0, 1, &record);
    memory_engine_get(&full);
    CHECK_CLOSE(&record.penalty, &penalty, 1, 0, 1e-13);
    CHECK_EQUAL(&record.loss, &loss_before, 1); /* without the penalty */
    CHECK_CLOSE(full.momentum, v, count, 1e-15, 1e-14);
    CHECK_CLOSE(full.params, w, count, 1e-15, 1e-14);
    guarded_free(v);
    guarded_free(w);
    memory_engine_close(&bare);
    memory_engine_close(&full);
    memory_run_close(&r);
}

// --- batches ------------------------------------------------------------------------------------

/* The last batch of `left` images gives the loss and gradient of a first batch of just those. */
static void check_partial(const char *config, uint32_t left) {
    memory_run r, small;
    char batch[32];
    snprintf(batch, sizeof batch, "data.batch=%u", left);
    memory_run_open(&r, config, 64 + left, "data.batch=64", "model.dropout=0.3", (char *)NULL);
    memory_run_open(&small, config, 64 + left, batch, "model.dropout=0.3", (char *)NULL);
    shrink(&r);
    shrink(&small);
    for (uint32_t i = 0; i < 64 + left; i++) small.order[i] = (64 + i) % (64 + left);
    memory_engine a = memory_engine_open(&r, &nl_backend_cpu64);
    memory_engine b = memory_engine_open(&small, &nl_backend_cpu64);
    nl_step_record from_a, from_b;
    memory_engine_steps(&a, 1, 1, &from_a);
    memory_engine_steps(&b, 0, 1, &from_b);
    memory_engine_get(&a);
    memory_engine_get(&b);
    cr_assert_eq(from_a.images, left);
    cr_assert_eq(from_a.hits, from_b.hits);
    CHECK_EQUAL(&from_a.loss, &from_b.loss, 1);
    CHECK_EQUAL(a.params, b.params, r.model.params_size);
    CHECK_EQUAL(a.momentum, b.momentum, r.model.params_size);
    CHECK_EQUAL(a.buffers, b.buffers, r.model.buffers_size);
    memory_engine_close(&a);
    memory_engine_close(&b);
    memory_run_close(&r);
    memory_run_close(&small);
}

Test(network, partial_batches) {
    const char *const configs[] = {"bn_l1", "gn"};
    const uint32_t sizes[] = {1, 16, 32};
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < 3; i++) check_partial(configs[c], sizes[i]);
}

Test(network, one_batch_can_be_overfitted) {
    const char *const configs[] = {"bn", "ln", "gn"};
    for (int c = 0; c < 3; c++) {
        memory_run r;
        memory_run_open(&r, configs[c], 10, "data.batch=10", "train.lr=0.05", "model.dropout=0",
                        (char *)NULL);
        shrink(&r);
        memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
        nl_step_record record = {0};
        for (int i = 0; i < 100; i++) memory_engine_steps(&e, 0, 1, &record);
        cr_assert(record.loss <= 0.02, "%s: loss %g", configs[c], record.loss);
        cr_assert_eq(record.hits, 10u);
        memory_engine_close(&e);
        memory_run_close(&r);
    }
}

Test(network, evaluation_does_not_depend_on_the_batch) {
    const char *const configs[] = {"bn", "ln", "gn", "none"};
    for (int c = 0; c < 4; c++) {
        float logits[2][20 * IDX_CLASSES];
        nl_eval_result results[2];
        for (int i = 0; i < 2; i++) {
            memory_run r;
            memory_run_open(&r, configs[c], 20, i ? "data.batch=7" : "data.batch=20", (char *)NULL);
            shrink(&r);
            memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
            const nl_eval_pass pass = {.split = &r.data.test, .images = 20, .logits = logits[i]};
            cr_assert_eq(e.backend->evaluate(e.engine, &pass, &results[i], NULL), 0);
            memory_engine_close(&e);
            memory_run_close(&r);
        }
        cr_assert_arr_eq(logits[0], logits[1], sizeof logits[0]);
        cr_assert_eq(results[0].hits, results[1].hits);
        CHECK_CLOSE(&results[0].loss, &results[1].loss, 1, 0, 1e-14);
    }
}

// --- dropout ------------------------------------------------------------------------------------

/* The state after two steps, with dropout p, or without the layers. */
static double *state_with_dropout(int64_t *count, const char *p, bool layers) {
    memory_run r;
    memory_run_open(&r, "gn", 8, "data.batch=4", p, (char *)NULL);
    if (!layers)
        for (int i = 0; i < r.config.model.n_layers; i++) r.config.model.layers[i].dropout = false;
    shrink(&r);
    memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
    nl_step_record records[2];
    memory_engine_steps(&e, 0, 2, records);
    memory_engine_get(&e);
    *count = r.model.params_size;
    double *state = guarded_f64(*count);
    memcpy(state, e.params, (size_t)r.model.params_size * sizeof *state);
    memory_engine_close(&e);
    memory_run_close(&r);
    return state;
}

Test(network, dropout_of_0_is_no_dropout) {
    int64_t count;
    double *without = state_with_dropout(&count, "model.dropout=0", false);
    double *zero = state_with_dropout(&count, "model.dropout=0", true);
    double *some = state_with_dropout(&count, "model.dropout=0.2", true);
    const size_t bytes = (size_t)count * sizeof *zero;
    cr_assert_arr_eq(zero, without, bytes);
    cr_assert(memcmp(zero, some, bytes) != 0);
    guarded_free(without);
    guarded_free(zero);
    guarded_free(some);
}

// --- not finite ---------------------------------------------------------------------------------

static void check_stop(const nl_backend *backend) {
    memory_run r;
    memory_run_open(&r, "bn", 24, "data.batch=8", (char *)NULL);
    shrink(&r);
    memory_engine e = memory_engine_open(&r, backend);
    nl_step_record records[3];
    memory_engine_steps(&e, 0, 1, records);
    memory_engine_get(&e);
    const nl_tensor *t = nl_model_find(&r.model, "conv2.weight");
    const double good = e.params[t->offset + 17];
    e.params[t->offset + 17] = NAN;
    memory_engine_set(&e);
    double *buffers = guarded_f64(r.model.buffers_size), *params = guarded_f64(r.model.params_size);
    memcpy(buffers, e.buffers, (size_t)r.model.buffers_size * sizeof *buffers);
    memcpy(params, e.params, (size_t)r.model.params_size * sizeof *params);
    memory_engine_steps(&e, 1, 2, records + 1);
    cr_assert_not(isfinite(records[1].loss));
    memory_engine_get(&e);
    CHECK_EQUAL(e.params, params, r.model.params_size); /* the NaN is one of them */
    CHECK_EQUAL(e.buffers, buffers, r.model.buffers_size);
    e.params[t->offset + 17] = good;
    memory_engine_set(&e); /* and it goes on */
    memory_engine_steps(&e, 1, 1, records + 1);
    cr_assert(isfinite(records[1].loss));
    memory_engine_get(&e);
    cr_assert(memcmp(e.buffers, buffers, (size_t)r.model.buffers_size * sizeof *buffers) != 0);
    guarded_free(buffers);
    guarded_free(params);
    memory_engine_close(&e);
    memory_run_close(&r);
}

Test(network, a_step_that_is_not_finite_changes_nothing_nor_do_those_behind) {
    check_stop(&nl_backend_cpu64);
    check_stop(&nl_backend_plain);
}

static void diagnosis(char text[256], memory_engine *e) {
    const nl_state state = {e->params, e->momentum, e->buffers};
    const nl_epoch epoch = {.epoch = 0, .lr = 0.01, .order = e->run->order};
    nl_diagnose(text, 256, &e->spec, &state, 8, &epoch, 1);
}

Test(network, diagnosis_names_the_first_tensor_or_layer) {
    char text[256];
    memory_run r;
    memory_run_open(&r, "bn", 24, "data.batch=8", (char *)NULL);
    shrink(&r);
    memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
    double *w = e.params + nl_model_find(&r.model, "conv2.weight")->offset;
    const double good = w[17];
    diagnosis(text, &e);
    cr_assert(strstr(text, "finite values only"), "%s", text);
    w[17] = NAN;
    diagnosis(text, &e);
    cr_assert(strstr(text, "conv2.weight is not finite (element 17 is nan)") ||
                  strstr(text, "conv2.weight is not finite (element 17 is -nan)"),
              "%s", text);
    w[17] = 1e308; /* finite, but its products are not */
    diagnosis(text, &e);
    cr_assert(strstr(text, "of conv2 is not finite (image 8,"), "%s", text);
    w[17] = good;
    memory_engine_close(&e);
    memory_run_close(&r);
}
