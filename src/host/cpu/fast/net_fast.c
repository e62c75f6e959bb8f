/* Makes room for the CPU engine: a place for each tensor, cells, maps, and the state. */
#include "net_fast.h"

#include <stdlib.h> // free

#include "base/processor.h" // nl_processor_cores
#include "normlab/error.h"  // nl_alloc

/* ---- Places ---- */

static int64_t take(int64_t *used, int64_t count) {
    const int64_t at = *used;
    *used += (count + 15) / 16 * 16;
    return at;
}

static void put(nl_engine *e, nl_place *place, int64_t count) {
    place->at = take(place->kept ? &e->kept_floats : &e->desk_floats, count);
}

static void demand_scratch(nl_engine *e, int64_t floats) {
    if (floats > e->scratch_floats) e->scratch_floats = (floats + 15) / 16 * 16;
}

static void put_conv(nl_engine *e, nl_layer_fast *f, bool first) {
    const nl_layer *l = f->layer;
    const nl_conv_shape shape = {1, l->in_c, l->in_h, l->in_w, l->out_c, l->kernel, l->pad};
    e->simd->conv->init(&f->conv, shape, first);
    demand_scratch(e, e->simd->conv->scratch(&f->conv));
    f->dw = take(&e->partial_floats, (int64_t)l->kernel * l->kernel * l->in_c * f->cp);
    f->dbias = take(&e->partial_floats, f->cp);
}

int64_t nl_first_loop_floats(const nl_engine *e) {
    return (e->simd->first->scratch(&e->first) + 15) / 16 * 16;
}

/* For the loops, and behind them an image's S1 and G; or for the moments. */
static int64_t first_scratch(const nl_engine *e) {
    const nl_patches *p = &e->first.patches;
    const int64_t loops = nl_first_loop_floats(e) + 2 * p->cp + (int64_t)p->taps * p->cp;
    const int64_t moments = 2 * e->simd->moments->scratch(p);
    return loops > moments ? loops : moments;
}

/* The first layer where it is one operation with the second: of its tensors only y exists. */
static void put_first(nl_engine *e, nl_layer_fast *f) {
    put(e, &f->places[NL_Y], (int64_t)f->hw * f->cp);
    put_conv(e, f, true);
    const nl_layer *l = f->layer;
    e->simd->first->init(
        &e->first, (nl_conv_shape){1, l->in_c, l->in_h, l->in_w, l->out_c, l->kernel, l->pad});
    demand_scratch(e, first_scratch(e));
    if (!l->norm) return;
    const size_t rows = (size_t)e->rows, filter = (size_t)(e->first.patches.taps * f->cp);
    e->moments = nl_alloc(rows + 1, sizeof *e->moments, "patch moments");
    e->mw = nl_alloc(rows * filter, sizeof *e->mw, "patch moments");
}

static void put_layer(nl_engine *e, int i) {
    nl_layer_fast *f = &e->layers[i];
    nl_place *places = f->places;
    const int64_t size = (int64_t)f->hw * f->cp;
    if (e->fuses_first && i == 0) {
        put_first(e, f);
        return;
    }
    put(e, &places[NL_Y], size);
    put(e, &places[NL_G], size);
    switch (f->layer->kind) {
    case NL_LAYER_CONV:
        put_conv(e, f, i == 0);
        if (f->layer->norm) put(e, &places[NL_Z], size);
        if (f->in_place)
            places[NL_DZ].at = places[NL_G].at;
        else
            put(e, &places[NL_DZ], size);
        break;
    case NL_LAYER_MAX_POOL:
        put(e, &places[NL_ARG], size);
        put(e, &places[NL_FACTOR], size);
        break;
    case NL_LAYER_AVG_POOL:
        break;
    }
}

/* Sizes, programs, places, in that order. */
static void lay_out(nl_engine *e) {
    const nl_model *model = e->model;
    for (int i = 0; i < model->n_layers; i++) {
        const nl_layer *l = &model->layers[i];
        e->layers[i] =
            (nl_layer_fast){.layer = l, .hw = l->out_h * l->out_w, .cp = nl_pad8(l->out_c)};
    }
    nl_program_fast_init(e);
    const nl_image_shape shape = model->picture.shape;
    const bool conv = model->layers[0].kind == NL_LAYER_CONV;
    e->input_cp = conv ? shape.channels : nl_pad8(shape.channels);
    if (e->input_cp > 1) e->scratch_floats = (nl_image_bytes(shape) + 15) / 16 * 16; /* planes */
    put(e, &e->input, (int64_t)nl_image_pixels(shape) * e->input_cp);
    for (int i = 0; i < model->n_layers; i++) put_layer(e, i);
}

/* ---- Cells and maps ---- */

static void place_cells(nl_engine *e, nl_layer_fast *f, int64_t *used) {
    if (f->layer->kind != NL_LAYER_CONV || !f->layer->norm) return;
    f->map_stride = nl_cuts(f->layer) ? 0 : 1;
    const int maps = f->map_stride ? e->rows : 1;
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

nl_norm_job nl_norm_job_of(nl_engine *e, const nl_layer_fast *f, float *buffers, int images) {
    const nl_layer *l = f->layer;
    const nl_tensor *t = e->model->tensors;
    return (nl_norm_job){.gamma = e->params + t[l->gamma].offset,
                         .beta = e->params + t[l->beta].offset,
                         .mean = l->norm->runs ? buffers + t[l->r_mean].offset : NULL,
                         .var = l->norm->runs ? buffers + t[l->r_var].offset : NULL,
                         .n = images,
                         .c = l->out_c,
                         .groups = l->groups,
                         .hw = f->hw,
                         .eps = e->spec.config->model.eps,
                         .momentum = e->spec.config->train.norm_momentum,
                         .centres = l->norm->centres};
}

/* ---- Whole ---- */

void nl_net_fast_init(nl_engine *e, const nl_engine_spec *spec, const nl_simd *simd) {
    const nl_model *model = spec->model;
    *e = (nl_engine){.spec = *spec, .model = model, .simd = simd};
    e->threads = nl_threads_open(spec->threads > 0 ? spec->threads : nl_processor_cores());
    const uint32_t train = spec->data->train.count, test = spec->data->test.count;
    const int workers = nl_threads_count(e->threads), wanted = spec->config->data.batch;
    const int batch = (uint32_t)wanted < train ? wanted : (int)train; /* no batch is larger */
    e->rows = batch > workers ? batch : workers;
    lay_out(e);
    allocate_cells(e);
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
    nl_pixel_table_make(&e->table, &model->picture);
}

void nl_net_fast_free(nl_engine *e) {
    nl_threads_close(e->threads);
    for (int i = 0; i < e->model->n_layers; i++) {
        e->simd->conv->free(&e->layers[i].conv);
        free(e->layers[i].cells);
        free(e->layers[i].map);
    }
    e->simd->first->free(&e->first);
    void *all[] = {e->moments,     e->mw,        e->kept,     e->desks,   e->scratch,  e->partials,
                   e->cell_memory, e->params,    e->momentum, e->buffers, e->gradient, e->fresh,
                   e->order,       e->rotations, e->records,  e->losses,  e->hits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
