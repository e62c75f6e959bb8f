/* The plain network: net_plain.h. Which operation a layer consists of is decided by its description
 * in the model; this file only threads tensors through the operations. */
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "normlab/error.h" // nl_alloc, NL_ASSERT
#include "net_plain.h"
#include "norms.h"

// --- sizes ------------------------------------------------------------------------------------

static int64_t in_count(const nl_layer *layer) {
    return (int64_t)layer->in_c * layer->in_h * layer->in_w;
}

static int64_t out_count(const nl_layer *layer) {
    return (int64_t)layer->out_c * layer->out_h * layer->out_w;
}

static nl_conv_shape conv_shape(const nl_layer *layer, int n) {
    return (nl_conv_shape){.n = n,
                           .c = layer->in_c,
                           .h = layer->in_h,
                           .w = layer->in_w,
                           .o = layer->out_c,
                           .k = layer->kernel,
                           .pad = layer->pad};
}

static nl_norm_shape norm_shape(const nl_layer *layer, int n) {
    return (nl_norm_shape){
        .n = n, .c = layer->out_c, .hw = layer->out_h * layer->out_w, .groups = layer->groups};
}

static nl_pool_shape pool_shape(const nl_layer *layer, int n) {
    return (nl_pool_shape){
        .n = n, .c = layer->in_c, .h = layer->in_h, .w = layer->in_w, .k = layer->kernel};
}

/* The place of a tensor of the model in its arena. */
#define AT(arena, net, index) ((arena) + (net)->model->tensors[index].offset)

// --- life ---------------------------------------------------------------------------------------

static void *numbers(int64_t count, size_t size) {
    return nl_alloc((size_t)count, size, "activations of the plain network");
}

void OP(net_open)(plain_net *net, const nl_config *config, const nl_model *model, int capacity) {
    NL_ASSERT(capacity > 0 && model->n_layers > 0);
    *net = (plain_net){.config = config, .model = model, .capacity = capacity};
    int64_t largest = in_count(&model->layers[0]);
    net->x = numbers(capacity * largest, sizeof(real));
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *layer = &model->layers[i];
        net_store *store = &net->stores[i];
        const int64_t count = out_count(layer);
        if (count > largest) largest = count;
        store->y = numbers(capacity * count, sizeof(real));
        if (layer->kind == NL_LAYER_MAX_POOL)
            store->arg = numbers(capacity * count, sizeof(int32_t));
        if (!layer->norm) continue;
        store->z = numbers(capacity * count, sizeof(real));
        store->mean = numbers(nl_norm_sets(layer, capacity), sizeof(real));
        store->rstd = numbers(nl_norm_sets(layer, capacity), sizeof(real));
    }
    for (int i = 0; i < 2; i++) net->work[i] = numbers(capacity * largest, sizeof(real));
}

void OP(net_close)(plain_net *net) {
    for (int i = 0; i < net->model->n_layers; i++) {
        net_store *store = &net->stores[i];
        free(store->z);
        free(store->y);
        free(store->dy);
        free(store->mean);
        free(store->rstd);
        free(store->arg);
    }
    free(net->x);
    for (int i = 0; i < 2; i++) free(net->work[i]);
}

// --- forward ------------------------------------------------------------------------------------

static norm_job job_of(const plain_net *net, const nl_layer *layer, const net_store *store,
                       const real *params, real *buffers, int n) {
    return (norm_job){
        .y = store->y,
        .mean = store->mean,
        .rstd = store->rstd,
        .x = store->z,
        .gamma = AT(params, net, layer->gamma),
        .beta = AT(params, net, layer->beta),
        .running_mean = layer->norm->runs && buffers ? AT(buffers, net, layer->r_mean) : NULL,
        .running_var = layer->norm->runs && buffers ? AT(buffers, net, layer->r_var) : NULL,
        .s = norm_shape(layer, n),
        .eps = net->config->model.eps,
        .momentum = net->config->train.norm_momentum,
        .centres = layer->norm->centres};
}

static void forward_norm(plain_net *net, const nl_layer *layer, net_store *store,
                         const real *params, real *buffers, net_batch b) {
    if (!layer->norm) return;
    const norm_job j = job_of(net, layer, store, params, buffers, b.n);
    const norm_over *over = &OP(norms)[layer->norm->sets];
    (b.train ? over->forward : over->evaluate)(&j);
}

static void forward_conv(plain_net *net, const nl_layer *layer, net_store *store, const real *x,
                         const real *params, real *buffers, net_batch b) {
    const bool norm = layer->norm != NULL;
    real *z = store->z ? store->z : store->y;
    OP(conv_forward)
    (z, x, AT(params, net, layer->weight), AT(params, net, layer->bias), conv_shape(layer, b.n));
    forward_norm(net, layer, store, params, buffers, b);
    if (layer->relu) OP(relu_forward)(store->y, norm ? store->y : z, b.n * out_count(layer));
}

/* Dropout of a layer's output or of its gradient, in place. */
static void drop(const plain_net *net, const nl_layer *layer, real *y, net_batch b) {
    if (!b.train || !layer->dropout) return;
    const nl_dropout_spec d = {.p = net->config->model.dropout,
                               .seed = b.seed,
                               .epoch = b.epoch,
                               .layer = (uint32_t)layer->dropout,
                               .images = b.images,
                               .n = b.n,
                               .count = out_count(layer)};
    OP(dropout)(y, y, d);
}

const real *OP(net_forward)(plain_net *net, const real *params, real *buffers, net_batch b) {
    NL_ASSERT(b.n > 0 && b.n <= net->capacity);
    const real *x = net->x;
    for (int i = 0; i < net->model->n_layers; i++) {
        const nl_layer *layer = &net->model->layers[i];
        net_store *store = &net->stores[i];
        switch (layer->kind) {
        case NL_LAYER_CONV:
            forward_conv(net, layer, store, x, params, buffers, b);
            break;
        case NL_LAYER_MAX_POOL:
            OP(pool_max_forward)(store->y, store->arg, x, pool_shape(layer, b.n));
            drop(net, layer, store->y, b);
            break;
        case NL_LAYER_AVG_POOL:
            OP(pool_avg_forward)(store->y, x, b.n, layer->in_c, layer->in_h * layer->in_w);
            break;
        }
        x = store->y;
    }
    return x;
}

// --- backward -----------------------------------------------------------------------------------

/* Takes the gradient of the norm's output in work[0]; leaves that of its input there. */
static void backward_norm(plain_net *net, const nl_layer *layer, const net_store *store,
                          real *grads, const real *params, net_batch b) {
    if (!layer->norm) return;
    const norm_job j = job_of(net, layer, store, params, NULL, b.n);
    real *dgamma = AT(grads, net, layer->gamma), *dbeta = AT(grads, net, layer->beta);
    real *const dy = net->work[0], *const dz = net->work[1];
    OP(norms)[layer->norm->sets].backward(&j, dz, dgamma, dbeta, dy);
    net->work[0] = dz;
    net->work[1] = dy;
}

/* The gradient of the layer's output lies in work[0]; leaves that of its input there. */
static void backward_conv(plain_net *net, const nl_layer *layer, net_store *store, const real *x,
                          real *grads, const real *params, net_batch b) {
    real *const dy = net->work[0];
    if (store->dy) memcpy(store->dy, dy, (size_t)(b.n * out_count(layer)) * sizeof *dy);
    if (layer->relu) OP(relu_backward)(dy, dy, store->y, b.n * out_count(layer));
    backward_norm(net, layer, store, grads, params, b);
    real *const dz = net->work[0], *const dx = net->work[1];
    const nl_conv_shape s = conv_shape(layer, b.n);
    OP(conv_backward_filter)(AT(grads, net, layer->weight), AT(grads, net, layer->bias), dz, x, s);
    if (x != net->x) OP(conv_backward_data)(dx, dz, AT(params, net, layer->weight), s);
    net->work[0] = dx;
    net->work[1] = dz;
}

static void backward_pool(plain_net *net, const nl_layer *layer, net_store *store, net_batch b) {
    real *dy = net->work[0], *dx = net->work[1];
    if (layer->kind == NL_LAYER_MAX_POOL) {
        drop(net, layer, dy, b);
        OP(pool_max_backward)(dx, dy, store->arg, pool_shape(layer, b.n));
    } else {
        OP(pool_avg_backward)(dx, dy, b.n, layer->in_c, layer->in_h * layer->in_w);
    }
    net->work[0] = dx;
    net->work[1] = dy;
}

void OP(net_backward)(plain_net *net, real *grads, const real *dlogits, const real *params,
                      net_batch b) {
    const nl_model *model = net->model;
    memcpy(net->work[0], dlogits,
           (size_t)(b.n * out_count(&model->layers[model->n_layers - 1])) * sizeof *dlogits);
    for (int i = model->n_layers - 1; i >= 0; i--) {
        const nl_layer *layer = &model->layers[i];
        const real *x = i ? net->stores[i - 1].y : net->x;
        if (layer->kind == NL_LAYER_CONV)
            backward_conv(net, layer, &net->stores[i], x, grads, params, b);
        else
            backward_pool(net, layer, &net->stores[i], b);
    }
}
