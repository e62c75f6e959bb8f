/* The statistics of layers: a network of one convolution against its formulas, the whole network
 * against a step of the engine; and the chart, which is there when the runs recorded them. */
#include <criterion/criterion.h>

#include <math.h>   // exp
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp

#include "normlab/layer_stats.h" // nl_layer_stats_of
#include "support/idx_set.h"
#include "support/memory_run.h"
#include "support/random.h"
#include "support/run_dirs.h" // make_run

static void near(const char *what, double got, double want, double relative) {
    cr_expect(fabs(got - want) <= relative * fabs(want) + 1e-15, "%s: %.15g, not %.15g", what, got,
              want);
}

static nl_mean_sd mean_sd(const double *x, int count) {
    nl_mean_sd m = {0, 0};
    for (int i = 0; i < count; i++) m.mean += x[i] / count;
    for (int i = 0; i < count; i++) m.sd += (x[i] - m.mean) * (x[i] - m.mean) / count;
    m.sd = sqrt(m.sd);
    return m;
}

static void same_mean_sd(const char *what, nl_mean_sd got, nl_mean_sd want, double relative) {
    near(what, got.sd, want.sd, relative);
    cr_expect(fabs(got.mean - want.mean) <= relative * want.sd, "%s: mean %.15g, not %.15g", what,
              got.mean, want.mean);
}

// --- one convolution ----------------------------------------------------------------------------

enum { N = 4, C = IDX_CLASSES };

typedef struct by_hand {
    double z[N * C], y[N * C], dy[N * C], dw[C * IDX_PIXELS];
} by_hand;

/* z = W x + b, y = max(z, 0), dy = (softmax(y) - onehot) / n, dW = sum of dy [z > 0] x. */
static void compute(by_hand *h, const double *w, const double *b, const memory_run *r) {
    memset(h, 0, sizeof *h);
    for (int i = 0; i < N; i++) {
        double x[IDX_PIXELS], sum = 0;
        for (int k = 0; k < IDX_PIXELS; k++)
            x[k] = (r->data.train.images[i * IDX_PIXELS + k] / 255.0 - 0.1307) / 0.3081;
        for (int c = 0; c < C; c++) {
            double *z = &h->z[i * C + c];
            *z = b[c];
            for (int k = 0; k < IDX_PIXELS; k++) *z += w[c * IDX_PIXELS + k] * x[k];
            h->y[i * C + c] = *z > 0 ? *z : 0;
            sum += exp(h->y[i * C + c]);
        }
        for (int c = 0; c < C; c++) {
            const double dy = (exp(h->y[i * C + c]) / sum - (c == r->data.train.labels[i])) / N;
            h->dy[i * C + c] = dy;
            for (int k = 0; k < IDX_PIXELS && h->z[i * C + c] > 0; k++)
                h->dw[c * IDX_PIXELS + k] += dy * x[k];
        }
    }
}

static void only_one_convolution(memory_run *r) {
    r->config.model.layers[1] = r->config.model.layers[r->config.model.n_layers - 1]; /* average */
    r->config.model.n_layers = 2;
    r->config.model.layers[0].out = C;
    r->config.model.layers[0].kernel = 28;
    r->config.model.layers[0].pad = 0;
    r->config.model.layers[0].norm = false;
    r->config.model.layers[0].relu = true;
    memory_run_rebuild(r);
}

/* Channels 0 and 1 are below 0 for every image, the others for some. */
Test(layer_stats, one_convolution_by_hand) {
    memory_run r;
    memory_run_open(&r, "bn", 7, "data.batch=4", "data.rotate=7", (char *)NULL);
    only_one_convolution(&r);
    memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
    double *w = e.params + nl_model_find(&r.model, "conv1.weight")->offset;
    double *b = e.params + nl_model_find(&r.model, "conv1.bias")->offset;
    random_fill(w, C * IDX_PIXELS, 1, 0, 0.05);
    random_fill(b, C, 2, 0, 0.5);
    b[0] = b[1] = -50;
    by_hand h;
    compute(&h, w, b, &r);
    int zeros = 0, dead = 0;
    for (int c = 0; c < C; c++) {
        int of_channel = 0;
        for (int i = 0; i < N; i++) of_channel += h.y[i * C + c] == 0;
        zeros += of_channel;
        dead += of_channel == N;
    }
    cr_assert(dead >= 2 && zeros > dead * N, "%d zeros, %d dead: too easy", zeros, dead);

    nl_layer_stats layers[NL_MAX_LAYERS];
    const nl_state state = {e.params, e.momentum, e.buffers};
    cr_assert_eq(nl_layer_stats_of(layers, &e.spec, &state, 8), 1);
    cr_expect_str_eq(layers[0].label, "conv1");
    same_mean_sd("z", layers[0].z, mean_sd(h.z, N * C), 1e-6); /* the pixel table is in float */
    same_mean_sd("y", layers[0].y, mean_sd(h.y, N * C), 1e-6);
    same_mean_sd("dy", layers[0].dy, mean_sd(h.dy, N * C), 1e-5);
    same_mean_sd("dw", layers[0].dw, mean_sd(h.dw, C * IDX_PIXELS), 1e-5);
    near("dead", layers[0].dead, (double)dead / C, 1e-12);
    near("zero", layers[0].zero, (double)zeros / (N * C), 1e-12);
    memory_engine_close(&e);
    memory_run_close(&r);
}

// --- the whole network --------------------------------------------------------------------------

/* What one step without momentum, L1, rotation and dropout changes is the gradient times the rate;
 * what batch norm's running means become is the mean of z times their momentum. */
static void check_against_step(const char *norm) {
    memory_run r;
    memory_run_open(&r, "bn", 8, "data.batch=8", "model.dropout=0", "train.momentum=0",
                    "train.l1=0", "train.lr=0.001", norm, (char *)NULL);
    for (int i = 0; i < r.config.model.n_layers; i++)
        if (r.config.model.layers[i].kind == NL_LAYER_CONV && i + 2 < r.config.model.n_layers)
            r.config.model.layers[i].out = 8;
    memory_run_rebuild(&r);
    memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
    nl_layer_stats before[NL_MAX_LAYERS];
    const nl_state state = {e.params, e.momentum, e.buffers};
    const int n = nl_layer_stats_of(before, &e.spec, &state, 8);
    cr_assert_eq(n, 6);
    double *old = nl_alloc((size_t)r.model.params_size, sizeof *old, "weights");
    memcpy(old, e.params, (size_t)r.model.params_size * sizeof *old);
    nl_step_record record;
    memory_engine_steps(&e, 0, 1, &record);
    memory_engine_get(&e);
    for (int i = 0, k = 0; i < r.model.n_layers; i++) {
        const nl_layer *layer = &r.model.layers[i];
        if (layer->kind != NL_LAYER_CONV) continue;
        const nl_tensor *t = &r.model.tensors[layer->weight];
        double *g = old + t->offset;
        for (int64_t j = 0; j < t->count; j++) g[j] = (g[j] - e.params[t->offset + j]) / 0.001;
        cr_expect_str_eq(before[k].label, layer->label);
        same_mean_sd(t->name, before[k].dw, mean_sd(g, (int)t->count), 1e-6);
        cr_expect(before[k].dy.sd > 0 && before[k].y.sd > 0);
        if (layer->r_mean >= 0) {
            const nl_tensor *mean = &r.model.tensors[layer->r_mean];
            const double of_z = mean_sd(e.buffers + mean->offset, (int)mean->count).mean;
            near("z", before[k].z.mean, of_z / r.config.train.norm_momentum, 1e-6);
        }
        cr_expect(isnan(before[k].dead) == !layer->relu && isnan(before[k].zero) == !layer->relu);
        k++;
    }
    free(old);
    memory_engine_close(&e);
    memory_run_close(&r);
}

Test(layer_stats, whole_network_against_a_step) {
    check_against_step("model.norm=batch");
    check_against_step("model.norm=layer");
    check_against_step("model.norm=none");
}

/* The state is only looked at, and dropout and the run's seed play no part. */
Test(layer_stats, the_batch_is_fixed) {
    memory_run r;
    memory_run_open(&r, "bn", 8, "data.batch=8", "model.dropout=0.3", (char *)NULL);
    memory_engine e = memory_engine_open(&r, &nl_backend_cpu64);
    nl_layer_stats a[NL_MAX_LAYERS], b[NL_MAX_LAYERS];
    const nl_state state = {e.params, e.momentum, e.buffers};
    const size_t bytes = (size_t)r.model.buffers_size * sizeof(double);
    double *buffers = nl_alloc(bytes, 1, "running values");
    memcpy(buffers, e.buffers, bytes);
    const int n = nl_layer_stats_of(a, &e.spec, &state, 8);
    cr_expect(memcmp(buffers, e.buffers, bytes) == 0);
    e.spec.seed++;
    for (int i = 0; i < r.model.n_layers; i++) r.model.layers[i].dropout = 0;
    nl_layer_stats_of(b, &e.spec, &state, 8);
    for (int i = 0; i < n; i++)
        cr_expect(a[i].z.sd == b[i].z.sd && a[i].dy.sd == b[i].dy.sd && a[i].y.sd == b[i].y.sd);
    free(buffers);
    memory_engine_close(&e);
    memory_run_close(&r);
}

// --- the chart ----------------------------------------------------------------------------------

static void write_run(const char *out, const char *name, const char *layer_records) {
    char unit[500], metrics[1000];
    snprintf(metrics, sizeof metrics,
             "%s{\"event\":\"epoch\",\"epoch\":0,\"test_loss\":0.1,\"test_accuracy\":97}\n"
             "{\"event\":\"final\",\"test_loss\":0.1,\"test_accuracy\":97}\n",
             layer_records);
    make_run(unit, out, name, 1, metrics);
}

static void expect_chart(const char *out, bool there) {
    static const char *const files[] = {"layer_statistics.svg", "layer_statistics.png",
                                        "plots/layer_statistics.gp", "plots/layers.dat"};
    report(out, NL_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *text = read_report(out, files[i]);
        cr_expect_eq(text != NULL, there, "%s", files[i]);
        free(text);
    }
    char *page = read_report(out, "index.html");
    cr_expect_eq(strstr(page, "id=\"layers\"") != NULL, there);
    free(page);
}

/* conv2 has no ReLU; a label that could mean something to gnuplot is no record. */
static const char records[] =
    "{\"event\":\"layer\",\"epoch\":-1,\"layer\":\"conv1\",\"z_sd\":2,\"dy_sd\":0.5,\"zero\":0.5,"
    "\"dead\":0.25}\n"
    "{\"event\":\"layer\",\"epoch\":-1,\"layer\":\"conv2\",\"z_sd\":3,\"dy_sd\":null,\"zero\":null,"
    "\"dead\":null}\n"
    "{\"event\":\"layer\",\"epoch\":0,\"layer\":\"conv1\",\"z_sd\":4,\"dy_sd\":1e-7,\"zero\":0.75,"
    "\"dead\":0}\n"
    "{\"event\":\"layer\",\"epoch\":0,\"layer\":\"'\\nsystem\",\"z_sd\":4}\n";

Test(layer_stats, chart_where_there_are_records) {
    char *out = temp_dir_make();
    write_run(out, "ln", "");
    expect_chart(out, false);
    write_run(out, "bn", records);
    expect_chart(out, true);
    expect_in(out, "plots/layers.dat", "# bn, conv1\n0 2 0.5 50 25\n1 4 1e-07 75 0\n", true);
    expect_in(out, "plots/layers.dat", "# bn, conv2\n0 3 NaN NaN NaN\n1 NaN NaN NaN NaN\n", true);
    expect_in(out, "plots/layers.dat", "# ln, conv1\n0 NaN NaN NaN NaN\n", true);
    expect_in(out, "plots/layer_statistics.gp", "no ReLU", true);
    char *script = read_report(out, "plots/layer_statistics.gp");
    cr_expect_not(strstr(script, "system"));
    free(script);
    temp_dir_remove(out);
}
