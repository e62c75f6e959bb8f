/* Runs the CPU engine's program: forward, backward and update of one step, or a pass of evaluation.
 */
#include "net_fast.h"

#include <math.h>   // isfinite
#include <string.h> // memset, memcpy

#include "normlab/error.h" // NL_ASSERT

/* What is the same for all images of a run over the program. */
typedef struct pass {
    nl_engine *e;
    const nl_program_step *program;
    int begin, end; /* the segment */
    bool reverse;   /* every other segment starts with the images that are still in the cache */
    bool training;
    const uint32_t *images; /* (count): their numbers; NULL: as they stand in the file */
    const nl_split *split;
    const nl_rotation *rotations;
    int count;
    const nl_eval_pass *wanted;
} pass;

/* Where one image works. */
typedef struct desk {
    int place;      /* in the batch or pass */
    uint32_t image; /* number in the data set */
    int row;        /* of cells and maps */
    float *kept, *own, *scratch, *partial;
    bool fresh_chunk;           /* the first image of its chunk: partial gradients start at zero */
    const nl_program_step *now; /* the operation at work */
} desk;

static nl_norm_map *map_of(nl_layer_fast *f, const desk *d) {
    return &f->map[f->map_stride * d->row];
}

static float *param(nl_engine *e, int tensor) {
    return e->params + e->model->tensors[tensor].offset;
}

static float *place_at(const pass *p, const desk *d, uint32_t tensor) {
    const int bit = __builtin_ctz(tensor), layer = d->now->layer - bit / NL_VALUES;
    const nl_place *place = nl_place_of(p->e, layer, (nl_value)(bit % NL_VALUES));
    return (place->kept ? d->kept : d->own) + place->at;
}

/* A tensor of the operation's list, NL_HERE(..) or NL_BELOW(..), to read or to write. */
static const float *in(const pass *p, const desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->reads & tensor);
    return place_at(p, d, tensor);
}

static float *out(const pass *p, const desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->writes & tensor);
    return place_at(p, d, tensor);
}

/* ---- Operations, one image ---- */

static void op_input(const pass *p, const desk *d) {
    float *x = out(p, d, NL_BELOW(NL_Y));
    nl_gather_f32(x, p->split->images, &d->image, p->rotations, p->e->table, 1);
    const int cp = p->e->input_cp;
    for (int q = NL_PIXELS - 1; q >= 0 && cp > 1; q--) { /* apart, from the end */
        const float value = x[q];
        memset(x + q * cp, 0, sizeof *x * (size_t)cp);
        x[q * cp] = value;
    }
}

static void op_conv(const pass *p, const desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    float *z = out(p, d, NL_HERE(l->stats == NL_STATS_NONE ? NL_Y : NL_Z));
    nl_conv_fast_forward(z, in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
    switch (l->stats) {
    case NL_STATS_NONE:
        break;
    case NL_STATS_BATCH: /* an evaluation takes the running values */
        if (p->training) nl_cells_forward(&f->cells[d->row], z, f->hw, f->cp);
        break;
    case NL_STATS_GROUP:
        nl_cells_forward(&f->cells[d->row], z, f->hw, f->cp);
        nl_norm_group_fast_forward(map_of(f, d), &f->cells[d->row], param(e, l->gamma),
                                   param(e, l->beta), l->out_c, l->groups, f->hw, e->model->eps);
        break;
    }
}

static void op_apply(const pass *p, const desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    float *y = out(p, d, NL_HERE(NL_Y));
    if (f->layer->stats != NL_STATS_NONE)
        nl_norm_apply(y, in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw, f->cp, f->layer->relu);
    else
        nl_relu_forward_f32(y, in(p, d, NL_HERE(NL_Y)), (int64_t)f->hw * f->cp);
}

static void op_pool(const pass *p, const desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    float *factor = NULL;
    if (d->now->writes & NL_HERE(NL_FACTOR)) {
        const nl_dropout_spec spec = {.p = e->model->dropout,
                                      .seed = e->spec.seed,
                                      .epoch = e->epoch,
                                      .layer = (uint32_t)l->dropout};
        factor = out(p, d, NL_HERE(NL_FACTOR));
        nl_dropout_fast_factors(factor, spec, d->image, l->out_c, f->hw, f->cp);
    }
    nl_pool_max_fast_forward(out(p, d, NL_HERE(NL_Y)),
                             (int32_t *)(void *)out(p, d, NL_HERE(NL_ARG)),
                             in(p, d, NL_BELOW(NL_Y)), factor, l->in_h, l->in_w, f->cp, l->kernel);
}

static void op_loss(const pass *p, const desk *d, int i) {
    nl_engine *e = p->e;
    const nl_layer *l = &e->model->layers[i];
    const int hw = l->in_h * l->in_w, cp = nl_pad8(l->in_c);
    const float *x = in(p, d, NL_BELOW(NL_Y));
    double sums[NL_CLASSES] = {0}; /* a running float sum over a large map would lose digits */
    float logits[NL_CLASSES], probs[NL_CLASSES], gradient[NL_CLASSES];
    for (int q = 0; q < hw; q++)
        for (int c = 0; c < NL_CLASSES; c++) sums[c] += (double)x[q * cp + c];
    for (int c = 0; c < NL_CLASSES; c++) logits[c] = (float)(sums[c] / hw);
    uint8_t prediction;
    uint32_t hits;
    e->losses[d->place] = nl_softmax_loss_f32(probs, gradient, &prediction, &hits, logits,
                                              p->split->labels + d->image, 1, NL_CLASSES);
    e->hits[d->place] = (uint8_t)hits;
    if (p->training) {
        float *g = out(p, d, NL_BELOW(NL_G));
        memset(g, 0, sizeof *g * (size_t)(hw * cp));
        for (int q = 0; q < hw; q++)
            for (int c = 0; c < NL_CLASSES; c++)
                g[q * cp + c] = gradient[c] / (float)(p->count * hw);
    } else {
        const nl_eval_pass *w = p->wanted;
        const size_t at = (size_t)d->place * NL_CLASSES;
        if (w->probs) memcpy(w->probs + at, probs, sizeof probs);
        if (w->logits) memcpy(w->logits + at, logits, sizeof logits);
        if (w->predictions) w->predictions[d->place] = prediction;
    }
}

static void op_pool_back(const pass *p, const desk *d, int i) {
    const nl_layer *l = p->e->layers[i].layer;
    const bool drops = d->now->reads & NL_HERE(NL_FACTOR);
    nl_pool_max_fast_backward(out(p, d, NL_BELOW(NL_G)), in(p, d, NL_HERE(NL_G)),
                              (const int32_t *)(const void *)in(p, d, NL_HERE(NL_ARG)),
                              drops ? in(p, d, NL_HERE(NL_FACTOR)) : NULL, l->in_h, l->in_w,
                              p->e->layers[i].cp, l->kernel);
}

static void op_cells_back(const pass *p, const desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    nl_cells *cells = &f->cells[d->row];
    nl_cells_backward(cells, in(p, d, NL_HERE(NL_G)), in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw,
                      f->cp, l->relu);
    switch (l->stats) {
    case NL_STATS_NONE:
    case NL_STATS_BATCH: /* pooled at the cut */
        break;
    case NL_STATS_GROUP:
        nl_norm_group_fast_backward(map_of(f, d), cells, param(e, l->gamma), l->out_c, l->groups,
                                    f->hw);
        break;
    }
}

static void op_dz_back(const pass *p, const desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    const bool relu = f->layer->relu;
    const float *g = in(p, d, NL_HERE(NL_G));
    float *dz = out(p, d, NL_HERE(NL_DZ)), *dw = d->partial + f->dw, *dbias = d->partial + f->dbias;
    if (d->fresh_chunk) memset(dw, 0, sizeof *dw * (size_t)(f->dbias + f->cp - f->dw));
    if (f->layer->stats != NL_STATS_NONE) {
        nl_norm_apply_backward(dz, dbias, g, in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw, f->cp,
                               relu);
    } else {
        NL_ASSERT(dz == g);
        nl_relu_bias_backward(dz, dbias, in(p, d, NL_HERE(NL_Y)), f->hw, f->cp, relu);
    }
    nl_conv_fast_backward_filter(dw, dz, in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
}

static void op_data_back(const pass *p, const desk *d, int i) {
    nl_conv_fast_backward_data(out(p, d, NL_BELOW(NL_G)), in(p, d, NL_HERE(NL_DZ)),
                               &p->e->layers[i].conv, d->scratch);
}

static void run_op(const pass *p, const desk *d) {
    const int layer = d->now->layer;
    switch (d->now->op) {
    case NL_OP_INPUT:
        op_input(p, d);
        break;
    case NL_OP_CONV:
        op_conv(p, d, layer);
        break;
    case NL_OP_APPLY:
        op_apply(p, d, layer);
        break;
    case NL_OP_POOL:
        op_pool(p, d, layer);
        break;
    case NL_OP_LOSS:
        op_loss(p, d, layer);
        break;
    case NL_OP_POOL_BACK:
        op_pool_back(p, d, layer);
        break;
    case NL_OP_CELLS_BACK:
        op_cells_back(p, d, layer);
        break;
    case NL_OP_DZ_BACK:
        op_dz_back(p, d, layer);
        break;
    case NL_OP_DATA_BACK:
        op_data_back(p, d, layer);
        break;
    }
}

/* ---- A segment over all images ---- */

/* Debug builds: what is read without having been written shows. */
static void poison(float *values, int64_t count) {
#ifdef NL_POISON
    for (int64_t i = 0; i < count; i++) values[i] = NAN;
#else
    (void)values, (void)count;
#endif
}

static void run_chunk(void *context, int item, int worker) {
    const pass *p = context;
    const int chunk = p->reverse ? (p->count - 1) / NL_CHUNK - item : item;
    nl_engine *e = p->e;
    for (int i = 0; i < NL_CHUNK && chunk * NL_CHUNK + i < p->count; i++) {
        const int place = chunk * NL_CHUNK + i, row = p->training ? place : worker;
        desk d = {.place = place,
                  .image = p->images ? p->images[place] : (uint32_t)place,
                  .row = row,
                  .kept = e->kept + row * e->kept_floats,
                  .own = e->desks + worker * e->desk_floats,
                  .scratch = e->scratch + worker * e->scratch_floats,
                  .partial = p->training ? e->partials + chunk * e->partial_floats : NULL,
                  .fresh_chunk = i == 0};
        poison(d.own, e->desk_floats);
        for (int s = p->begin; s < p->end; s++) {
            d.now = &p->program[s];
            run_op(p, &d);
        }
    }
}

/* All images have reached the end of a segment: batch norm pools their cells. */
static void pool_cells(nl_engine *e, nl_program_step s, int count) {
    nl_layer_fast *f = &e->layers[s.layer];
    const nl_layer *l = f->layer;
    if (s.op == NL_OP_CONV) {
        float *mean = e->fresh + e->model->tensors[l->r_mean].offset;
        float *var = e->fresh + e->model->tensors[l->r_var].offset;
        nl_norm_batch_fast_forward(f->map, mean, var, f->cells, param(e, l->gamma),
                                   param(e, l->beta), count, l->out_c, f->hw, e->model->eps,
                                   e->model->norm_momentum);
    } else {
        nl_norm_batch_fast_backward(f->map, f->cells, param(e, l->gamma), count, l->out_c, f->hw);
    }
}

static void run_program(pass *p, int steps) {
    for (p->begin = 0; p->begin < steps; p->begin = p->end, p->reverse = !p->reverse) {
        p->end = p->begin;
        while (p->end < steps && !p->program[p->end++].pool_cells) continue;
        nl_threads_run(p->e->threads, run_chunk, p, (p->count + NL_CHUNK - 1) / NL_CHUNK);
        const nl_program_step last = p->program[p->end - 1];
        if (last.pool_cells) pool_cells(p->e, last, p->count);
    }
}

static void pack_weights(nl_engine *e) {
    for (int i = 0; i < e->model->n_layers; i++) {
        const nl_layer *l = &e->model->layers[i];
        if (l->kind == NL_LAYER_CONV)
            nl_conv_fast_pack(&e->layers[i].conv, param(e, l->weight), param(e, l->bias));
    }
}

/* ---- Training step ---- */

static void sum_gradients(nl_engine *e, int count) {
    const int chunks = (count + NL_CHUNK - 1) / NL_CHUNK;
    for (int i = 0; i < e->model->n_layers; i++) {
        nl_layer_fast *f = &e->layers[i];
        const nl_layer *l = f->layer;
        if (l->kind != NL_LAYER_CONV) continue;
        const nl_tensor *t = e->model->tensors;
        nl_conv_fast_sum_filter(e->gradient + t[l->weight].offset, e->partials + f->dw,
                                e->partial_floats, chunks, &f->conv);
        float *dbias = e->gradient + t[l->bias].offset;
        for (int c = 0; c < l->out_c; c++) {
            dbias[c] = 0;
            for (int k = 0; k < chunks; k++)
                dbias[c] += e->partials[k * e->partial_floats + f->dbias + c];
        }
        if (l->stats != NL_STATS_NONE)
            nl_norm_fast_affine(e->gradient + t[l->gamma].offset, e->gradient + t[l->beta].offset,
                                f->cells, f->map, count, f->map_stride, l->out_c);
    }
}

static void sum_losses(const nl_engine *e, int count, double *loss, uint32_t *hits) {
    *loss = 0;
    *hits = 0;
    for (int i = 0; i < count; i++) {
        *loss += e->losses[i];
        *hits += e->hits[i];
    }
}

void nl_step_fast_train(nl_engine *e, uint32_t first, int count, nl_step_record *record) {
    const nl_config *config = e->spec.config;
    pass p = {.e = e,
              .program = e->train,
              .training = true,
              .images = e->order + first,
              .split = &e->spec.data->train,
              .rotations = e->rotated ? e->rotations : NULL,
              .count = count};
    memcpy(e->fresh, e->buffers, sizeof *e->fresh * (size_t)e->model->buffers_size);
    poison(e->kept, e->rows * e->kept_floats);
    poison(e->partials, (count + NL_CHUNK - 1) / NL_CHUNK * e->partial_floats);
    pack_weights(e);
    run_program(&p, e->n_train);
    sum_losses(e, count, &record->loss, &record->hits);
    record->loss /= count;
    record->images = (uint32_t)count;
    const double l1 = config->train.l1;
    record->penalty = l1 > 0 ? l1 * nl_sum_abs_f32(e->params, e->model->params_size) : 0;
    if (!isfinite(record->loss) || !isfinite(record->penalty)) e->stopped = true;
    if (e->stopped) return;
    sum_gradients(e, count);
    const nl_sgd sgd = {.lr = e->lr,
                        .momentum = config->train.momentum,
                        .l1 = l1,
                        .weight_decay = config->train.weight_decay,
                        .nesterov = config->train.nesterov};
    nl_sgd_update_f32(e->params, e->momentum, e->gradient, e->model->params_size, sgd);
    memcpy(e->buffers, e->fresh, sizeof *e->fresh * (size_t)e->model->buffers_size);
}

/* ---- Evaluation ---- */

void nl_step_fast_evaluate(nl_engine *e, const nl_eval_pass *wanted, nl_eval_result *result) {
    NL_ASSERT(wanted->images <= wanted->split->count);
    pass p = {.e = e,
              .program = e->forward,
              .split = wanted->split,
              .rotations = wanted->rotations,
              .count = (int)wanted->images,
              .wanted = wanted};
    pack_weights(e);
    for (int i = 0; i < e->model->n_layers; i++) {
        const nl_layer *l = &e->model->layers[i];
        if (!nl_over_batch(l)) continue;
        const nl_tensor *t = e->model->tensors;
        nl_norm_batch_fast_eval(e->layers[i].map, param(e, l->gamma), param(e, l->beta),
                                e->buffers + t[l->r_mean].offset, e->buffers + t[l->r_var].offset,
                                l->out_c, e->model->eps);
    }
    run_program(&p, e->n_forward);
    sum_losses(e, p.count, &result->loss, &result->hits);
}
