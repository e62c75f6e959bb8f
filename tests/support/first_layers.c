/* See first_layers.h. */
#include "support/first_layers.h"

#include <math.h>   // sqrt
#include <stdlib.h> // free
#include <string.h> // memset

#include "cpu/fast/isa.h" // nl_isa_choose
#include "normlab/rng.h"  // nl_philox4x32

#define EPS 1e-5
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

const nl_simd *first_simd(const char *name) {
    char *before = getenv("NORMLAB_ISA");
    before = before ? strdup(before) : NULL;
    const nl_simd *simd;
    nl_error err;
    if (name) setenv("NORMLAB_ISA", name, 1);
    const int code = nl_isa_choose(&simd, &err);
    if (before)
        setenv("NORMLAB_ISA", before, 1);
    else
        unsetenv("NORMLAB_ISA");
    free(before);
    return code ? NULL : simd;
}

/* ---- A problem ---- */

const char *const first_names[OUTPUTS] = {"z2",  "dw1",  "db1",      "dgamma", "dbeta",
                                          "dw2", "mean", "variance", "u",      "dz1"};

float first_draw(int64_t i, int key) {
    const nl_philox r = nl_philox4x32((uint32_t)i, 0, 0, 0, (uint32_t)key, 55);
    double sum = 0;
    for (int k = 0; k < 4; k++) sum += r.v[k] / 4294967296.0 - 0.5;
    return (float)(sum * sqrt(3));
}

static void fill(problem *p, int which, int64_t count, double mean, double sigma) {
    p->in_count[which] = count;
    p->in[which] = nl_alloc((size_t)count, sizeof(float), "input");
    for (int64_t i = 0; i < count; i++)
        p->in[which][i] = (float)(mean + sigma * (double)first_draw(i, which));
}

const char *first_norm(const problem *p) {
    for (nl_norm norm = 0; norm < NL_NORMS; norm++)
        if (p->norm && nl_norm_find(norm) == p->norm) return nl_norm_words[norm];
    return "none";
}

problem first_problem(nl_conv_shape one, int o2, nl_norm norm, int groups, bool relu) {
    const int oh = one.h + 2 * one.pad - one.k + 1, ow = one.w + 2 * one.pad - one.k + 1;
    const int64_t taps = (int64_t)one.k * one.k * one.c, out = (int64_t)one.n * oh * ow;
    problem p = {.one = one,
                 .two = {one.n, one.o, oh, ow, o2, 1, 0},
                 .norm = nl_norm_find(norm),
                 .groups = groups,
                 .relu = relu};
    fill(&p, X, (int64_t)one.n * one.c * one.h * one.w, 0, 1);
    fill(&p, W1, one.o * taps, 0, 1 / sqrt((double)taps));
    fill(&p, B1, one.o, 0, 0.3);
    fill(&p, GAMMA, one.o, 1, 0.5);
    fill(&p, BETA, one.o, 0.1, 0.5);
    fill(&p, W2, (int64_t)o2 * one.o, 0, 0.3);
    fill(&p, B2, o2, 0, 0.3);
    fill(&p, DZ2, out * o2, 0.02, 1);
    p.out_count[Z2] = out * o2;
    p.out_count[DW1] = one.o * taps;
    p.out_count[DB1] = one.o;
    p.out_count[DGAMMA] = p.out_count[DBETA] = p.norm ? one.o : 0;
    p.out_count[DW2] = (int64_t)o2 * one.o;
    p.out_count[MEAN] = p.out_count[VAR] = p.norm && p.norm->runs ? one.o : 0;
    p.out_count[U] = p.out_count[DZ1] = out * one.o;
    return p;
}

void first_drop(problem *p) {
    for (int i = 0; i < INPUTS; i++) free(p->in[i]);
}

outputs first_outputs(const problem *p) {
    outputs r;
    for (int i = 0; i < OUTPUTS; i++) {
        r.of[i] = nl_alloc((size_t)p->out_count[i], sizeof(double), "output");
        for (int64_t k = 0; k < p->out_count[i]; k++) r.of[i][k] = NAN;
    }
    return r;
}

void first_drop_outputs(outputs *r) {
    for (int i = 0; i < OUTPUTS; i++) free(r->of[i]);
}

/* ---- The plain operations, in either precision ---- */

#define real double
#define OP(name) nl_##name##_f64
#define OWN(name) first_##name##_f64
#include "support/first_plain.h"
#undef real
#undef OP
#undef OWN
#define real float
#define OP(name) nl_##name##_f32
#define OWN(name) first_##name##_f32
#include "support/first_plain.h"
#undef real
#undef OP
#undef OWN

/* ---- The operation ---- */

static float *numbers(int64_t count) {
    return nl_alloc((size_t)count, sizeof(float), "fast");
}

/* One image, (c, hw) to (hw, cp) and back. */
static void to_pixels(float *to, const float *from, int c, int hw, int cp) {
    for (int q = 0; q < hw; q++)
        for (int k = 0; k < cp; k++) to[q * cp + k] = k < c ? from[k * hw + q] : 0;
}

static void from_pixels(double *to, const float *from, int c, int hw, int cp) {
    for (int k = 0; k < c; k++)
        for (int q = 0; q < hw; q++) to[k * hw + q] = (double)from[q * cp + k];
}

static bool pools(const fast *f) {
    return f->p->norm && f->p->norm->sets == NL_SETS_BATCH;
}

int first_row(const fast *f, int image) {
    return pools(f) ? 0 : image;
}

static nl_patch_moments *set_of(const fast *f, int image) {
    return &f->moments[pools(f) ? f->p->one.n : image];
}

static nl_norm_job job_of(const fast *f) {
    const problem *p = f->p;
    const int images = pools(f) ? p->one.n : 1;
    return (nl_norm_job){.gamma = p->in[GAMMA],
                         .beta = p->in[BETA],
                         .mean = f->running,
                         .var = f->running + f->cp,
                         .n = 1,
                         .c = p->one.o,
                         .groups = p->groups,
                         .hw = f->hw * images,
                         .eps = EPS,
                         .momentum = 1,
                         .centres = p->norm->centres};
}

void first_open(fast *f, const problem *p, const nl_simd *simd) {
    const int n = p->one.n, taps = p->one.k * p->one.k * p->one.c;
    memset(f, 0, sizeof *f);
    f->p = p;
    f->simd = simd;
    f->simd->first->init(&f->first, p->one);
    f->simd->conv->init(&f->one, p->one, true);
    f->simd->conv->init(&f->two, p->two, false);
    f->simd->first->pack(&f->first, p->in[W1], p->in[B1], p->one.o);
    f->simd->conv->pack(&f->one, p->in[W1], p->in[B1]);
    f->simd->conv->pack(&f->two, p->in[W2], p->in[B2]);
    f->hw = p->two.h * p->two.w;
    f->pixels = p->one.h * p->one.w;
    f->cp = nl_pad8(p->one.o);
    f->cp2 = nl_pad8(p->two.o);
    f->moments = nl_alloc((size_t)n + 1, sizeof *f->moments, "moments");
    f->cells = nl_alloc((size_t)n, sizeof *f->cells, "cells");
    f->maps = nl_alloc((size_t)n, sizeof *f->maps, "maps");
    float *at = f->memory = numbers((int64_t)n * 12 * f->cp);
    for (int i = 0; i < n; i++) {
        float *r[12];
        for (int k = 0; k < 12; k++, at += f->cp) r[k] = at;
        f->cells[i] = (nl_cells){r[0], r[1], r[2], r[3], r[4]};
        f->maps[i] = (nl_norm_map){r[5], r[6], r[7], r[8], r[9], r[10], r[11]};
    }
    f->mw = numbers((int64_t)n * taps * f->cp);
    f->x = numbers((int64_t)n * f->pixels * p->one.c);
    f->y = numbers((int64_t)n * f->hw * f->cp);
    f->z2 = numbers((int64_t)f->hw * f->cp2);
    f->dz2 = numbers((int64_t)f->hw * f->cp2);
    f->sums = numbers((int64_t)taps * f->cp);
    f->dw1 = numbers((int64_t)taps * f->cp);
    f->db1 = numbers(f->cp);
    f->dw2 = numbers((int64_t)f->cp * f->cp2);
    f->running = numbers(2 * f->cp);
    f->s1 = nl_alloc((size_t)f->cp, sizeof *f->s1, "fast");
    const int64_t loops = f->simd->first->scratch(&f->first),
                  moments = 2 * f->simd->moments->scratch(&f->first.patches);
    f->scratch = numbers(loops > moments ? loops : moments);
}

void first_close(fast *f) {
    f->simd->first->free(&f->first);
    f->simd->conv->free(&f->one);
    f->simd->conv->free(&f->two);
    void *all[] = {f->moments, f->cells, f->maps, f->memory, f->mw,  f->x,       f->y,       f->z2,
                   f->dz2,     f->sums,  f->dw1,  f->db1,    f->dw2, f->scratch, f->running, f->s1};
    for (int i = 0; i < COUNT(all); i++) free(all[i]);
}

static void make_maps(fast *f) {
    const problem *p = f->p;
    const nl_patches *patches = &f->first.patches;
    if (!p->norm) return;
    for (int i = 0; i < p->one.n; i++)
        f->simd->moments->take(&f->moments[i], f->x + (int64_t)i * f->pixels * p->one.c, patches,
                               (double *)(void *)f->scratch);
    if (pools(f)) f->simd->moments->pool(set_of(f, 0), f->moments, p->one.n, patches);
    const nl_norm_job job = job_of(f);
    for (int i = 0; i < (pools(f) ? 1 : p->one.n); i++) {
        f->simd->patches->cells(&f->cells[i], f->mw + (int64_t)i * patches->taps * f->cp,
                                set_of(f, i), patches, &f->first.filter);
        nl_norms_fast[p->norm->sets].forward(&f->maps[i], &f->cells[i], &job);
    }
}

static void add_gradient(fast *f, int row) {
    const nl_patches *patches = &f->first.patches;
    const nl_norm_job job = job_of(f);
    f->simd->patches->cells_backward(&f->cells[row], f->sums, f->s1, &f->maps[row], set_of(f, row),
                                     patches, &f->first.filter);
    nl_norms_fast[f->p->norm->sets].backward(&f->maps[row], &f->cells[row], &job);
    f->simd->patches->gradient(f->dw1, f->db1, f->sums, f->s1, &f->cells[row], &f->maps[row],
                               f->mw + (int64_t)row * patches->taps * f->cp, set_of(f, row),
                               patches);
    memset(f->sums, 0, sizeof *f->sums * (size_t)(patches->taps * f->cp));
    memset(f->s1, 0, sizeof *f->s1 * (size_t)f->cp);
}

static void run_images(fast *f, outputs *r) {
    static const double zero[NL_PATCH_CHANNELS];
    const problem *p = f->p;
    for (int i = 0; i < p->one.n; i++) {
        const nl_first_map how = {p->norm ? set_of(f, i)->centre : zero,
                                  p->norm ? &f->maps[first_row(f, i)] : NULL, p->relu};
        const float *x = f->x + (int64_t)i * f->pixels * p->one.c;
        float *y = f->y + (int64_t)i * f->hw * f->cp;
        const int64_t at = (int64_t)i * f->hw * p->two.o;
        f->simd->first->forward(f->z2, y, x, &f->first, &f->one, &f->two, how, f->scratch);
        from_pixels(r->of[Z2] + at, f->z2, p->two.o, f->hw, f->cp2);
        to_pixels(f->dz2, p->in[DZ2] + at, p->two.o, f->hw, f->cp2);
        f->simd->first->backward(f->dw2, f->sums, f->s1, f->dz2, f->again ? NULL : y, x, &f->first,
                                 &f->one, &f->two, how, f->scratch);
        if (p->norm && !pools(f)) add_gradient(f, i);
    }
    if (pools(f)) add_gradient(f, 0);
    if (p->norm) return;
    memcpy(f->dw1, f->sums, sizeof *f->dw1 * (size_t)(f->first.patches.taps * f->cp));
    for (int c = 0; c < f->cp; c++) f->db1[c] = (float)f->s1[c];
}

void first_run(fast *f, outputs *r) {
    const problem *p = f->p;
    for (int i = 0; i < p->one.n; i++)
        to_pixels(f->x + (int64_t)i * f->pixels * p->one.c,
                  p->in[X] + (int64_t)i * f->pixels * p->one.c, p->one.c, f->pixels, p->one.c);
    make_maps(f);
    run_images(f, r);
}

void first_run_fast(outputs *r, const problem *p, const nl_simd *simd, bool again) {
    fast f;
    first_open(&f, p, simd);
    f.again = again;
    first_run(&f, r);
    float *dw1 = numbers(p->out_count[DW1]), *dw2 = numbers(p->out_count[DW2]);
    float *dgamma = numbers(p->one.o), *dbeta = numbers(p->one.o);
    f.simd->conv->sum_filter(dw1, f.dw1, 0, 1, &f.one);
    f.simd->conv->sum_filter(dw2, f.dw2, 0, 1, &f.two);
    if (p->norm)
        nl_norm_fast_affine(dgamma, dbeta, f.cells, f.maps, pools(&f) ? 1 : p->one.n, 1, p->one.o);
    float *const out[] = {NULL, dw1, f.db1, dgamma, dbeta, dw2, f.running, f.running + f.cp};
    for (int i = DW1; i <= VAR; i++)
        for (int64_t k = 0; k < p->out_count[i]; k++) r->of[i][k] = (double)out[i][k];
    free(dw1), free(dw2), free(dgamma), free(dbeta);
    first_close(&f);
}
