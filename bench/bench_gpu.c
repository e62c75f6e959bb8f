/* What to know of a GPU before judging a step: its properties, the speed of its memory, its single
 * precision peak by cuBLAS, and every convolution of the network in every direction by every plan.
 *
 *     bench_gpu [BATCH]
 *
 * Times are of a run inside a graph, the smallest of a few. Bytes of a copy: read and written. Only
 * in a build with CUDA.
 */
#include <stdio.h> // printf

#include "normlab/error.h"

#ifdef NORMLAB_WITH_CUDA

#include <stdlib.h> // free, atoi

#include "cuda/conv/conv_gemm.h"  // nl_gemm
#include "cuda/conv/conv_graph.h" // nl_conv_graph
#include "cuda/conv/conv_tune.h"  // nl_conv_time
#include "cuda/runtime/device.h"  // nl_device

typedef struct bench {
    const nl_cudnn *api;
    cudnnHandle_t handle;
    nl_gemm *gemm;
    cudaStream_t stream;
    nl_error err;
} bench;

/* ---- the device --------------------------------------------------------------------------------
 */

static int open_bench(bench *b) {
    nl_device d;
    int code = nl_device_open(&d, 0, &b->err);
    if (code) return code;
    printf("%s, compute capability %d.%d, %d multiprocessors, %.1f GiB, driver for CUDA %d.%d\n",
           d.name, d.major, d.minor, d.multiprocessors, (double)d.memory / (1 << 30),
           d.driver / 1000, d.driver % 1000 / 10);
    code = nl_cuda_check(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking), "stream",
                         &b->err);
    if (!code) code = nl_cudnn_load(&b->api, &b->err);
    if (!code && b->api->create(&b->handle))
        code = nl_fail(&b->err, NL_EDEVICE, "cuDNN", "no handle");
    if (!code && b->api->set_stream(b->handle, b->stream))
        code = nl_fail(&b->err, NL_EDEVICE, "cuDNN", "no stream");
    b->gemm = code ? NULL : nl_gemm_open();
    return code;
}

/* The properties as cuDNN wants them, for tests/device-profiles. */
static void print_properties(bench *b) {
    cudnnBackendDescriptor_t props = NULL;
    char json[4096] = "";
    int64_t got = 0;
    if (b->api->create_descriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &props)) return;
    if (!b->api->set_attribute(props, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1,
                               &b->handle) &&
        !b->api->finalize(props) &&
        !b->api->get_attribute(props, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                               sizeof json - 1, &got, json))
        printf("properties: %s\n", json);
    b->api->destroy_descriptor(props);
}

/* ---- memory and arithmetic ---------------------------------------------------------------------
 */

typedef struct work {
    bench *b;
    float *out, *a, *c;
    size_t bytes;
    int size;
} work;

static int copy(void *context, nl_error *err) {
    const work *w = context;
    return nl_cuda_check(
        cudaMemcpyAsync(w->out, w->a, w->bytes, cudaMemcpyDeviceToDevice, w->b->stream), "copy",
        err);
}

static int multiply(void *context, nl_error *err) {
    const work *w = context;
    return nl_gemm_square(w->b->gemm, w->size, w->b->stream, w->out, w->a, w->c, err);
}

static int measure_peaks(bench *b) {
    enum { SIZE = 8192 };
    work w = {.b = b, .bytes = (size_t)SIZE * SIZE * sizeof(float), .size = SIZE};
    float **all[] = {&w.out, &w.a, &w.c};
    double seconds = 0;
    int code = NL_OK;
    for (int i = 0; i < 3 && !code; i++) {
        void *memory = NULL;
        code = nl_device_alloc(&memory, w.bytes, "matrix", &b->err);
        *all[i] = memory;
    }
    if (!code) code = nl_conv_time(&seconds, copy, &w, b->stream, &b->err);
    if (!code)
        printf("copy of %zu MiB: %.2f TB/s\n", w.bytes >> 20, 2e-12 * (double)w.bytes / seconds);
    if (!code && b->gemm) {
        code = nl_conv_time(&seconds, multiply, &w, b->stream, &b->err);
        if (!code)
            printf("sgemm of %d: %.1f TFLOP/s (cuBLAS %s)\n", SIZE,
                   2e-12 * SIZE * (double)SIZE * SIZE / seconds, nl_gemm_version(b->gemm));
    }
    for (int i = 0; i < 3; i++) cudaFree(*all[i]);
    return code;
}

/* ---- convolutions ------------------------------------------------------------------------------
 */

typedef struct conv_work {
    bench *b;
    nl_conv_problem problem;
    nl_conv_exec exec;
    nl_conv_buffers buffers;
    void *workspace;
    bool gemm;
} conv_work;

static int convolve(void *context, nl_error *err) {
    conv_work *w = context;
    const nl_conv_buffers *t = &w->buffers;
    if (w->gemm) return nl_gemm_run(w->b->gemm, w->problem, w->b->stream, t->out, t->a, t->b, err);
    void *const tensors[NL_CONV_DIRS][3] = {[NL_CONV_FORWARD] = {t->a, t->b, t->out},
                                            [NL_CONV_DATA] = {t->out, t->b, t->a},
                                            [NL_CONV_FILTER] = {t->b, t->out, t->a}};
    return nl_conv_exec_run(&w->exec, w->b->handle, tensors[w->problem.dir], w->workspace, err);
}

/* One line for one plan: microseconds, share of the arithmetic in TFLOP/s, workspace. */
static void time_plan(conv_work *w, const nl_conv_graph *graph, const char *tag) {
    static const char *const dirs[NL_CONV_DIRS] = {"forward", "data", "filter"};
    const nl_conv_shape s = w->problem.shape;
    const int oh = nl_conv_out(s.h, s.k, s.pad), ow = nl_conv_out(s.w, s.k, s.pad);
    const double flop = 2.0 * s.n * s.o * oh * ow * s.c * s.k * s.k;
    double seconds = 0;
    int code = NL_OK;
    w->workspace = NULL;
    w->exec = (nl_conv_exec){0};
    if (!w->gemm) code = nl_conv_exec_open(&w->exec, graph, tag, &w->b->err);
    if (!code && w->exec.workspace > 0)
        code = nl_device_alloc(&w->workspace, (size_t)w->exec.workspace, "workspace", &w->b->err);
    if (!code) code = convolve(w, &w->b->err);
    if (!code) code = nl_conv_time(&seconds, convolve, w, w->b->stream, &w->b->err);
    printf("%-7s n%d c%d %dx%d o%d k%d  %-24s ", dirs[w->problem.dir], s.n, s.c, s.h, s.w, s.o, s.k,
           tag);
    if (code)
        printf("fails: %s\n", w->b->err.what);
    else
        printf("%8.2f us %7.2f TFLOP/s %10lld bytes\n", 1e6 * seconds, 1e-12 * flop / seconds,
               (long long)w->exec.workspace);
    (void)cudaStreamSynchronize(w->b->stream);
    cudaFree(w->workspace);
    if (!w->gemm) nl_conv_exec_close(&w->exec);
}

static int time_problem(bench *b, nl_conv_problem problem, bool tf32) {
    conv_work w = {.b = b, .problem = problem};
    const nl_conv_target target = {.api = b->api, .handle = b->handle};
    nl_conv_candidates list = {0};
    nl_conv_graph graph;
    int code = nl_conv_buffers_open(&w.buffers, problem, "bench", &b->err);
    if (!code) code = nl_conv_graph_open(&graph, target, problem, &b->err);
    if (!code) {
        code = nl_conv_graph_candidates(&list, &graph, tf32, &b->err);
        for (int i = 0; i < list.count && !code; i++) time_plan(&w, &graph, list.tags[i]);
        w.gemm = b->gemm && nl_gemm_fits(problem);
        if (w.gemm && !code) time_plan(&w, &graph, "gemm");
        nl_conv_graph_close(&graph);
    }
    nl_conv_buffers_close(&w.buffers);
    nl_conv_candidates_free(&list);
    return code;
}

int main(int argc, char **argv) {
    static const nl_conv_shape shapes[] = {{0, 1, 28, 28, 96, 5, 2},  {0, 96, 28, 28, 16, 1, 0},
                                           {0, 16, 14, 14, 16, 3, 0}, {0, 16, 12, 12, 8, 1, 0},
                                           {0, 8, 6, 6, 16, 3, 0},    {0, 16, 4, 4, 10, 3, 0}};
    const int batch = argc > 1 ? atoi(argv[1]) : 64;
    bench b = {0};
    int code = batch > 0 ? open_bench(&b) : nl_fail(&b.err, NL_EUSAGE, "bench_gpu", "bad batch");
    if (!code) print_properties(&b);
    if (!code) code = measure_peaks(&b);
    for (int tf32 = 0; tf32 < 2 && !code; tf32++) {
        printf("convolutions, %s:\n", tf32 ? "TF32 allowed" : "float32");
        for (int i = 0; i < 6 * NL_CONV_DIRS && !code; i++) {
            nl_conv_problem p = {(nl_conv_dir)(i % NL_CONV_DIRS), shapes[i / NL_CONV_DIRS]};
            p.shape.n = batch;
            code = time_problem(&b, p, tf32);
        }
    }
    if (code) nl_error_print(&b.err);
    return code;
}

#else

int main(void) {
    nl_error err;
    nl_fail(&err, NL_EDEVICE, "bench_gpu", "built without CUDA");
    nl_error_print(&err);
    return NL_EDEVICE;
}

#endif
