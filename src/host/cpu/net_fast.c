/* Lays out the CPU engine: which operation follows which, and where each tensor lies. */
#include "net_fast.h"

#include <stdlib.h> // free

#include "normlab/error.h" // nl_alloc

/* ---- Places ---- */

static int64_t take(int64_t *used, int64_t count) {
    const int64_t at = *used;
    *used += (count + 15) / 16 * 16;
    return at;
}

static nl_place place(nl_engine *e, int64_t count, bool kept) {
    return (nl_place){take(kept ? &e->kept_floats : &e->desk_floats, count), kept};
}

static bool is_batch(const nl_layer *l) {
    return l->kind == NL_LAYER_CONV && l->stats == NL_STATS_BATCH;
}

static void place_layer(nl_engine *e, nl_layer_fast *f, bool first) {
    const nl_layer *l = f->layer;
    f->hw = l->out_h * l->out_w;
    f->cp = nl_pad8(l->out_c);
    const int64_t size = (int64_t)f->hw * f->cp;
    const bool again = is_batch(l), kept = e->phased && !again;
    f->y = place(e, size, kept);
    f->g = place(e, size, kept);
    f->z = f->y;
    f->dz = f->g;
    if (l->kind == NL_LAYER_MAX_POOL) {
        f->arg = place(e, size, e->phased);
        f->factor = place(e, size, e->phased);
    }
    if (l->kind != NL_LAYER_CONV) return;
    const nl_conv_shape shape = {1, l->in_c, l->in_h, l->in_w, l->out_c, l->kernel, l->pad};
    nl_conv_fast_init(&f->conv, shape, first);
    const int64_t scratch = nl_conv_fast_scratch(&f->conv);
    if (scratch > e->scratch_floats) e->scratch_floats = (scratch + 15) / 16 * 16;
    f->dw = take(&e->partial_floats, (int64_t)l->kernel * l->kernel * l->in_c * f->cp);
    f->dbias = take(&e->partial_floats, f->cp);
    if (l->stats != NL_STATS_NONE) f->z = place(e, size, e->phased);
    if (again && !first) f->dz = place(e, size, true);
}

/* ---- Cells and maps ---- */

static void place_cells(nl_engine *e, nl_layer_fast *f, int64_t *used) {
    if (f->layer->kind != NL_LAYER_CONV || f->layer->stats == NL_STATS_NONE) return;
    const int maps = f->layer->stats == NL_STATS_BATCH ? 1 : e->rows;
    f->map_stride = f->layer->stats == NL_STATS_BATCH ? 0 : 1;
    if (e->cell_memory && !f->cells) {
        f->cells = nl_alloc((size_t)e->rows, sizeof *f->cells, "norm cells");
        f->map = nl_alloc((size_t)maps, sizeof *f->map, "norm maps");
    }
    for (int row = 0; row < e->rows; row++) {
        int64_t at[5];
        for (int i = 0; i < 5; i++) at[i] = take(used, f->cp);
        float *m = e->cell_memory;
        if (m) f->cells[row] = (nl_cells){m + at[0], m + at[1], m + at[2], m + at[3], m + at[4]};
    }
    for (int row = 0; row < maps; row++) {
        int64_t at[7];
        for (int i = 0; i < 7; i++) at[i] = take(used, f->cp);
        float *m = e->cell_memory;
        if (m)
            f->map[row] = (nl_norm_map){m + at[0], m + at[1], m + at[2], m + at[3],
                                        m + at[4], m + at[5], m + at[6]};
    }
}

/* Twice: once to know the size, once to place. */
static void allocate_cells(nl_engine *e) {
    for (int pass = 0; pass < 2; pass++) {
        int64_t used = 0;
        for (int i = 0; i < e->model->n_layers; i++) place_cells(e, &e->layers[i], &used);
        if (pass == 0) e->cell_memory = nl_alloc((size_t)used, sizeof(float), "norm statistics");
    }
}

/* ---- Program ---- */

static void add(nl_program_step *program, int *count, nl_op op, int layer, bool pool_cells) {
    program[(*count)++] = (nl_program_step){op, layer, pool_cells};
}

static int add_forward(nl_engine *e, nl_program_step *program, bool training) {
    int count = 0;
    add(program, &count, NL_OP_INPUT, 0, false);
    for (int i = 0; i < e->model->n_layers; i++) {
        const nl_layer *l = &e->model->layers[i];
        if (l->kind == NL_LAYER_CONV) {
            add(program, &count, NL_OP_CONV, i, is_batch(l) && training);
            if (l->stats != NL_STATS_NONE || l->relu) add(program, &count, NL_OP_APPLY, i, false);
        } else {
            add(program, &count, l->kind == NL_LAYER_MAX_POOL ? NL_OP_POOL : NL_OP_LOSS, i, false);
        }
    }
    return count;
}

/* What gives layer i its output's gradient: the layer above. */
static void add_gradient(nl_engine *e, int i) {
    const nl_layer_kind above = e->model->layers[i + 1].kind;
    if (above == NL_LAYER_CONV) add(e->train, &e->n_train, NL_OP_DATA_BACK, i + 1, false);
    if (above == NL_LAYER_MAX_POOL) add(e->train, &e->n_train, NL_OP_POOL_BACK, i + 1, false);
    /* the loss has written it already */
}

static void add_backward(nl_engine *e) {
    for (int i = e->model->n_layers - 2; i >= 0; i--) {
        const nl_layer *l = &e->model->layers[i];
        add_gradient(e, i);
        if (l->kind != NL_LAYER_CONV) continue;
        if (l->stats != NL_STATS_NONE) add(e->train, &e->n_train, NL_OP_CELLS_BACK, i, is_batch(l));
        if (is_batch(l)) add_gradient(e, i); /* behind the cut: again */
        if (i > 0 && is_batch(l - 1)) add(e->train, &e->n_train, NL_OP_APPLY, i - 1, false);
        add(e->train, &e->n_train, NL_OP_DZ_BACK, i, false);
    }
}

/* ---- Whole ---- */

void nl_net_fast_init(nl_engine *e, const nl_engine_spec *spec) {
    const nl_model *model = spec->model;
    *e = (nl_engine){.spec = *spec, .model = model};
    e->threads = nl_threads_open(spec->threads > 0 ? spec->threads : nl_threads_cores());
    const uint32_t train = spec->data->train.count, test = spec->data->test.count;
    const int workers = nl_threads_count(e->threads), wanted = spec->config->data.batch;
    const int batch = (uint32_t)wanted < train ? wanted : (int)train; /* no batch is larger */
    e->rows = batch > workers ? batch : workers;
    for (int i = 0; i < model->n_layers; i++) e->phased = e->phased || is_batch(&model->layers[i]);
    e->input = place(e, NL_PIXELS, e->phased);
    for (int i = 0; i < model->n_layers; i++) {
        e->layers[i].layer = &model->layers[i];
        place_layer(e, &e->layers[i], i == 0);
    }
    allocate_cells(e);
    e->n_forward = add_forward(e, e->forward, false);
    e->n_train = add_forward(e, e->train, true);
    add_backward(e);
    const size_t chunks = (size_t)(batch + NL_CHUNK - 1) / NL_CHUNK;
    e->kept = nl_alloc((size_t)(e->rows * e->kept_floats), sizeof(float), "activations");
    e->desks = nl_alloc((size_t)(workers * e->desk_floats), sizeof(float), "activations");
    e->scratch = nl_alloc((size_t)workers * (size_t)e->scratch_floats, sizeof(float), "scratch");
    e->partials = nl_alloc(chunks * (size_t)e->partial_floats, sizeof(float), "partial gradients");
    e->params = nl_alloc((size_t)model->params_size, sizeof(float), "parameters");
    e->momentum = nl_alloc((size_t)model->params_size, sizeof(float), "momentum");
    e->gradient = nl_alloc((size_t)model->params_size, sizeof(float), "gradient");
    e->buffers = nl_alloc((size_t)model->buffers_size, sizeof(float), "running values");
    e->fresh = nl_alloc((size_t)model->buffers_size, sizeof(float), "running values");
    const size_t most = train > test ? train : test;
    e->order = nl_alloc(train, sizeof *e->order, "order");
    e->rotations = nl_alloc(train, sizeof *e->rotations, "rotations");
    e->records = nl_alloc(train / (size_t)batch + 1, sizeof *e->records, "step records");
    e->losses = nl_alloc(most, sizeof *e->losses, "losses");
    e->hits = nl_alloc(most, 1, "hits");
    nl_pixel_table(e->table, spec->config->data.mean, spec->config->data.std);
}

void nl_net_fast_free(nl_engine *e) {
    nl_threads_close(e->threads);
    for (int i = 0; i < e->model->n_layers; i++) {
        nl_conv_fast_free(&e->layers[i].conv);
        free(e->layers[i].cells);
        free(e->layers[i].map);
    }
    void *all[] = {e->kept,   e->desks,     e->scratch, e->partials, e->cell_memory,
                   e->params, e->momentum,  e->buffers, e->gradient, e->fresh,
                   e->order,  e->rotations, e->records, e->losses,   e->hits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
