/* Runs the CPU engine's program: forward, backward and update of one step, or a pass of evaluation.
 */
#include <math.h>   // isfinite
#include <string.h> // memcpy

#include "normlab/error.h" // NL_ASSERT
#include "ops_fast.h"

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
    const nl_pass *p = context;
    const int chunk = p->reverse ? (p->count - 1) / NL_CHUNK - item : item;
    nl_engine *e = p->e;
    for (int i = 0; i < NL_CHUNK && chunk * NL_CHUNK + i < p->count; i++) {
        const int place = chunk * NL_CHUNK + i, row = p->training ? place : worker;
        nl_desk d = {.place = place,
                     .image = p->images ? p->images[place] : p->first + (uint32_t)place,
                     .row = row,
                     .kept = e->kept + row * e->kept_floats,
                     .own = e->desks + worker * e->desk_floats,
                     .scratch = e->scratch + worker * e->scratch_floats,
                     .partial = p->training ? e->partials + chunk * e->partial_floats : NULL,
                     .fresh_chunk = i == 0};
        poison(d.own, e->desk_floats);
        for (int s = p->begin; s < p->end; s++) {
            d.now = &p->program[s];
            nl_op_fast(p, &d);
        }
    }
}

/* All images have reached the end of a segment: a norm pools their cells. */
static void pool_cells(nl_engine *e, nl_program_step s, int count) {
    nl_layer_fast *f = &e->layers[s.layer];
    if (s.op == NL_OP_MOMENTS) {
        nl_first_pool(e, count);
        return;
    }
    const nl_norm_over *over = &nl_norms_fast[f->layer->norm->sets];
    const nl_norm_job job = nl_norm_job_of(e, f, e->fresh, count);
    (s.op == NL_OP_CELLS_BACK ? over->backward : over->forward)(f->map, f->cells, &job);
}

static void run_program(nl_pass *p, int steps) {
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
            e->simd->conv->pack(&e->layers[i].conv, nl_param(e, l->weight), nl_param(e, l->bias));
    }
    const nl_layer *l = &e->model->layers[0];
    if (e->fuses_first)
        e->simd->first->pack(&e->first, nl_param(e, l->weight), nl_param(e, l->bias), l->out_c);
}

/* ---- Training step ---- */

static void sum_gradients(nl_engine *e, int images) {
    const bool pooled = e->fuses_first && nl_cuts(&e->model->layers[0]);
    const int all = (images + NL_CHUNK - 1) / NL_CHUNK;
    if (pooled) nl_first_finish(e, images, all);
    for (int i = 0; i < e->model->n_layers; i++) {
        nl_layer_fast *f = &e->layers[i];
        const nl_layer *l = f->layer;
        if (l->kind != NL_LAYER_CONV) continue;
        const bool one = pooled && i == 0; /* the batch is one set, and its gradient one piece */
        const int chunks = one ? 1 : all, count = one ? 1 : images;
        const nl_tensor *t = e->model->tensors;
        e->simd->conv->sum_filter(e->gradient + t[l->weight].offset, e->partials + f->dw,
                                  e->partial_floats, chunks, &f->conv);
        float *dbias = e->gradient + t[l->bias].offset;
        for (int c = 0; c < l->out_c; c++) {
            dbias[c] = 0;
            for (int k = 0; k < chunks; k++)
                dbias[c] += e->partials[k * e->partial_floats + f->dbias + c];
        }
        if (l->norm)
            nl_norm_fast_affine(e->gradient + t[l->gamma].offset, e->gradient + t[l->beta].offset,
                                f->cells, f->map, count, f->map_stride, l->out_c);
    }
}

/* Added to what is there. */
static void sum_losses(const nl_engine *e, int count, double *loss, uint32_t *hits) {
    for (int i = 0; i < count; i++) {
        *loss += e->losses[i];
        *hits += e->hits[i];
    }
}

void nl_step_fast_train(nl_engine *e, uint32_t first, int count, nl_step_record *record) {
    const nl_config *config = e->spec.config;
    nl_pass p = {.e = e,
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
    *record = (nl_step_record){0};
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
    NL_ASSERT(wanted->first + wanted->images <= wanted->split->count);
    if (wanted->first == 0) *result = (nl_eval_result){0};
    nl_pass p = {.e = e,
                 .program = e->forward,
                 .split = wanted->split,
                 .rotations = wanted->rotations,
                 .first = wanted->first,
                 .count = (int)wanted->images,
                 .wanted = wanted};
    pack_weights(e);
    for (int i = 0; i < e->model->n_layers; i++) {
        nl_layer_fast *f = &e->layers[i];
        if (!nl_cuts(f->layer)) continue;
        const nl_norm_job job = nl_norm_job_of(e, f, e->buffers, 0);
        nl_norms_fast[f->layer->norm->sets].evaluate(f->map, NULL, &job);
    }
    run_program(&p, e->n_forward);
    sum_losses(e, p.count, &result->loss, &result->hits);
}
