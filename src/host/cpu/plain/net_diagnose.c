/* Finds the first value of a step that is not finite: first in the state, then, layer by layer, in
 * what the plain forward pass has kept, last in the loss. */
#include <math.h>   // isfinite
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcpy

#include "net_diagnose.h"
#include "net_plain.h"

/* The index of the first value that is not finite, or -1. */
static int64_t first_bad(const real *x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i])) return i;
    return -1;
}

static bool in_state(char *text, size_t size, const nl_model *model, const nl_state *state) {
    for (int i = 0; i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        const real *arena = tensor->buffer ? state->buffers : state->params;
        const int64_t at = first_bad(arena + tensor->offset, tensor->count);
        if (at < 0) continue;
        snprintf(text, size, "%s is not finite (element %lld is %g)", tensor->name, (long long)at,
                 (double)arena[tensor->offset + at]);
        return true;
    }
    return false;
}

/* One activation of (n, count). */
static bool in_tensor(char *text, size_t size, const char *what, const char *layer, const real *x,
                      int64_t count, net_batch b) {
    const int64_t at = x ? first_bad(x, b.n * count) : -1;
    if (at < 0) return false;
    snprintf(text, size, "the %s of %s is not finite (image %lu, element %lld is %g)", what, layer,
             (unsigned long)b.images[at / count], (long long)(at % count), (double)x[at]);
    return true;
}

static bool in_layers(char *text, size_t size, const plain_net *net, net_batch b) {
    for (int i = 0; i < net->model->n_layers; i++) {
        const nl_layer *layer = &net->model->layers[i];
        const int64_t count = (int64_t)layer->out_c * layer->out_h * layer->out_w;
        const net_store *store = &net->stores[i];
        if (in_tensor(text, size, "convolution", layer->label, store->z, count, b)) return true;
        if (in_tensor(text, size, "output", layer->label, store->y, count, b)) return true;
    }
    return false;
}

void OP(net_diagnose)(char *text, size_t size, const nl_engine_spec *spec, const nl_state *state,
                      const nl_epoch *epoch, uint32_t step) {
    if (in_state(text, size, spec->model, state)) return;
    const nl_split *train = &spec->data->train;
    const uint32_t batch = (uint32_t)spec->config->data.batch, first = step * batch;
    NL_ASSERT(first < train->count);
    const uint32_t n = train->count - first < batch ? train->count - first : batch;
    const net_batch b = {.train = true,
                         .n = (int)n,
                         .seed = spec->seed,
                         .epoch = epoch->epoch,
                         .images = epoch->order + first};
    const size_t buffers_size = (size_t)spec->model->buffers_size;
    real *buffers = nl_alloc(buffers_size, sizeof *buffers, "copy of the running values");
    memcpy(buffers, state->buffers, buffers_size * sizeof *buffers);
    nl_pixel_table table;
    nl_pixel_table_make(&table, &spec->model->picture);
    plain_net net;
    OP(net_open)(&net, spec->config, spec->model, b.n);
    OP(gather)
    (net.x, train->images, spec->model->picture.shape, b.images, epoch->rotations, &table, b.n);
    OP(net_forward)(&net, state->params, buffers, b);
    if (!in_layers(text, size, &net, b))
        snprintf(text, size,
                 "the plain forward pass of this step has finite values only: the loss "
                 "or the L1 penalty overflowed, or the device's rounding did it");
    OP(net_close)(&net);
    free(buffers);
}
