/* The convolutions of the CUDA engine: one plan object per problem, chosen once, run many times.
 *
 * Use: open, then plan every problem of the run (this allocates, times and runs each plan once),
 * then run as often as needed, also while a stream is being captured; close. Tensors are NCHW,
 * float. Every plan is deterministic; none uses TF32 unless the options ask for it.
 */
#pragma once

#include <stdbool.h> // bool

#include <cuda_runtime_api.h> // cudaStream_t

#include "normlab/error.h" // nl_error
#include "normlab/ops.h"   // nl_conv_shape

/* y = conv(x, w) without bias; dx of dy and w; dw of dy and x. */
typedef enum nl_conv_dir {
    NL_CONV_FORWARD,
    NL_CONV_DATA,
    NL_CONV_FILTER,
    NL_CONV_DIRS
} nl_conv_dir;

typedef struct nl_conv_problem {
    nl_conv_dir dir;
    nl_conv_shape shape;
} nl_conv_problem;

/* Work on different lanes may overlap: each has a stream, a handle and a workspace of its own. */
enum { NL_CONV_LANES = 2 };

typedef struct nl_convs_options {
    cudaStream_t streams[NL_CONV_LANES]; /* the first also for timing and first runs */
    bool tf32;
    bool autotune;      /* time the candidates; else the first deterministic one */
    const char *device; /* part of the cache file's key */
    const char *plan;   /* JSON text whose choices must be reused, or NULL */
} nl_convs_options;

typedef struct nl_convs nl_convs;

/* Whether the library that convolutions need is there. */
int nl_convs_probe(nl_error *err);
/* And which version of it. */
int nl_convs_library(char *text, size_t size, nl_error *err);

int nl_convs_open(nl_convs **convs, const nl_convs_options *options, nl_error *err);
void nl_convs_close(nl_convs *convs);

/* Chooses the plan of a problem; *index is its number for nl_convs_run. A problem seen before gives
 * the number it has. `layer` names it in errors. */
int nl_convs_plan(int *index, nl_convs *convs, nl_conv_problem problem, const char *layer,
                  nl_error *err);

/* Queues one convolution on its lane's stream. forward: y, x, w; data: dx, dy, w; filter: dw, dy,
 * x. Filter gradients alone may leave lane 0. */
int nl_convs_run(nl_convs *convs, int index, int lane, float *out, const float *a, const float *b,
                 nl_error *err);

/* The choices, for run.json and, as text, for nl_convs_options.plan; the caller's to release. */
struct json_t;
struct json_t *nl_convs_json(const nl_convs *convs);

/* Versions of the libraries in use, one line. */
const char *nl_convs_versions(const nl_convs *convs);
