/* The operations of the CPU engine's program, each on one image. */
#include "ops_fast.h"

#include <string.h> // memset, memcpy

#include "normlab/error.h" // NL_ASSERT

static nl_norm_map *map_of(nl_layer_fast *f, const nl_desk *d) {
    return &f->map[f->map_stride * d->row];
}

static float *place_at(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    const int bit = __builtin_ctz(tensor), layer = d->now->layer - bit / NL_VALUES;
    const nl_place *place = nl_place_of(p->e, layer, (nl_value)(bit % NL_VALUES));
    return (place->kept ? d->kept : d->own) + place->at;
}

/* A tensor of the operation's list, NL_HERE(..) or NL_BELOW(..), to read or to write. */
static const float *in(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->reads & tensor);
    return place_at(p, d, tensor);
}

static float *out(const nl_pass *p, const nl_desk *d, uint32_t tensor) {
    NL_ASSERT(d->now->writes & tensor);
    return place_at(p, d, tensor);
}

static void op_input(const nl_pass *p, const nl_desk *d) {
    float *x = out(p, d, NL_BELOW(NL_Y));
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
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    float *z = out(p, d, NL_HERE(l->norm ? NL_Z : NL_Y));
    nl_conv_fast_forward(z, in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
    if (!l->norm || (!p->training && nl_cuts(l))) return; /* that map stands already */
    nl_cells *cells = &f->cells[d->row];
    nl_cells_forward(cells, z, f->hw, f->cp);
    if (nl_cuts(l)) return;
    const nl_norm_job job = nl_norm_job_of(e, f, NULL, 1);
    nl_norms_fast[l->norm->sets].forward(map_of(f, d), cells, &job);
}

static void op_apply(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    float *y = out(p, d, NL_HERE(NL_Y));
    if (f->layer->norm)
        nl_norm_apply(y, in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw, f->cp, f->layer->relu);
    else
        nl_relu_forward_f32(y, in(p, d, NL_HERE(NL_Y)), (int64_t)f->hw * f->cp);
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
        factor = out(p, d, NL_HERE(NL_FACTOR));
        nl_dropout_fast_factors(factor, spec, d->image, l->out_c, f->hw, f->cp);
    }
    nl_pool_max_fast_forward(out(p, d, NL_HERE(NL_Y)),
                             (int32_t *)(void *)out(p, d, NL_HERE(NL_ARG)),
                             in(p, d, NL_BELOW(NL_Y)), factor, l->in_h, l->in_w, f->cp, l->kernel);
}

static void op_loss(const nl_pass *p, const nl_desk *d, int i) {
    nl_engine *e = p->e;
    const nl_layer *l = &e->model->layers[i];
    const int hw = l->in_h * l->in_w, classes = l->in_c, cp = nl_pad8(classes);
    const float *x = in(p, d, NL_BELOW(NL_Y));
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
        float *g = out(p, d, NL_BELOW(NL_G));
        memset(g, 0, sizeof *g * (size_t)(hw * cp));
        for (int q = 0; q < hw; q++)
            for (int c = 0; c < classes; c++) g[q * cp + c] = gradient[c] / (float)(p->count * hw);
    } else {
        const nl_eval_pass *w = p->wanted;
        const size_t at = (size_t)d->place * (size_t)classes,
                     size = sizeof *probs * (size_t)classes;
        if (w->probs) memcpy(w->probs + at, probs, size);
        if (w->logits) memcpy(w->logits + at, logits, size);
        if (w->predictions) w->predictions[d->place] = prediction;
    }
}

static void op_pool_back(const nl_pass *p, const nl_desk *d, int i) {
    const nl_layer *l = p->e->layers[i].layer;
    const bool drops = d->now->reads & NL_HERE(NL_FACTOR);
    nl_pool_max_fast_backward(out(p, d, NL_BELOW(NL_G)), in(p, d, NL_HERE(NL_G)),
                              (const int32_t *)(const void *)in(p, d, NL_HERE(NL_ARG)),
                              drops ? in(p, d, NL_HERE(NL_FACTOR)) : NULL, l->in_h, l->in_w,
                              p->e->layers[i].cp, l->kernel);
}

static void op_cells_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_engine *e = p->e;
    nl_layer_fast *f = &e->layers[i];
    const nl_layer *l = f->layer;
    nl_cells *cells = &f->cells[d->row];
    nl_cells_backward(cells, in(p, d, NL_HERE(NL_G)), in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw,
                      f->cp, l->relu);
    if (nl_cuts(l)) return; /* pooled at the cut */
    const nl_norm_job job = nl_norm_job_of(e, f, NULL, 1);
    nl_norms_fast[l->norm->sets].backward(map_of(f, d), cells, &job);
}

static void op_dz_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_layer_fast *f = &p->e->layers[i];
    const bool relu = f->layer->relu;
    const float *g = in(p, d, NL_HERE(NL_G));
    float *dz = out(p, d, NL_HERE(NL_DZ)), *dw = d->partial + f->dw, *dbias = d->partial + f->dbias;
    if (d->fresh_chunk) memset(dw, 0, sizeof *dw * (size_t)(f->dbias + f->cp - f->dw));
    if (f->layer->norm) {
        nl_norm_apply_backward(dz, dbias, g, in(p, d, NL_HERE(NL_Z)), map_of(f, d), f->hw, f->cp,
                               relu);
    } else {
        NL_ASSERT(dz == g);
        nl_relu_bias_backward(dz, dbias, in(p, d, NL_HERE(NL_Y)), f->hw, f->cp, relu);
    }
    nl_conv_fast_backward_filter(dw, dz, in(p, d, NL_BELOW(NL_Y)), &f->conv, d->scratch);
}

static void op_data_back(const nl_pass *p, const nl_desk *d, int i) {
    nl_conv_fast_backward_data(out(p, d, NL_BELOW(NL_G)), in(p, d, NL_HERE(NL_DZ)),
                               &p->e->layers[i].conv, d->scratch);
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
    case NL_OP_DATA_BACK:
        op_data_back(p, d, layer);
        break;
    }
}
