/* Blocks and memory of the network on the device; see cuda_net.h. */
#include "cuda_net.h"

#include <stdio.h> // snprintf

#include "cuda/runtime/device.h" // nl_cuda_check
#include "first_cuda.h"          // nl_cuda_first_open
#include "normlab/rng.h"         // nl_dropout_threshold

/* ---- memory ---------------------------------------------------------------------------------- */

/* A tensor of floats, named in errors with its shape. */
static int alloc_tensor(float **tensor, nl_cuda_net *net, const char *label, const char *what,
                        int c, int h, int w, nl_error *err) {
    char name[96];
    snprintf(name, sizeof name, "%s of %s (%d x %d x %d x %d)", what, label, net->batch, c, h, w);
    void *memory = NULL;
    const int code =
        nl_cuda_net_alloc(&memory, net, (int64_t)net->batch * c * h * w, sizeof(float), name, err);
    *tensor = memory;
    return code;
}

#define ALLOC(pointer, count, what)                                                                \
    do {                                                                                           \
        void *memory_ = NULL;                                                                      \
        const int code_ = nl_cuda_net_alloc(&memory_, net, count, sizeof *(pointer), what, err);   \
        if (code_) return code_;                                                                   \
        (pointer) = memory_;                                                                       \
    } while (0)

/* ---- blocks ---------------------------------------------------------------------------------- */

static nl_k_shape block_shape(const nl_layer *conv, const nl_layer *pool, int batch) {
    nl_k_shape s = {.n = batch, .pool = pool ? pool->kernel : 0};
    if (conv) {
        s.c = conv->out_c;
        s.h = conv->out_h;
        s.w = conv->out_w;
        s.groups = conv->groups;
        s.relu = conv->relu;
    } else {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a block has one of the two */
        s.c = pool->in_c;
        s.h = pool->in_h;
        s.w = pool->in_w;
    }
    return s;
}

/* Layers into blocks; the global average pool is part of the loss. */
static void find_blocks(nl_cuda_net *net) {
    const nl_model *m = net->model;
    for (int i = 0; i < m->n_layers; i++) {
        const nl_layer *l = &m->layers[i];
        if (l->kind == NL_LAYER_AVG_POOL) continue;
        nl_cuda_block *b = &net->blocks[net->n_blocks++];
        if (l->kind == NL_LAYER_CONV) b->conv = l;
        const nl_layer *next = b->conv && i + 1 < m->n_layers ? l + 1 : NULL;
        if (!b->conv) {
            b->pool = l;
        } else if (next && next->kind == NL_LAYER_MAX_POOL) {
            b->pool = next;
            i++;
        }
        b->stage.shape = block_shape(b->conv, b->pool, net->batch);
    }
    NL_ASSERT(net->n_blocks > 0);
    nl_cuda_block *last = &net->blocks[net->n_blocks - 1];
    last->to_loss = last->conv && !last->conv->norm && !last->conv->relu && !last->pool;
}

static int alloc_block(nl_cuda_net *net, nl_cuda_block *b, const float *in, nl_error *err) {
    const nl_k_shape *s = &b->stage.shape;
    const char *label = b->conv ? b->conv->label : b->pool->label;
    const int pool = s->pool ? s->pool : 1;
    b->in = in;
    int code =
        nl_cuda_check(cudaEventCreateWithFlags(&b->ready, cudaEventDisableTiming), "event", err);
    if (net->own_first && b == net->blocks) return code; /* it has no tensors */
    if (!code && b->conv) code = alloc_tensor(&b->z, net, label, "output", s->c, s->h, s->w, err);
    if (!code) code = alloc_tensor(&b->stage.dz, net, label, "gradient", s->c, s->h, s->w, err);
    if (!code && !b->to_loss) {
        code = alloc_tensor(&b->stage.y, net, label, "normalised output", s->c, s->h / pool,
                            s->w / pool, err);
    }
    if (!code && b->pool && b->pool->dropout)
        ALLOC(b->stage.drop.kept, (int64_t)nl_k_kept_size(s), "mask of the dropout");
    if (code || !b->conv || !b->conv->norm) return code;
    ALLOC(b->stage.saved, nl_norm_sets(b->conv, net->batch), "moments");
    return NL_OK;
}

/* A tensor of the model in an arena laid out like its parameters or running values; NULL: none. */
static float *tensor_in(float *arena, const nl_cuda_net *net, int tensor) {
    return tensor < 0 ? NULL : arena + net->model->tensors[tensor].offset;
}

static nl_k_dropout dropout_of(const nl_cuda_net *net, const nl_cuda_block *b, double p) {
    if (!b->pool || !b->pool->dropout || p == 0) return (nl_k_dropout){0};
    return (nl_k_dropout){.slots = net->slots,
                          .layer = (uint32_t)b->pool->dropout,
                          .threshold = nl_dropout_threshold(p),
                          .scale = nl_dropout_scale(p),
                          .kept = b->stage.drop.kept};
}

/* What the launchers want of a block, once all memory is there. */
static void fill_stage(nl_cuda_net *net, int index, const nl_config *config) {
    nl_cuda_block *b = &net->blocks[index];
    const nl_cuda_block *next = index + 1 < net->n_blocks ? b + 1 : NULL;
    const nl_layer *l = b->conv;
    nl_k_stage *s = &b->stage;
    s->eps = (float)config->model.eps;
    s->drop = dropout_of(net, b, config->model.dropout);
    s->z = l ? b->z : b->in;
    s->dy = next && !next->conv ? next->stage.dz : net->dy;
    s->scratch = net->scratch;
    s->counters = net->counters;
    if (!l) return;
    s->centres = l->norm && l->norm->centres;
    s->bias = tensor_in(net->arenas.params, net, l->bias);
    s->gamma = tensor_in(net->arenas.params, net, l->gamma);
    s->beta = tensor_in(net->arenas.params, net, l->beta);
    s->dbias = tensor_in(net->grads, net, l->bias);
    s->dgamma = tensor_in(net->grads, net, l->gamma);
    s->dbeta = tensor_in(net->grads, net, l->beta);
    s->running_mean = tensor_in(net->arenas.buffers, net, l->r_mean);
    s->running_var = tensor_in(net->arenas.buffers, net, l->r_var);
    s->fresh_mean = tensor_in(net->fresh, net, l->r_mean);
    s->fresh_var = tensor_in(net->fresh, net, l->r_var);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The most that any launch wants: with the full batch. */
static void measure_shared(const nl_cuda_net *net, size_t *scratch, int *counters,
                           int64_t *largest) {
    *scratch = larger(nl_k_update_scratch(net->model->params_size, net->model->buffers_size),
                      nl_k_softmax_loss_scratch(net->batch, net->model->picture.classes));
    *counters = 1;
    *largest = 1;
    for (int i = net->own_first; i < net->n_blocks; i++) { /* block 0 has no tensors then */
        const nl_k_shape *s = &net->blocks[i].stage.shape;
        const int64_t count = (int64_t)s->n * s->c * s->h * s->w;
        *scratch = larger(*scratch, nl_k_scratch_size(s));
        if (nl_k_counters(s) > *counters) *counters = nl_k_counters(s);
        if (count > *largest) *largest = count;
    }
    if (!net->own_first) return;
    if (nl_k_first_counters(&net->first) > *counters) *counters = nl_k_first_counters(&net->first);
}

/* What all launches of one stream share. */
static int alloc_shared(nl_cuda_net *net, nl_error *err) {
    size_t scratch;
    int counters;
    int64_t largest;
    measure_shared(net, &scratch, &counters, &largest);
    char *bytes;
    ALLOC(bytes, (int64_t)scratch, "scratch");
    net->scratch = bytes;
    ALLOC(net->counters, counters, "counters");
    ALLOC(net->dy, largest, "gradient of a block's output");
    ALLOC(net->slots, net->batch, "image numbers");
    ALLOC(net->picked, net->batch, "labels");
    ALLOC(net->table, 1, "pixel table");
    return NL_OK;
}

static int alloc_arenas(nl_cuda_net *net, nl_error *err) {
    const nl_model *m = net->model;
    nl_k_arenas *a = &net->arenas;
    a->params_size = m->params_size;
    a->buffers_size = m->buffers_size;
    ALLOC(a->params, m->params_size, "parameters");
    ALLOC(a->momentum, m->params_size, "momentum");
    ALLOC(net->grads, m->params_size, "gradients of the parameters");
    ALLOC(a->buffers, m->buffers_size, "running values");
    ALLOC(net->fresh, m->buffers_size, "running values");
    a->grads = net->grads;
    a->fresh = net->fresh;
    return NL_OK;
}

/* ---- open and close -------------------------------------------------------------------------- */

/* What the kernels cannot count is refused before anything is done. */
static int check_batch(const nl_cuda_net *net, nl_error *err) {
    int64_t values =
        nl_image_bytes(net->model->picture.shape); /* of one image in the largest tensor */
    const char *label = "the images";
    for (int i = 0; i < net->n_blocks; i++) {
        const nl_cuda_block *b = &net->blocks[i];
        const int64_t count = (int64_t)b->stage.shape.c * b->stage.shape.h * b->stage.shape.w;
        if (count <= values) continue;
        values = count;
        label = b->conv ? b->conv->label : b->pool->label;
    }
    const int most = (int)(NL_K_MOST_VALUES / values);
    if (net->batch <= most) return NL_OK;
    nl_fail(err, NL_EDEVICE, "data.batch",
            "%d images a batch make %lld values of %s, the kernels count to %d: at most %d images",
            net->batch, (long long)(net->batch * values), label, NL_K_MOST_VALUES, most);
    return nl_hint(err, "set data.batch to %d or less, or use --device cpu", most);
}

static int make_streams(nl_cuda_net *net, nl_error *err) {
    cudaError_t status = cudaStreamCreateWithFlags(&net->stream, cudaStreamNonBlocking);
    if (!status) status = cudaStreamCreateWithFlags(&net->branch, cudaStreamNonBlocking);
    if (!status) status = cudaEventCreateWithFlags(&net->joined, cudaEventDisableTiming);
    return nl_cuda_check(status, "stream", err);
}

int nl_cuda_batch(const nl_engine_spec *spec) {
    const uint32_t images = spec->data->train.count;
    const int wanted = spec->config->data.batch;
    return (uint32_t)wanted > images ? (int)images : wanted;
}

int nl_cuda_net_open(nl_cuda_net *net, const nl_engine_spec *spec, const nl_k_first *own_first,
                     nl_error *err) {
    const nl_config *config = spec->config;
    *net = (nl_cuda_net){
        .model = spec->model, .batch = nl_cuda_batch(spec), .own_first = own_first != NULL};
    if (own_first) net->first = *own_first;
    net->rule = (nl_k_sgd){.momentum = (float)config->train.momentum,
                           .weight_decay = (float)config->train.weight_decay,
                           .l1 = config->train.l1,
                           .nesterov = config->train.nesterov,
                           .norm_momentum = (float)config->train.norm_momentum};
    find_blocks(net);
    int code = check_batch(net, err);
    if (!code) code = make_streams(net, err);
    if (!code) code = alloc_arenas(net, err);
    if (!code) code = alloc_shared(net, err);
    const nl_image_shape in_shape = net->model->picture.shape;
    if (!code)
        code = alloc_tensor(&net->x, net, "the batch", "images", in_shape.channels, in_shape.height,
                            in_shape.width, err);
    const float *in = net->x;
    for (int i = 0; i < net->n_blocks && !code; i++) {
        nl_cuda_block *b = &net->blocks[i];
        code = alloc_block(net, b, in, err);
        in = b->stage.y;
    }
    for (int i = 0; i < net->n_blocks && !code; i++) fill_stage(net, i, config);
    return code || !own_first ? code : nl_cuda_first_open(net, err);
}

void nl_cuda_net_close(nl_cuda_net *net) {
    nl_convs_close(net->convs);
    for (int i = 0; i < net->n_blocks; i++) {
        if (net->blocks[i].ready) cudaEventDestroy(net->blocks[i].ready);
    }
    if (net->joined) cudaEventDestroy(net->joined);
    if (net->branch) cudaStreamDestroy(net->branch);
    if (net->stream) cudaStreamDestroy(net->stream);
    for (int i = 0; i < net->n_owned; i++) cudaFree(net->owned[i]);
    *net = (nl_cuda_net){0};
}

/* Whether no norm that centres sees one value a set. */
static bool trains(const nl_cuda_net *net, int n) {
    for (int i = 0; i < net->n_blocks; i++) {
        const nl_cuda_block *b = &net->blocks[i];
        if (!b->conv || !b->conv->norm || !b->conv->norm->centres) continue;
        const int64_t values = (int64_t)n * b->stage.shape.c * b->stage.shape.h * b->stage.shape.w;
        if (values == nl_norm_sets(b->conv, n)) return false;
    }
    return true;
}

int nl_cuda_form_make(nl_cuda_form *form, nl_cuda_net *net, int n, bool train, nl_error *err) {
    train = train && trains(net, n);
    *form = (nl_cuda_form){.n = n, .train = train};
    for (int i = net->own_first ? 2 : 0; i < net->n_blocks; i++) {
        const nl_layer *l = net->blocks[i].conv;
        for (int dir = 0; l && dir < (train ? NL_CONV_DIRS : 1); dir++) {
            if (dir == NL_CONV_DATA && i == 0) continue; /* nobody wants the images' gradient */
            const nl_conv_problem problem = {
                (nl_conv_dir)dir, {n, l->in_c, l->in_h, l->in_w, l->out_c, l->kernel, l->pad}};
            const int code =
                nl_convs_plan(&form->plans[i][dir], net->convs, problem, l->label, err);
            if (code) return code;
        }
    }
    return NL_OK;
}
