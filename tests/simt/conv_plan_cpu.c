/* The functions of conv_plan.h by the CPU's plain convolutions, in place of cuDNN where the kernels
 * run on the CPU: the rest of the CUDA engine cannot tell. Like a real plan, a problem has to be
 * planned before any stream is captured, and running it queues work.
 */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp, memcpy

#include <jansson.h> // json_pack

#include "cuda/conv/conv_plan.h"
#include "cuda/runtime/device.h" // nl_cuda_check
#include "simt_bytes.h"          // simt_bytes_moved

enum { MAX_PROBLEMS = 4096 };

/* One queued convolution; graphs hold its address until the end. */
typedef struct job {
    struct job *next;
    nl_conv_problem problem;
    float *out;
    const float *a, *b;
} job;

struct nl_convs {
    nl_conv_problem problems[MAX_PROBLEMS];
    int count;
    job *jobs;
    cudaStream_t streams[NL_CONV_LANES];
};

int nl_convs_probe(nl_error *err) {
    (void)err;
    return NL_OK;
}

int nl_convs_library(char *text, size_t size, nl_error *err) {
    (void)err;
    snprintf(text, size, "plain convolutions");
    return NL_OK;
}

int nl_convs_open(nl_convs **convs, const nl_convs_options *options, nl_error *err) {
    (void)err;
    *convs = nl_alloc(1, sizeof **convs, "convolutions");
    memcpy((*convs)->streams, options->streams, sizeof(*convs)->streams);
    return NL_OK;
}

void nl_convs_close(nl_convs *c) {
    if (!c) return;
    while (c->jobs) {
        job *next = c->jobs->next;
        free(c->jobs);
        c->jobs = next;
    }
    free(c);
}

int nl_convs_plan(int *index, nl_convs *c, nl_conv_problem problem, const char *layer,
                  nl_error *err) {
    for (*index = 0; *index < c->count; ++*index) {
        if (memcmp(&c->problems[*index], &problem, sizeof problem) == 0) return NL_OK;
    }
    NL_ASSERT(c->count < MAX_PROBLEMS);
    void *memory = NULL; /* a plan allocates: the executor reports it while a stream is captured */
    const int code = nl_cuda_check(cudaMalloc(&memory, 1), layer, err);
    if (code) return code;
    (void)cudaFree(memory);
    c->problems[c->count++] = problem;
    return NL_OK;
}

/* Each tensor once: the least that any plan can do. */
static void count(nl_conv_dir dir, nl_conv_shape s) {
    static const char *const names[] = {
        [NL_CONV_FORWARD] = "conv", [NL_CONV_DATA] = "conv_data", [NL_CONV_FILTER] = "conv_filter"};
    const int64_t in = (int64_t)s.n * s.c * s.h * s.w * 4;
    const int64_t out =
        (int64_t)s.n * s.o * nl_conv_out(s.h, s.k, s.pad) * nl_conv_out(s.w, s.k, s.pad) * 4;
    const int64_t filter = (int64_t)s.o * s.c * s.k * s.k * 4;
    const int64_t written = dir == NL_CONV_FORWARD ? out : dir == NL_CONV_DATA ? in : filter;
    simt_bytes_moved(names[dir], in + out + filter - written, written);
}

static void run(void *argument) {
    const job *j = argument;
    const nl_conv_shape s = j->problem.shape;
    count(j->problem.dir, s);
    float *zeros = nl_alloc((size_t)s.o, sizeof *zeros, "bias");
    switch (j->problem.dir) {
    case NL_CONV_FORWARD:
        nl_conv_forward_f32(j->out, j->a, j->b, zeros, s);
        break;
    case NL_CONV_DATA:
        nl_conv_backward_data_f32(j->out, j->a, j->b, s);
        break;
    default:
        nl_conv_backward_filter_f32(j->out, zeros, j->a, j->b, s);
    }
    free(zeros);
}

int nl_convs_run(nl_convs *c, int index, int lane, float *out, const float *a, const float *b,
                 nl_error *err) {
    (void)err;
    NL_ASSERT(index >= 0 && index < c->count && lane >= 0 && lane < NL_CONV_LANES);
    job *j = nl_alloc(1, sizeof *j, "convolution");
    *j = (job){.next = c->jobs, .problem = c->problems[index], .out = out, .a = a, .b = b};
    c->jobs = j;
    simt_submit_on(c->streams[lane], run, j, sizeof *j);
    return NL_OK;
}

json_t *nl_convs_json(const nl_convs *c) {
    (void)c;
    return json_pack("{s:{}}", "plans");
}

const char *nl_convs_versions(const nl_convs *c) {
    (void)c;
    return "plain convolutions";
}
