/* A config's layers turned into shapes, receptive fields and the table of tensors.
 *
 * The receptive field r of a layer's element and the distance j of two neighbours ("jump"), both in
 * input pixels, grow with kernel k and stride s as r += (k - 1) j, j *= s. The global average has
 * the whole map as its kernel. Everything is bounded here once, so that no product of sizes
 * overflows anywhere else.
 */
#include "normlab/model.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memset

#include "config/config_keys.h" // nl_key_place
#include "normlab/ops.h"        // nl_conv_out
#include "normlab/rng.h"        // nl_init_uniform

static const int64_t most_elements = 1 << 24; /* of one image in one layer */
static const int64_t most_params = 1 << 26;
static const int most_pixels = 1 << 20; /* of receptive field and jump */

/* What a build carries from layer to layer. */
typedef struct builder {
    nl_model *model;
    const nl_config *config;
    nl_error *err;
    int last_batch;
    int c, h, w, rf, jump; /* after the layers so far */
    int convs, dropouts;   /* ordinals used so far */
} builder;

/* --- Errors ---------------------------------------------------------------------------------- */

/* Where an error of this layer is: its line in the file, or its label. */
static void place(char *where, size_t size, const builder *b, int index) {
    const nl_config *config = b->config;
    const int line = config->model.layers[index].line;
    if (config->file[0] && line > 0)
        snprintf(where, size, "%s:%d", config->file, line);
    else
        snprintf(where, size, "model.layers[%d]", index + 1);
}

#define FAIL(b, index, ...)                                                                        \
    do {                                                                                           \
        char where_[512];                                                                          \
        place(where_, sizeof where_, b, index);                                                    \
        return nl_fail((b)->err, NL_EUSAGE, where_, __VA_ARGS__);                                  \
    } while (0)

/* --- Tensors --------------------------------------------------------------------------------- */

static int add_tensor(nl_model *m, const char *stem, int ordinal, const char *leaf, bool buffer,
                      int rank, const int64_t shape[]) {
    NL_ASSERT(m->n_tensors < NL_MAX_TENSORS);
    nl_tensor *t = &m->tensors[m->n_tensors];
    int64_t *size = buffer ? &m->buffers_size : &m->params_size;
    snprintf(t->name, sizeof t->name, "%s%d.%s", stem, ordinal, leaf);
    t->buffer = buffer;
    t->rank = rank;
    t->count = 1;
    for (int i = 0; i < rank; i++) t->count *= t->shape[i] = shape[i];
    t->offset = *size;
    *size += (t->count + 3) / 4 * 4;
    if (!buffer) m->n_params += t->count;
    return m->n_tensors++;
}

static void add_tensors(nl_model *m, nl_layer *l) {
    const int64_t filter[4] = {l->out_c, l->in_c, l->kernel, l->kernel}, channels[1] = {l->out_c};
    l->weight = add_tensor(m, "conv", l->conv, "weight", false, 4, filter);
    l->bias = add_tensor(m, "conv", l->conv, "bias", false, 1, channels);
    if (!l->norm) return;
    l->gamma = add_tensor(m, "norm", l->conv, "weight", false, 1, channels);
    l->beta = add_tensor(m, "norm", l->conv, "bias", false, 1, channels);
    if (!l->norm->runs) return;
    l->r_mean = add_tensor(m, "norm", l->conv, "running_mean", true, 1, channels);
    l->r_var = add_tensor(m, "norm", l->conv, "running_var", true, 1, channels);
}

/* --- Layers ---------------------------------------------------------------------------------- */

static int fail_group_size(builder *b, int index, const nl_layer *l) {
    char layer[512], where[512];
    place(layer, sizeof layer, b, index);
    nl_key_place(where, sizeof where, b->config, "model.group_size", layer);
    nl_fail(b->err, NL_EUSAGE, where, "model.group_size: %d does not divide the %d channels of %s",
            b->config->model.group_size, l->out_c, l->label);
    nl_hint(b->err, "a number that divides the channels of every layer with group norm");
    return NL_EUSAGE;
}

static int build_norm(builder *b, int index, nl_layer *l) {
    const nl_norm own = b->config->model.layers[index].norm;
    l->norm = nl_norm_find(own == NL_NORM_OF_MODEL ? b->config->model.norm : own);
    if (!l->norm) return NL_OK;
    const int64_t map = (int64_t)l->out_h * l->out_w;
    if (!l->norm->groups) {
        if (b->last_batch * map == 1)
            FAIL(b, index,
                 "%s: batch norm would see one value a channel: a map of 1 x 1 and a training "
                 "batch of one image (data.batch)",
                 l->label);
        return NL_OK;
    }
    l->groups = l->norm->groups(l->out_c, b->config->model.group_size);
    if (l->groups == 0) return fail_group_size(b, index, l);
    if (l->norm->centres && l->out_c / l->groups * map == 1)
        FAIL(b, index, "%s: its norm would see one value a group (model.norm, model.group_size)",
             l->label);
    return NL_OK;
}

static int build_conv(builder *b, int index, nl_layer *l) {
    const nl_layer_spec *spec = &b->config->model.layers[index];
    l->conv = ++b->convs;
    snprintf(l->label, sizeof l->label, "conv%d", l->conv);
    l->kernel = spec->kernel;
    l->pad = spec->pad;
    l->stride = 1;
    l->relu = spec->relu;
    l->out_c = spec->out;
    l->out_h = nl_conv_out(l->in_h, l->kernel, l->pad);
    l->out_w = nl_conv_out(l->in_w, l->kernel, l->pad);
    if (l->out_h < 1 || l->out_w < 1)
        FAIL(b, index, "%s: its kernel %d x %d is larger than its padded input %d x %d", l->label,
             l->kernel, l->kernel, l->in_h + 2 * l->pad, l->in_w + 2 * l->pad);
    const int64_t weights = (int64_t)l->out_c * l->in_c * l->kernel * l->kernel;
    if (b->model->n_params + weights > most_params)
        FAIL(b, index, "%s: more than %lld parameters", l->label, (long long)most_params);
    l->macs = weights * l->out_h * l->out_w;
    const int code = build_norm(b, index, l);
    if (code) return code;
    add_tensors(b->model, l);
    return NL_OK;
}

static int build_pool(builder *b, int index, nl_layer *l) {
    const nl_layer_spec *spec = &b->config->model.layers[index];
    const bool average = l->kind == NL_LAYER_AVG_POOL;
    snprintf(l->label, sizeof l->label, "pool%d", index + 1);
    l->kernel = average ? l->in_h : spec->size;
    l->stride = average ? 1 : spec->size;
    l->out_c = l->in_c;
    l->out_h = average ? 1 : l->in_h / l->stride;
    l->out_w = average ? 1 : l->in_w / l->stride;
    if (l->out_h < 1 || l->out_w < 1)
        FAIL(b, index, "%s: its size %d is larger than its input %d x %d", l->label, l->kernel,
             l->in_h, l->in_w);
    if (spec->dropout) l->dropout = ++b->dropouts;
    return NL_OK;
}

static int build_layer(builder *b, int index) {
    nl_layer *l = &b->model->layers[index];
    *l = (nl_layer){.kind = b->config->model.layers[index].kind,
                    .in_c = b->c,
                    .in_h = b->h,
                    .in_w = b->w,
                    .weight = -1,
                    .bias = -1,
                    .gamma = -1,
                    .beta = -1,
                    .r_mean = -1,
                    .r_var = -1};
    const int code = l->kind == NL_LAYER_CONV ? build_conv(b, index, l) : build_pool(b, index, l);
    if (code) return code;
    if ((int64_t)l->out_c * l->out_h * l->out_w > most_elements)
        FAIL(b, index, "%s: its output %d x %d x %d has more than %lld elements", l->label,
             l->out_c, l->out_h, l->out_w, (long long)most_elements);
    b->rf += (l->kernel - 1) * b->jump;
    b->jump *= l->stride;
    if (b->rf > most_pixels || b->jump > most_pixels)
        FAIL(b, index, "%s: its receptive field is beyond %d pixels", l->label, most_pixels);
    l->rf = b->rf;
    l->jump = b->jump;
    b->c = l->out_c;
    b->h = l->out_h;
    b->w = l->out_w;
    b->model->macs += l->macs;
    return NL_OK;
}

int nl_model_build(nl_model *model, const nl_config *config, int last_batch, nl_error *err) {
    memset(model, 0, sizeof *model);
    model->picture = config->data.picture;
    model->n_layers = config->model.n_layers;
    builder b = {.model = model,
                 .config = config,
                 .err = err,
                 .last_batch = last_batch,
                 .c = model->picture.shape.channels,
                 .h = model->picture.shape.height,
                 .w = model->picture.shape.width,
                 .rf = 1,
                 .jump = 1};
    const int last = model->n_layers - 1;
    if (last < 0) return nl_fail(err, NL_EUSAGE, "model.layers", "the network has no layers");
    for (int i = 0; i <= last; i++) {
        if (i > 0 && model->layers[i - 1].kind == NL_LAYER_AVG_POOL)
            FAIL(&b, i, "a layer behind the global average pool, which has to be the last");
        const int code = build_layer(&b, i);
        if (code) return code;
    }
    const nl_layer *l = &model->layers[last];
    if (l->kind != NL_LAYER_AVG_POOL)
        FAIL(&b, last, "%s: the last layer has to be {pool: average}", l->label);
    if (b.c != model->picture.classes)
        FAIL(&b, last, "%s: the network ends with %d channels and needs %d, one a class", l->label,
             b.c, model->picture.classes);
    return NL_OK;
}

int nl_model_check(const nl_config *config, nl_error *err) {
    int code = nl_config_check(config, err);
    if (code) return code;
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    code = nl_model_build(model, config, 0, err);
    free(model);
    return code;
}

int nl_model_config_from_json(nl_config *config, const struct json_t *json, const char *where,
                              nl_error *err) {
    const int code = nl_config_from_json(config, json, where, err);
    nl_error whole = {0};
    if (code || nl_model_check(config, &whole) == NL_OK) return code;
    return nl_fail(err, NL_EDATA, where, "config: %s: %s", whole.where, whole.what);
}

/* --- Use ------------------------------------------------------------------------------------- */

static void fill(float *values, int64_t count, float value) {
    for (int64_t i = 0; i < count; i++) values[i] = value;
}

void nl_model_init(const nl_model *model, float *params, float *buffers, uint32_t seed) {
    memset(params, 0, (size_t)model->params_size * sizeof *params);
    if (model->buffers_size) memset(buffers, 0, (size_t)model->buffers_size * sizeof *buffers);
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *l = &model->layers[i];
        if (l->kind != NL_LAYER_CONV) continue;
        const nl_tensor *w = &model->tensors[l->weight], *bias = &model->tensors[l->bias];
        const int64_t fan_in = (int64_t)l->in_c * l->kernel * l->kernel;
        const uint32_t ordinal = (uint32_t)l->conv;
        nl_init_uniform(params + w->offset, w->count, fan_in, seed, ordinal, false);
        nl_init_uniform(params + bias->offset, bias->count, fan_in, seed, ordinal, true);
        if (l->gamma >= 0) fill(params + model->tensors[l->gamma].offset, l->out_c, 1);
        if (l->r_var >= 0) fill(buffers + model->tensors[l->r_var].offset, l->out_c, 1);
    }
}

const nl_tensor *nl_model_find(const nl_model *model, const char *name) {
    for (int i = 0; i < model->n_tensors; i++)
        if (!strcmp(model->tensors[i].name, name)) return &model->tensors[i];
    return NULL;
}
