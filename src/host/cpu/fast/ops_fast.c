/* The operations of the CPU engine's program, each on one image. */
#include "ops_fast.h"

#include <string.h> // memset, memcpy

#include "normlab/error.h" // NL_ASSERT

static void op_input(const nl_pass *p, const nl_desk *d) {
    float *x = nl_desk_out(p, d, NL_BELOW(NL_Y));
    const nl_image_shape shape = p->e->model->picture.shape;
    const int cp = p->e->input_cp, pixels = nl_image_pixels(shape);
    float *planes = cp == 1 ? x : d->scratch;
    nl_gather_f32(planes, p->split->images, shape, &d->image, p->rotations, &p->e->table, 1);
    if (cp == 1) return;
    for (int q = 0; q < pixels; q++)
        for (int c = 0; c < cp; c++)
            x[q * cp + c] = c < shape.channels ? planes[c * pixels + q] : 0;
}

static void op_conv(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    float *z = nl_desk_out(p, d, NL_HERE(f->layer->norm ? NL_Z : NL_Y));
    p->e->simd->conv->forward(z, nl_desk_in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
    nl_op_cells(p, d, z);
}

static void op_apply(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    float *y = nl_desk_out(p, d, NL_HERE(NL_Y));
    if (f->layer->norm)
        p->e->simd->norm->apply(y, nl_desk_in(p, d, NL_HERE(NL_Z)), nl_desk_map(f, d), f->hw, f->cp,
                                f->layer->relu);
    else
        nl_relu_forward_f32(y, nl_desk_in(p, d, NL_HERE(NL_Y)), (int64_t)f->hw * f->cp);
}

static void op_pool(const nl_pass *p, const nl_desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    float *factor = NULL;
    if (d->now->writes & NL_HERE(NL_FACTOR)) {
        const nl_dropout_spec spec = {.p = e->spec.config->model.dropout,
                                      .seed = e->spec.seed,
                                      .epoch = e->epoch,
                                      .layer = (uint32_t)l->dropout};
        factor = nl_desk_out(p, d, NL_HERE(NL_FACTOR));
        p->e->simd->pool->dropout(factor, spec, d->image, l->out_c, f->hw, f->cp);
    }
    p->e->simd->pool->forward(
        nl_desk_out(p, d, NL_HERE(NL_Y)), (int32_t *)(void *)nl_desk_out(p, d, NL_HERE(NL_ARG)),
        nl_desk_in(p, d, NL_BELOW(NL_Y)), factor, l->in_h, l->in_w, f->cp, l->kernel);
}

static void op_loss(const nl_pass *p, const nl_desk *d, int i) {
    nl_engine *e = p->e;
    const nl_layer *l = &e->model->layers[i];
    const int hw = l->in_h * l->in_w, classes = l->in_c, cp = nl_pad8(classes);
    const float *x = nl_desk_in(p, d, NL_BELOW(NL_Y));
    double sums[NL_MAX_CLASSES]; /* a running float sum over a large map would lose digits */
    float logits[NL_MAX_CLASSES], probs[NL_MAX_CLASSES], gradient[NL_MAX_CLASSES];
    for (int c = 0; c < classes; c++) sums[c] = 0;
    for (int q = 0; q < hw; q++)
        for (int c = 0; c < classes; c++) sums[c] += (double)x[q * cp + c];
    for (int c = 0; c < classes; c++) logits[c] = (float)(sums[c] / hw);
    uint8_t prediction;
    uint32_t hits;
    e->losses[d->place] = nl_softmax_loss_f32(probs, gradient, &prediction, &hits, logits,
                                              p->split->labels + d->image, 1, classes);
    e->hits[d->place] = (uint8_t)hits;
    if (p->training) {
        float *g = nl_desk_out(p, d, NL_BELOW(NL_G));
        memset(g, 0, sizeof *g * (size_t)(hw * cp));
        for (int q = 0; q < hw; q++)
            for (int c = 0; c < classes; c++) g[q * cp + c] = gradient[c] / (float)(p->count * hw);
    } else {
        const nl_eval_pass *w = p->wanted;
        const size_t at = (size_t)d->image * (size_t)classes,
                     size = sizeof *probs * (size_t)classes;
        if (w->probs) memcpy(w->probs + at, probs, size);
        if (w->logits) memcpy(w->logits + at, logits, size);
        if (w->predictions) w->predictions[d->image] = prediction;
    }
}

static void op_pool_back(const nl_pass *p, const nl_desk *d, int i) {
    const nl_layer *l = p->e->layers[i].layer;
    const bool drops = d->now->reads & NL_HERE(NL_FACTOR);
    p->e->simd->pool->backward(nl_desk_out(p, d, NL_BELOW(NL_G)), nl_desk_in(p, d, NL_HERE(NL_G)),
                               (const int32_t *)(const void *)nl_desk_in(p, d, NL_HERE(NL_ARG)),
                               drops ? nl_desk_in(p, d, NL_HERE(NL_FACTOR)) : NULL, l->in_h,
                               l->in_w, p->e->layers[i].cp, l->kernel);
}

static void op_cells_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    nl_cells *cells = &f->cells[d->row];
    p->e->simd->norm->cells_backward(cells, nl_desk_in(p, d, NL_HERE(NL_G)),
                                     nl_desk_in(p, d, NL_HERE(NL_Z)), nl_desk_map(f, d), f->hw,
                                     f->cp, l->relu);
    if (nl_cuts(l)) return; /* pooled at the cut */
    const nl_norm_job job = nl_norm_job_of(e, f, NULL, 1);
    nl_norms_fast[l->norm->sets].backward(nl_desk_map(f, d), cells, &job);
}

static void op_dz_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    const bool relu = f->layer->relu;
    const float *g = nl_desk_in(p, d, NL_HERE(NL_G));
    float *dz = nl_desk_out(p, d, NL_HERE(NL_DZ)), *dw = d->partial + f->dw,
          *dbias = d->partial + f->dbias;
    if (d->fresh_chunk) memset(dw, 0, sizeof *dw * (size_t)(f->dbias + f->cp - f->dw));
    if (f->layer->norm) {
        p->e->simd->norm->apply_backward(dz, dbias, g, nl_desk_in(p, d, NL_HERE(NL_Z)),
                                         nl_desk_map(f, d), f->hw, f->cp, relu);
    } else {
        NL_ASSERT(dz == g);
        p->e->simd->norm->bias_backward(dz, dbias, nl_desk_in(p, d, NL_HERE(NL_Y)), f->hw, f->cp,
                                        relu);
    }
}

static void op_filter_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    p->e->simd->conv->backward_filter(d->partial + f->dw, nl_desk_in(p, d, NL_HERE(NL_DZ)),
                                      nl_desk_in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
}

static void op_data_back(const nl_pass *p, const nl_desk *d, int i) {
    p->e->simd->conv->backward_data(nl_desk_out(p, d, NL_BELOW(NL_G)),
                                    nl_desk_in(p, d, NL_HERE(NL_DZ)), &p->e->layers[i].conv,
                                    d->scratch);
}

void nl_op_fast(const nl_pass *p, const nl_desk *d) {
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
    case NL_OP_FILTER_BACK:
        op_filter_back(p, d, layer);
        break;
    case NL_OP_DATA_BACK:
        op_data_back(p, d, layer);
        break;
    case NL_OP_MOMENTS:
        nl_op_moments(p, d);
        break;
    case NL_OP_FIRST:
        nl_op_first(p, d);
        break;
    case NL_OP_FIRST_BACK:
        nl_op_first_back(p, d);
        break;
    }
}
