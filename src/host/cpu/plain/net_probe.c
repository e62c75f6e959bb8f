/* net_probe.h */
#include "net_probe.h"

#include <float.h>  // FLT_MIN
#include <math.h>   // fabs
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "base/reals.h" // nl_reals_copy
#include "net_plain.h"

typedef struct OP(probe) {
    const nl_engine_spec *spec;
    plain_net net;
    net_batch batch;
    double lr;
    uint32_t *images;
    real *params, *buffers, *grads, *momentum, *dlogits;
} probe;

static real *numbers(int64_t count) {
    return nl_alloc((size_t)count, sizeof(real), "looking into a network");
}

static real *copy(const float *from, int64_t count) {
    real *to = numbers(count);
    for (int64_t i = 0; i < count; i++) to[i] = (real)from[i];
    return to;
}

/* A ReLU without a norm before it works in place, unless there is a place for its input; and a
 * gradient is gone when it has been used. */
static void keep_more(plain_net *net) {
    for (int i = 0; i < net->model->n_layers; i++) {
        const nl_layer *l = &net->model->layers[i];
        const int64_t count = net->capacity * (int64_t)l->out_c * l->out_h * l->out_w;
        if (l->kind != NL_LAYER_CONV) continue;
        if (l->norm)
            net->stores[i].dy = numbers(count);
        else if (l->relu)
            net->stores[i].z = numbers(count);
    }
}

probe *OP(probe_open)(const nl_engine_spec *spec, const float *params, const float *buffers,
                      const nl_epoch *epoch, uint32_t step) {
    const nl_model *model = spec->model;
    const nl_split *train = &spec->data->train;
    const uint32_t batch = (uint32_t)spec->config->data.batch, first = step * batch;
    NL_ASSERT(first < train->count);
    const uint32_t n = train->count - first < batch ? train->count - first : batch;
    probe *p = nl_alloc(1, sizeof *p, "looking into a network");
    uint8_t *labels = nl_alloc(n, 1, "labels");
    p->images = nl_alloc(n, sizeof *p->images, "images");
    memcpy(p->images, epoch->order + first, n * sizeof *p->images);
    for (uint32_t i = 0; i < n; i++) labels[i] = train->labels[p->images[i]];
    p->spec = spec;
    p->lr = epoch->lr;
    p->batch = (net_batch){
        .train = true, .n = (int)n, .seed = spec->seed, .epoch = epoch->epoch, .images = p->images};
    p->params = copy(params, model->params_size);
    p->buffers = copy(buffers, model->buffers_size);
    p->grads = numbers(model->params_size);
    p->momentum = numbers(model->params_size);
    p->dlogits = numbers((int64_t)n * model->picture.classes);
    OP(net_open)(&p->net, spec->config, model, (int)n);
    keep_more(&p->net);
    nl_pixel_table table;
    uint32_t hits;
    nl_pixel_table_make(&table, &model->picture);
    OP(gather)
    (p->net.x, train->images, model->picture.shape, p->images, epoch->rotations, &table, (int)n);
    const real *logits = OP(net_forward)(&p->net, p->params, p->buffers, p->batch);
    (void)OP(softmax_loss)(NULL, p->dlogits, NULL, &hits, logits, labels, (int)n,
                           model->picture.classes);
    free(labels);
    return p;
}

void OP(probe_close)(probe *p) {
    OP(net_close)(&p->net);
    void *owned[] = {p->images, p->params, p->buffers, p->grads, p->momentum, p->dlogits, p};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

int OP(probe_images)(const probe *p) {
    return p->batch.n;
}

const int32_t *OP(probe_args)(const probe *p, int layer) {
    return p->net.stores[layer].arg;
}

/* Where the statistics lie that element i of a convolution's output shares. */
static int64_t statistics_of(const nl_layer *l, int64_t i) {
    const int64_t plane = i / ((int64_t)l->out_h * l->out_w);
    return nl_norm_set_of(l, plane / l->out_c, (int)(plane % l->out_c));
}

/* The norm of a convolution once more: its output lies under the ReLU's. */
static void normed(double *u, const probe *p, int layer) {
    const nl_layer *l = &p->net.model->layers[layer];
    const net_store *store = &p->net.stores[layer];
    const nl_tensor *tensors = p->net.model->tensors;
    const real *gamma = p->params + tensors[l->gamma].offset;
    const real *beta = p->params + tensors[l->beta].offset;
    const int64_t hw = (int64_t)l->out_h * l->out_w;
    for (int64_t i = 0; i < p->batch.n * l->out_c * hw; i++) {
        const int64_t c = i / hw % l->out_c, at = statistics_of(l, i);
        u[i] = (double)(gamma[c] * (store->z[i] - store->mean[at]) * store->rstd[at] + beta[c]);
    }
}

double OP(probe_terms)(const probe *p, int layer) {
    const nl_layer *l = &p->net.model->layers[layer];
    const net_store *store = &p->net.stores[layer];
    const real *gamma = p->params + p->net.model->tensors[l->gamma].offset;
    const int64_t hw = (int64_t)l->out_h * l->out_w;
    double most = 0;
    for (int c = 0; c < l->out_c; c++) {
        double sum = 0;
        for (int64_t k = 0; k < p->batch.n * hw; k++) {
            const int64_t i = (k / hw * l->out_c + c) * hw + k % hw;
            sum += fabs((double)(gamma[c] * store->rstd[statistics_of(l, i)] * store->dy[i]));
        }
        most = fmax(most, sum);
    }
    return most;
}

void OP(probe_output)(double *u, const probe *p, int layer) {
    const nl_layer *l = &p->net.model->layers[layer];
    const net_store *store = &p->net.stores[layer];
    const int64_t count = (int64_t)p->batch.n * l->out_c * l->out_h * l->out_w;
    const bool relu = l->kind == NL_LAYER_CONV && l->relu;
    if (relu && l->norm) {
        normed(u, p, layer);
        return;
    }
    const real *from = relu ? store->z : store->y;
    nl_reals_copy(u, sizeof *u, from, sizeof *from, count);
}

/* Turns the decision and gives back what undoes it: the ReLU's output is 0 or as good as 0. */
static double turn(probe *p, const nl_flip *flip) {
    net_store *store = &p->net.stores[flip->layer];
    if (p->net.model->layers[flip->layer].kind == NL_LAYER_MAX_POOL) {
        const int32_t old = store->arg[flip->at];
        store->arg[flip->at] = flip->arg;
        return old;
    }
    const real old = store->y[flip->at];
    store->y[flip->at] = old > 0 ? 0 : (real)FLT_MIN;
    return (double)old;
}

static void turn_back(probe *p, const nl_flip *flip, double old) {
    net_store *store = &p->net.stores[flip->layer];
    if (p->net.model->layers[flip->layer].kind == NL_LAYER_MAX_POOL)
        store->arg[flip->at] = (int32_t)old;
    else
        store->y[flip->at] = (real)old;
}

void OP(probe_step)(double *left, probe *p, const nl_flip *flips, int count) {
    const nl_config *config = p->spec->config;
    const int64_t size = p->spec->model->params_size;
    const nl_sgd rule = {.lr = p->lr,
                         .momentum = config->train.momentum,
                         .weight_decay = config->train.weight_decay,
                         .l1 = config->train.l1,
                         .nesterov = config->train.nesterov};
    double *old = nl_alloc((size_t)count, sizeof *old, "decisions");
    for (int i = 0; i < count; i++) old[i] = turn(p, &flips[i]);
    OP(net_backward)(&p->net, p->grads, p->dlogits, p->params, p->batch);
    for (int i = count - 1; i >= 0; i--) turn_back(p, &flips[i], old[i]);
    free(old);
    real *params = numbers(size);
    memcpy(params, p->params, (size_t)size * sizeof *params);
    memset(p->momentum, 0, (size_t)size * sizeof *p->momentum);
    OP(sgd_update)(params, p->momentum, p->grads, size, rule);
    nl_reals_copy(left, sizeof *left, p->momentum, sizeof *p->momentum, size);
    nl_reals_copy(left + size, sizeof *left, p->buffers, sizeof *p->buffers,
                  p->spec->model->buffers_size);
    free(params);
}

void OP(probe_share)(double *grads, probe *p, int image) {
    const int64_t classes = p->spec->model->picture.classes, at = image * classes;
    real *dlogits = numbers(p->batch.n * classes);
    memcpy(dlogits + at, p->dlogits + at, (size_t)classes * sizeof *dlogits);
    OP(net_backward)(&p->net, p->grads, dlogits, p->params, p->batch);
    nl_reals_copy(grads, sizeof *grads, p->grads, sizeof *p->grads, p->spec->model->params_size);
    free(dlogits);
}
