/* The norm launchers of src/kernels under the signature of norm_room.h. Times are of the device's
 * own clock (events); warm passes stand in one graph, as in a training step, so that launching
 * costs what it costs there. */
#include <cuda_runtime_api.h> // cudaMalloc
#include <stdio.h>            // fprintf
#include <stdlib.h>           // exit

#include "cuda/launchers.h"          // nl_launchers_of
#include "cuda/runtime/cuda_graph.h" // nl_cuda_capture
#include "cuda/runtime/device.h"     // nl_device_open
#include "normlab/error.h"           // NL_EDEVICE
#include "normlab/kernels.h"         // nl_k_stage
#include "support/measure.h"         // bench_median
#include "support/norm_room.h"

enum { IN_GRAPH = 20, MOST = 16 };

static cudaStream_t stream;
static size_t cache_bytes;
static char *flushed; /* twice the cache */

struct norm_work {
    nl_verify_case shape;
    nl_k_stage stage;
    bool backward; /* what a pass is */
    void *owned[MOST];
    int n_owned;
};

/* A benchmark has nobody to hand an error to. */
static void must(cudaError_t status, const char *what) {
    nl_error err;
    if (!nl_cuda_check(status, what, &err)) return;
    nl_error_print(&err);
    exit(NL_EDEVICE);
}

static void *on_device(const void *host, size_t count, size_t size) {
    void *memory;
    must(cudaMalloc(&memory, count * size), "memory for the benchmark");
    if (host)
        must(cudaMemcpy(memory, host, count * size, cudaMemcpyHostToDevice), "copying inputs");
    else
        must(cudaMemset(memory, 0, count * size), "clearing memory");
    must(cudaStreamSynchronize(NULL), "copying"); /* our stream waits for no other */
    return memory;
}

static void *owned(norm_work *w, const void *host, size_t count, size_t size) {
    NL_ASSERT(w->n_owned < MOST);
    return w->owned[w->n_owned++] = on_device(host, count, size);
}

static norm_work *open_case(const nl_verify_case *c) {
    norm_work *w = nl_alloc(1, sizeof *w, "case");
    w->shape = *c;
    nl_k_stage *s = &w->stage;
    *s = (nl_k_stage){.shape = {.n = c->n,
                                .c = c->c,
                                .h = c->h,
                                .w = c->w,
                                .groups = c->groups,
                                .pool = c->pool,
                                .relu = c->relu},
                      .centres = c->norm->centres,
                      .eps = 1.0F / NL_V_EPS_INVERSE};
    const size_t channels = (size_t)c->c, sets = (size_t)c->n * channels;
    const size_t in = (size_t)c->in_count[NL_IN_BLOCK_Z];
    const size_t out = (size_t)c->out_count[NL_OUT_BLOCK_Y];
    s->z = owned(w, c->in[NL_IN_BLOCK_Z], in, sizeof *s->z);
    s->y = owned(w, NULL, out, sizeof *s->z);
    s->dy = owned(w, c->in[NL_IN_BLOCK_DY], out, sizeof *s->z);
    s->dz = owned(w, NULL, in, sizeof *s->z);
    s->gamma = owned(w, c->in[NL_IN_BLOCK_GAMMA], channels, sizeof *s->z);
    s->beta = owned(w, c->in[NL_IN_BLOCK_BETA], channels, sizeof *s->z);
    s->bias = owned(w, NULL, channels, sizeof *s->z);
    float **const vectors[] = {&s->dgamma, &s->dbeta, &s->dbias, &s->fresh_mean, &s->fresh_var};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = owned(w, NULL, channels, sizeof *s->z);
    s->saved = owned(w, NULL, sets, sizeof *s->saved);
    s->scratch = owned(w, NULL, nl_k_scratch_size(&s->shape), 1);
    s->counters = owned(w, NULL, (size_t)nl_k_counters(&s->shape), sizeof *s->counters);
    return w;
}

static void close_case(norm_work *w) {
    for (int i = 0; i < w->n_owned; i++) must(cudaFree(w->owned[i]), "releasing");
    free(w);
}

/* ---- a pass ---- */

static int forward(norm_work *w) {
    return nl_launchers_of(w->shape.norm)->forward(&w->stage, stream);
}

static int backward(norm_work *w) {
    return nl_launchers_of(w->shape.norm)->backward(&w->stage, stream);
}

static int pass(void *work, nl_error *err) {
    norm_work *w = work;
    return nl_cuda_check((cudaError_t)(w->backward ? backward(w) : forward(w)), "norm", err);
}

/* ---- time ---- */

typedef struct watch {
    cudaEvent_t from, to;
} watch;

static watch watch_make(void) {
    watch w;
    must(cudaEventCreate(&w.from), "event");
    must(cudaEventCreate(&w.to), "event");
    return w;
}

static double watch_read(watch *w) {
    float ms;
    must(cudaEventSynchronize(w->to), "waiting for the device");
    must(cudaEventElapsedTime(&ms, w->from, w->to), "time");
    return 1e-3 * (double)ms;
}

static void watch_free(watch *w) {
    must(cudaEventDestroy(w->from), "event");
    must(cudaEventDestroy(w->to), "event");
}

static double time_pass(norm_work *w, bool back, bool cold, int repeats) {
    nl_error err;
    cudaGraphExec_t graph;
    const int times = cold || repeats == 1 ? 1 : IN_GRAPH;
    w->backward = back;
    /* once before it is recorded: that loads the kernels' code */
    if (pass(w, &err) || nl_cuda_capture(&graph, stream, times, pass, w, &err)) {
        nl_error_print(&err);
        exit(NL_EDEVICE);
    }
    watch clock = watch_make();
    double *seconds = nl_alloc((size_t)repeats, sizeof *seconds, "times");
    for (int i = 0; i < repeats; i++) {
        /* what goes before keeps the device busy until the measured graph is launched */
        must(cold ? cudaMemsetAsync(flushed, i, 2 * cache_bytes, stream)
                  : cudaGraphLaunch(graph, stream),
             "what goes before");
        must(cudaEventRecord(clock.from, stream), "event");
        must(cudaGraphLaunch(graph, stream), "norm");
        must(cudaEventRecord(clock.to, stream), "event");
        seconds[i] = watch_read(&clock) / times;
    }
    const double median = bench_median(seconds, repeats);
    free(seconds);
    watch_free(&clock);
    must(cudaGraphExecDestroy(graph), "graph");
    return median;
}

static void read_case(norm_work *w, double *const out[]) {
    const float *const from[NL_V_OUTPUTS] = {[NL_OUT_BLOCK_Y] = w->stage.y,
                                             [NL_OUT_BLOCK_DZ] = w->stage.dz,
                                             [NL_OUT_BLOCK_DGAMMA] = w->stage.dgamma,
                                             [NL_OUT_BLOCK_DBETA] = w->stage.dbeta};
    for (int i = 0; i < NL_V_OUTPUTS; i++) {
        const size_t count = (size_t)w->shape.out_count[i];
        if (count == 0) continue;
        float *host = nl_alloc(count, sizeof *host, "results");
        must(cudaMemcpy(host, from[i], count * sizeof *host, cudaMemcpyDeviceToHost), "results");
        for (size_t k = 0; k < count; k++) out[i][k] = (double)host[k];
        free(host);
    }
}

/* ---- the device ---- */

static size_t cache(void) {
    return cache_bytes;
}

static double copy_gb_s(void) {
    enum { ROUNDS = 10 };
    const size_t bytes = (size_t)1 << 30;
    void *to = on_device(NULL, bytes, 1), *from = on_device(NULL, bytes, 1);
    watch clock = watch_make();
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        must(cudaEventRecord(clock.from, stream), "event");
        must(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copying");
        must(cudaEventRecord(clock.to, stream), "event");
        const double rate = 2e-9 * (double)bytes / watch_read(&clock);
        if (rate > best) best = rate;
    }
    watch_free(&clock);
    must(cudaFree(to), "releasing");
    must(cudaFree(from), "releasing");
    return best;
}

const norm_room *norm_room_cuda(void) {
    static const norm_room room = {.name = "cuda",
                                   .pools = true,
                                   .cache = cache,
                                   .copy_gb_s = copy_gb_s,
                                   .open = open_case,
                                   .close = close_case,
                                   .time = time_pass,
                                   .read = read_case};
    nl_device device;
    nl_error err;
    int bytes;
    if (nl_device_open(&device, 0, &err)) {
        nl_error_print(&err);
        return NULL;
    }
    must(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0), "size of the cache");
    cache_bytes = (size_t)bytes;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    flushed = on_device(NULL, 2 * cache_bytes, 1);
    return &room;
}
