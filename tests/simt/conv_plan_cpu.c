/* The functions of conv_plan.h by the CPU's plain convolutions, in place of cuDNN where the kernels
 * run on the CPU: the rest of the CUDA engine cannot tell. Like a real plan, a problem has to be
 * planned before any stream is captured, and running it queues work.
 */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // memcmp, memcpy

#include "cuda/conv/conv_plan.h"
#include "cuda/runtime/device.h" // nl_cuda_check

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

static void run(void *argument) {
    const job *j = argument;
    const nl_conv_shape s = j->problem.shape;
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

char *nl_convs_json(const nl_convs *c) {
    (void)c;
    char *text = nl_alloc(1, 32, "plan");
    snprintf(text, 32, "{\"plans\": {}}");
    return text;
}

const char *nl_convs_versions(const nl_convs *c) {
    (void)c;
    return "plain convolutions";
}
