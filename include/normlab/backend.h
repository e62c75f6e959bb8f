/* The one table through which core sees a device. An engine holds data set, model state and plans
 * of one run; its boundary is the training step: core never touches a batch.
 *
 * Use: open, set_state, then for each epoch begin_epoch, enqueue ... collect ..., evaluate; close.
 * Everything is deterministic: the same calls with the same state give the same bits.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t
#include <stdio.h>   // FILE

#include "normlab/config.h"   // nl_config
#include "normlab/dataset.h"  // nl_dataset
#include "normlab/error.h"    // nl_error
#include "normlab/model.h"    // nl_model
#include "normlab/rotation.h" // nl_rotation

typedef struct nl_engine nl_engine; /* private to each backend */

/* The way through a network's first two convolutions, which a GPU has kernels of its own for. */
typedef enum nl_first_block { NL_FIRST_ANY, NL_FIRST_GENERAL, NL_FIRST_OWN } nl_first_block;

/* Where errors stand of NL_FIRST_OWN that a network or device does not allow (NL_EDEVICE). */
#define NL_FIRST_BLOCK "first block"

/* What an engine needs to know of a run. All pointers stay the caller's and outlive the engine. */
typedef struct nl_engine_spec {
    const nl_config *config;
    const nl_model *model;
    const nl_dataset *data;
    uint32_t seed; /* of the dropout: nl_config_seed */
    int threads;   /* CPU threads, 0: as many as cores */
    int device;    /* CUDA device */
    bool autotune; /* time convolution plans instead of taking the first */
    bool cached;   /* without autotune: take the way that was timed here before, if there is one */
    nl_first_block first_block; /* any: as NORMLAB_FIRST_BLOCK says, or as it was timed */
    const char *plan;           /* JSON text of a plan that a resumed run has to reuse, or NULL */
} nl_engine_spec;

/* Model state. Elements are float, or double where the backend's `real_size` is 8. */
typedef struct nl_state {
    void *params;   /* (params_size) */
    void *momentum; /* (params_size) */
    void *buffers;  /* (buffers_size) */
} nl_state;

/* The one list of a state's arenas: each with its name in state.safetensors and its elements. */
enum { NL_ARENAS = 3 };
typedef struct nl_arena {
    const char *name;
    void *data;
    int64_t size;
} nl_arena;
void nl_state_arenas(nl_arena arenas[NL_ARENAS], const nl_state *state, const nl_model *model);

/* Memory for a state, zeroed. */
nl_state nl_state_alloc(const nl_model *model, int real_size);
void nl_state_free(nl_state *state);
void nl_state_copy(const nl_state *to, const nl_state *from, const nl_model *model, int real_size);
/* The same where the elements of one are float and those of the other double. */
void nl_state_convert(const nl_state *to, int to_size, const nl_state *from, int from_size,
                      const nl_model *model);

/* One epoch of training as seen by a device. order and rotations: copied by the engine. */
typedef struct nl_epoch {
    uint32_t epoch;
    double lr;
    const uint32_t *order;        /* (train.count): image at each place */
    const nl_rotation *rotations; /* (train.count): by image number; NULL: none */
} nl_epoch;

/* What one training step reports. */
typedef struct nl_step_record {
    double loss;    /* mean cross-entropy of the batch in train mode, before the update */
    double penalty; /* l1 * sum |p| at the weights before the update; 0 without L1 */
    uint32_t hits;  /* right predictions, train mode */
    uint32_t images;
} nl_step_record;

/* One evaluation pass in evaluation mode, in file order, or a part of it. */
typedef struct nl_eval_pass {
    const nl_split *split;        /* train or test of the engine's data set */
    const nl_rotation *rotations; /* by image number, or NULL */
    uint32_t first;               /* image; a multiple of the batch */
    uint32_t images;              /* so many from there */
    /* By image number, whatever the part. */
    float *probs;         /* (images, classes) softmax, or NULL */
    uint8_t *predictions; /* (images): first largest logit, or NULL */
    float *logits;        /* (images, classes), or NULL */
} nl_eval_pass;

/* A part that begins at image 0 sets it, any other goes on with its sums: a pass in parts, one
 * behind the other, gives the bits of a whole one. */

typedef struct nl_eval_result {
    double loss; /* sum over images of the cross-entropy */
    uint32_t hits;
} nl_eval_result;

typedef struct nl_backend {
    const char *name; /* cpu, cpu64, cuda */
    int real_size;    /* bytes of a state element: 4 or 8 */

    /* Engines in several threads at once are worth more than one: each has cores of its own. */
    bool side_by_side;

    /* The number of steps worth enqueueing at once between two looks at signals. */
    int burst;

    int (*open)(nl_engine **engine, const nl_engine_spec *spec, nl_error *err);
    void (*close)(nl_engine *engine);

    /* Copy the whole state in and out; get waits for all enqueued work. */
    int (*set_state)(nl_engine *engine, const nl_state *state, nl_error *err);
    int (*get_state)(nl_engine *engine, const nl_state *state, nl_error *err);

    int (*begin_epoch)(nl_engine *engine, const nl_epoch *epoch, nl_error *err);

    /* Runs, or queues, the steps first .. first + count - 1 of the epoch (places step * batch ..).
     * A step with a non-finite loss updates nothing, and neither does any step behind it. */
    int (*enqueue)(nl_engine *engine, uint32_t first, uint32_t count, nl_error *err);

    /* Waits for those steps and copies their records. Steps may be collected once, in order. */
    int (*collect)(nl_engine *engine, uint32_t first, uint32_t count, nl_step_record *records,
                   nl_error *err);

    int (*evaluate)(nl_engine *engine, const nl_eval_pass *pass, nl_eval_result *result,
                    nl_error *err);

    /* What ran: device name and versions into text (one line), and the convolution plans as JSON
     * text (the caller frees; NULL where the backend has none). */
    void (*describe)(const nl_engine *engine, char *text, size_t size);
    char *(*plan)(const nl_engine *engine);
} nl_backend;

/* Float, fused. The same calls with the same state give the same bits on every x86-64-v3 machine,
 * with any compiler, in any build and for any number of threads: sums have a fixed order, and which
 * product is fused into a sum is written in the source. Beside IEEE 754 arithmetic this rests on
 * exp, log, sin and cos of the C library; glibc 2.36 and 2.41 give the same.
 *
 * Both float engines take subnormal numbers for zero (on x86-64), as each would cost ten times and
 * more; the caller's mode is as it was when a call returns. CUDA keeps them, unless nvcc is told
 * otherwise, and so does the oracle: values below 1.2e-38, and what is made of them, differ by so
 * much between this engine and those. */
extern const nl_backend nl_backend_cpu;
extern const nl_backend
    nl_backend_plain; /* float, plain operations: the reference at the same precision */
extern const nl_backend nl_backend_cpu64; /* double, plain operations: the oracle */

/* Who evaluates, and what is asked before each part of a pass: a code other than 0 ends it. */
typedef struct nl_evaluator {
    const nl_backend *backend;
    nl_engine *engine;
    uint32_t batch;
    int (*ask)(void *context, nl_error *err);
    void *context;
} nl_evaluator;

/* A pass in parts of some tenths of a second, so that a signal need not wait for its end; on a slow
 * engine of one batch. Errors: those of ask and of the backend. */
int nl_evaluate(const nl_evaluator *by, const nl_eval_pass *pass, nl_eval_result *result,
                nl_error *err);

/* Only where the program is built with CUDA. The probe tells whether device and libraries can be
 * used: NL_EDEVICE with the reason in one line. */
extern const nl_backend nl_backend_cuda;
int nl_cuda_probe(int device, nl_error *err);

/* Lines for reports of faults: versions, driver, devices, and the libraries with their places. */
void nl_cuda_about(FILE *out);

/* The backend for --device auto|cpu|cpu64|cuda|cuda:N; sets *device. auto without a usable GPU says
 * so in one line on standard error and gives the CPU; cuda without one is NL_EDEVICE. */
int nl_backend_select(const nl_backend **backend, int *device, const char *name, nl_error *err);
