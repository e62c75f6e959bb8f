/* step_truth.h: the step in double precision, and plain float's error as its measure. */
#include "step_truth.h"

#include <float.h>  // FLT_EPSILON
#include <math.h>   // fabs
#include <stdlib.h> // free

#include "normlab/philox.h" // nl_philox4x32
#include "normlab/verify.h" // nl_verify_bound

enum { SAMPLE_KEY = 102 };

/* A tensor's largest value in double, as a share of float's error: its digits are rounding. */
static const double VANISHED = 1e-4;

static double *numbers(int64_t count) {
    return nl_alloc((size_t)count, sizeof(double), "gradients");
}

void nl_flips_add(nl_flips *f, int layer, int64_t at, int32_t arg) {
    if (f->count == f->size) {
        f->size = 2 * f->size + 16;
        f->list = realloc(f->list, (size_t)f->size * sizeof *f->list);
        NL_NEED(f->list);
    }
    f->list[f->count++] = (nl_flip){layer, at, arg};
}

int64_t nl_truth_elements(const nl_step_truth *t, int layer) {
    const nl_layer *l = &t->spec->model->layers[layer];
    return (int64_t)nl_probe_images_f64(t->probe) * l->out_c * l->out_h * l->out_w;
}

int64_t nl_truth_place(const nl_step_truth *t, int tensor) {
    const nl_tensor *x = &t->spec->model->tensors[tensor];
    return x->offset + (x->buffer ? t->spec->model->params_size : 0);
}

/* ---- measure
 * -------------------------------------------------------------------------------------
 */

/* A step in both precisions. */
typedef struct pair {
    nl_probe_f64 *wide;
    nl_probe_f32 *narrow;
} pair;

/* Where float has decided otherwise than double. */
static void find_differences(nl_flips *f, const nl_step_truth *t, pair p) {
    for (int i = 0; i < t->spec->model->n_layers; i++) {
        const nl_layer *l = &t->spec->model->layers[i];
        const int64_t count = nl_truth_elements(t, i);
        if (l->kind == NL_LAYER_MAX_POOL) {
            const int32_t *wide = nl_probe_args_f64(p.wide, i);
            const int32_t *narrow = nl_probe_args_f32(p.narrow, i);
            for (int64_t k = 0; k < count; k++)
                if (wide[k] != narrow[k]) nl_flips_add(f, i, k, narrow[k]);
        } else if (l->kind == NL_LAYER_CONV && l->relu) {
            double *u = numbers(count), *v = numbers(count);
            nl_probe_output_f64(u, p.wide, i);
            nl_probe_output_f32(v, p.narrow, i);
            for (int64_t k = 0; k < count; k++)
                if ((u[k] > 0) != (v[k] > 0)) nl_flips_add(f, i, k, 0);
            free(u);
            free(v);
        }
    }
}

static void measure_layers(nl_step_truth *t, pair p) {
    for (int i = 0; i < t->spec->model->n_layers; i++) {
        const int64_t count = nl_truth_elements(t, i);
        double *u = numbers(count), *v = numbers(count);
        nl_probe_output_f64(u, p.wide, i);
        nl_probe_output_f32(v, p.narrow, i);
        t->tolerance[i] = fmax(t->tolerance[i], nl_verify_bound(nl_verify_distance(v, u, count),
                                                                nl_verify_largest(u, count)));
        free(u);
        free(v);
    }
}

static void measure_step(nl_step_truth *t, pair p) {
    const nl_model *model = t->spec->model;
    nl_flips f = {0};
    double *wide = numbers(t->size), *narrow = numbers(t->size);
    find_differences(&f, t, p);
    nl_probe_step_f64(wide, p.wide, f.list, f.count);
    nl_probe_step_f32(narrow, p.narrow, NULL, 0);
    for (int i = 0; i < model->n_tensors; i++) {
        const int64_t at = nl_truth_place(t, i);
        t->error[i] =
            fmax(t->error[i], nl_verify_distance(narrow + at, wide + at, model->tensors[i].count));
    }
    free(f.list);
    free(wide);
    free(narrow);
}

void nl_truth_sample(nl_step_truth *t, const float *params, const float *buffers,
                     const nl_epoch *epoch, uint32_t sample) {
    const int64_t size = t->spec->model->params_size;
    float *near = nl_alloc((size_t)size, sizeof *near, "weights");
    for (int64_t i = 0; i < size; i++) {
        const uint32_t word = nl_philox4x32((uint32_t)i, sample, 0, 0, 0, SAMPLE_KEY).v[0];
        near[i] = params[i] * (1 + (float)(word % 3) * FLT_EPSILON * (sample > 0));
    }
    const pair p = {nl_probe_open_f64(t->spec, near, buffers, epoch, 0),
                    nl_probe_open_f32(t->spec, near, buffers, epoch, 0)};
    measure_layers(t, p);
    measure_step(t, p);
    nl_probe_close_f64(p.wide);
    nl_probe_close_f32(p.narrow);
    free(near);
}

/* The largest value of a gradient without its penalties. */
static double bare_gradient(const nl_step_truth *t, const float *params, int64_t at,
                            int64_t count) {
    const nl_config *config = t->spec->config;
    double most = 0;
    for (int64_t i = at; i < at + count; i++) {
        const double w = (double)params[i], sign = (w > 0) - (w < 0);
        const double penalties = config->train.weight_decay * w + config->train.l1 * sign;
        most = fmax(most, fabs(t->left[i] - penalties));
    }
    return most;
}

void nl_truth_open(nl_step_truth *t, const nl_engine_spec *spec, const float *params,
                   const float *buffers, const nl_epoch *epoch) {
    const nl_model *model = spec->model;
    *t = (nl_step_truth){.spec = spec, .size = model->params_size + model->buffers_size};
    t->left = numbers(t->size);
    t->probe = nl_probe_open_f64(spec, params, buffers, epoch, 0);
    nl_probe_step_f64(t->left, t->probe, NULL, 0);
    for (int i = 0; i < model->n_tensors; i++) {
        const int64_t at = nl_truth_place(t, i), count = model->tensors[i].count;
        t->largest[i] = nl_verify_largest(t->left + at, count);
        t->bare[i] = model->tensors[i].buffer ? t->largest[i] : bare_gradient(t, params, at, count);
        t->scale = fmax(t->scale, t->largest[i]);
    }
    for (int i = 0; i < model->n_layers; i++)
        if (model->layers[i].norm && model->layers[i].norm->centres)
            t->scale = fmax(t->scale, nl_probe_terms_f64(t->probe, i));
    nl_truth_sample(t, params, buffers, epoch, 0);
}

void nl_truth_scale(nl_step_truth *t) {
    const nl_model *model = t->spec->model;
    double *share = numbers(model->params_size), *sum = numbers(model->params_size);
    for (int image = 0; image < nl_probe_images_f64(t->probe); image++) {
        nl_probe_share_f64(share, t->probe, image);
        for (int64_t i = 0; i < model->params_size; i++) sum[i] += fabs(share[i]);
    }
    for (int i = 0; i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        if (tensor->buffer) continue;
        const double most = nl_verify_largest(sum + tensor->offset, tensor->count);
        t->largest[i] = fmax(t->largest[i], most);
        t->scale = fmax(t->scale, most);
    }
    free(share);
    free(sum);
}

void nl_truth_close(nl_step_truth *t) {
    nl_probe_close_f64(t->probe);
    free(t->left);
}

double nl_truth_bound(const nl_step_truth *t, int tensor) {
    double scale = t->largest[tensor];
    if (t->bare[tensor] <= VANISHED * t->error[tensor])
        return nl_verify_bound(t->error[tensor], t->scale);
    for (int i = 0; i < t->spec->model->n_layers; i++) {
        const nl_layer *l = &t->spec->model->layers[i];
        if (l->kind == NL_LAYER_CONV && l->bias == tensor)
            scale = fmax(scale, t->largest[l->weight]);
    }
    return nl_verify_bound(t->error[tensor], scale);
}
