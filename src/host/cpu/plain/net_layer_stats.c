/* Statistics of what the plain network keeps of one step. Sums are in double whatever the precision
 * of the values, and the standard deviation is taken about the mean in a second pass: values far
 * from 0 lose no digits. */
#include <math.h>   // sqrt, NAN
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "net_plain.h"
#include "net_layer_stats.h"

// --- numbers ------------------------------------------------------------------------------------

static nl_mean_sd mean_sd(const real *x, int64_t count) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i];
    const double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (nl_mean_sd){mean, sqrt(squares / (double)count)};
}

/* zero and dead of y (n, c, hw). */
static void count_zeros(nl_layer_stats *layer, const real *y, int n, int channels, int64_t hw) {
    int64_t zeros = 0;
    int dead = 0;
    for (int c = 0; c < channels; c++) {
        int64_t of_channel = 0;
        for (int64_t at = 0; at < n; at++) {
            const real *plane = y + (at * channels + c) * hw;
            for (int64_t i = 0; i < hw; i++) of_channel += plane[i] == 0;
        }
        zeros += of_channel;
        dead += of_channel == n * hw;
    }
    layer->zero = (double)zeros / (double)(n * channels * hw);
    layer->dead = (double)dead / channels;
}

static nl_layer_stats of_layer(const plain_net *net, int index, const real *grads, int n) {
    const nl_layer *layer = &net->model->layers[index];
    const net_store *store = &net->stores[index];
    const nl_tensor *weight = &net->model->tensors[layer->weight];
    const int64_t hw = (int64_t)layer->out_h * layer->out_w, count = n * layer->out_c * hw;
    nl_layer_stats s = {.zero = NAN, .dead = NAN};
    s.z = mean_sd(store->z ? store->z : store->y, count);
    s.y = mean_sd(store->y, count);
    s.dy = mean_sd(store->dy, count);
    s.dw = mean_sd(grads + weight->offset, weight->count);
    if (layer->relu) count_zeros(&s, store->y, n, layer->out_c, hw);
    return s;
}

// --- the step -----------------------------------------------------------------------------------

/* Has the network keep what else is asked for; net_close frees it. */
static void keep_more(plain_net *net, int n) {
    for (int i = 0; i < net->model->n_layers; i++) {
        const nl_layer *layer = &net->model->layers[i];
        net_store *store = &net->stores[i];
        if (layer->kind != NL_LAYER_CONV) continue;
        const size_t count = (size_t)n * (size_t)(layer->out_c * layer->out_h * layer->out_w);
        store->dy = nl_alloc(count, sizeof *store->dy, "gradient of a layer");
        if (layer->relu && !store->z)
            store->z = nl_alloc(count, sizeof *store->z, "output of a convolution");
    }
}

static void run_step(plain_net *net, real *grads, const nl_engine_spec *spec, const real *params,
                     const real *running_values, int n) {
    const nl_split *train = &spec->data->train;
    const size_t size = (size_t)net->model->buffers_size;
    const int classes = net->model->picture.classes;
    uint32_t *images = nl_alloc((size_t)n, sizeof *images, "numbers of images"), hits;
    real *dlogits = nl_alloc((size_t)(n * classes), sizeof *dlogits, "gradient of the logits");
    real *buffers = nl_alloc(size, sizeof *buffers, "copy of the running values");
    nl_pixel_table table;
    for (int i = 0; i < n; i++) images[i] = (uint32_t)i;
    memcpy(buffers, running_values, size * sizeof *buffers);
    nl_pixel_table_make(&table, &net->model->picture);
    OP(gather)(net->x, train->images, net->model->picture.shape, images, NULL, &table, n);
    const net_batch b = {.train = true, .n = n, .seed = spec->seed, .images = images};
    const real *logits = OP(net_forward)(net, params, buffers, b);
    OP(softmax_loss)(NULL, dlogits, NULL, &hits, logits, train->labels, n, classes);
    OP(net_backward)(net, grads, dlogits, params, b);
    free(buffers);
    free(dlogits);
    free(images);
}

int OP(net_layer_stats)(nl_layer_stats layers[NL_MAX_LAYERS], const nl_engine_spec *spec,
                        const nl_state *state) {
    const uint32_t batch = (uint32_t)spec->config->data.batch, images = spec->data->train.count;
    const int n = (int)(images < batch ? images : batch);
    nl_model *model = nl_alloc(1, sizeof *model, "model without dropout");
    *model = *spec->model;
    for (int i = 0; i < model->n_layers; i++) model->layers[i].dropout = 0;
    real *grads = nl_alloc((size_t)model->params_size, sizeof *grads, "gradients");
    plain_net net;
    OP(net_open)(&net, spec->config, model, n);
    keep_more(&net, n);
    run_step(&net, grads, spec, state->params, state->buffers, n);
    int count = 0;
    for (int i = 0; i < model->n_layers; i++) {
        if (model->layers[i].kind != NL_LAYER_CONV) continue;
        layers[count] = of_layer(&net, i, grads, n);
        layers[count++].label = spec->model->layers[i].label; /* outlives the copy */
    }
    OP(net_close)(&net);
    free(grads);
    free(model);
    return count;
}
