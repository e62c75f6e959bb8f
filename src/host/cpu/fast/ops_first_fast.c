/* The first two layers in the CPU engine's program (cpu/simd/first.h). A norm that pools all images
 * has one set of patches, the batch's: one cell a channel, made at the cut behind the moments and,
 * in the gradient, at the end of the step. Else an image is a set, and all is done with it. */
#include <string.h> // memset

#include "ops_fast.h"

static int64_t filter_floats(const nl_engine *e) {
    return (int64_t)e->first.patches.taps * e->first.patches.cp;
}

/* The set that an image is of. */
static nl_patch_moments *moments_of(const nl_engine *e, int row) {
    return &e->moments[nl_cuts(e->layers[0].layer) ? e->rows : row];
}

static nl_first_map map_of(const nl_pass *p, const nl_desk *d) {
    static const double zero[NL_PATCH_CHANNELS] = {0};
    nl_layer_fast *f = &p->e->layers[0];
    const nl_layer *l = f->layer;
    const bool centred = l->norm && (p->training || !nl_cuts(l));
    return (nl_first_map){.centre = centred ? moments_of(p->e, d->row)->centre : zero,
                          .map = l->norm ? nl_desk_map(f, d) : NULL,
                          .relu = l->relu};
}

/* The job of a norm over the cells of one set. */
static nl_norm_job job_of(nl_engine *e, int images) {
    nl_norm_job job = nl_norm_job_of(e, &e->layers[0], e->fresh, 1);
    job.hw *= images;
    return job;
}

/* ---- Forward ---- */

/* From the moments of a set, its cells, and from them the norm's map. */
static void make_map(nl_engine *e, int row, int images) {
    nl_layer_fast *f = &e->layers[0];
    const nl_norm_job job = job_of(e, images);
    e->simd->patches->cells(&f->cells[row], e->mw + row * filter_floats(e), moments_of(e, row),
                            &e->first.patches, &e->first.filter);
    nl_norms_fast[f->layer->norm->sets].forward(&f->map[f->map_stride * row], &f->cells[row], &job);
}

void nl_op_moments(const nl_pass *p, const nl_desk *d) {
    nl_engine *e = p->e;
    e->simd->moments->take(&e->moments[d->row], nl_desk_in(p, d, NL_BELOW(NL_Y)), &e->first.patches,
                           (double *)(void *)d->scratch);
    if (!nl_cuts(e->layers[0].layer)) make_map(e, d->row, 1);
}

void nl_first_pool(nl_engine *e, int images) {
    e->simd->moments->pool(moments_of(e, 0), e->moments, images, &e->first.patches);
    make_map(e, 0, images);
}

void nl_op_first(const nl_pass *p, const nl_desk *d) {
    nl_engine *e = p->e;
    float *z = nl_desk_out(p, d, NL_HERE(e->layers[1].layer->norm ? NL_Z : NL_Y));
    const bool keeps = d->now->writes & NL_BELOW(NL_Y);
    float *y = keeps ? nl_desk_out(p, d, NL_BELOW(NL_Y)) : NULL;
    e->simd->first->forward(z, y, nl_desk_in(p, d, NL_UNDER(NL_Y)), &e->first, &e->layers[0].conv,
                            &e->layers[1].conv, map_of(p, d), d->scratch);
    nl_op_cells(p, d, z);
}

/* ---- Backward ---- */

/* The gradient of a set from its sums: added to dw and dbias, dgamma's and dbeta's part in its
 * cells. */
static void add_gradient(nl_engine *e, float *dw, float *dbias, const float *sums, const double *s1,
                         int row, int images) {
    nl_layer_fast *f = &e->layers[0];
    nl_cells *cells = &f->cells[row];
    nl_norm_map *map = &f->map[f->map_stride * row];
    const nl_patch_moments *m = moments_of(e, row);
    const nl_patches *patches = &e->first.patches;
    const nl_norm_job job = job_of(e, images);
    e->simd->patches->cells_backward(cells, sums, s1, map, m, patches, &e->first.filter);
    nl_norms_fast[f->layer->norm->sets].backward(map, cells, &job);
    e->simd->patches->gradient(dw, dbias, sums, s1, cells, map, e->mw + row * filter_floats(e), m,
                               patches);
}

void nl_op_first_back(const nl_pass *p, const nl_desk *d) {
    nl_engine *e = p->e;
    const nl_layer_fast *f = &e->layers[0];
    const int64_t floats = filter_floats(e);
    const bool kept = d->now->reads & NL_BELOW(NL_Y);
    float *dw = d->partial + f->dw, *dbias = d->partial + f->dbias;
    if (d->fresh_chunk) memset(dw, 0, sizeof *dw * (size_t)(f->dbias + f->cp - f->dw));
    double *s1 = (double *)(void *)(d->scratch + nl_first_loop_floats(e));
    const bool alone = f->layer->norm && !nl_cuts(f->layer); /* else the chunk sums its images */
    float *sums = alone ? (float *)(s1 + f->cp) : dw;
    memset(s1, 0, sizeof *s1 * (size_t)f->cp);
    if (alone) memset(sums, 0, sizeof *sums * (size_t)floats);
    e->simd->first->backward(
        d->partial + e->layers[1].dw, sums, s1, nl_desk_in(p, d, NL_HERE(NL_DZ)),
        kept ? nl_desk_in(p, d, NL_BELOW(NL_Y)) : NULL, nl_desk_in(p, d, NL_UNDER(NL_Y)), &e->first,
        &f->conv, &e->layers[1].conv, map_of(p, d), d->scratch);
    if (alone)
        add_gradient(e, dw, dbias, sums, s1, d->row, 1);
    else
        for (int c = 0; c < f->cp; c++) dbias[c] += (float)s1[c];
}

void nl_first_finish(nl_engine *e, int images, int chunks) {
    const nl_layer_fast *f = &e->layers[0];
    const int64_t floats = filter_floats(e);
    double *s1 = (double *)(void *)(e->scratch + nl_first_loop_floats(e));
    float *sums = (float *)(s1 + f->cp), *dw = e->partials + f->dw, *dbias = e->partials + f->dbias;
    for (int64_t i = 0; i < floats; i++) {
        double sum = 0;
        for (int k = 0; k < chunks; k++) sum += (double)dw[k * e->partial_floats + i];
        sums[i] = (float)sum;
    }
    for (int c = 0; c < f->cp; c++) {
        s1[c] = 0;
        for (int k = 0; k < chunks; k++) s1[c] += (double)dbias[k * e->partial_floats + c];
    }
    memset(dw, 0, sizeof *dw * (size_t)(f->dbias + f->cp - f->dw));
    add_gradient(e, dw, dbias, sums, s1, 0, images);
}
