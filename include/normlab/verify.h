/* Verification on the machine at hand: the operations of a device against the plain ones in double,
 * over a table of shapes and hard inputs (`normlab verify`). The measure is the plain operation
 * compiled for float: an error may be 4 times its error, and 4 ulp of the largest value more.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int64_t

#include "normlab/error.h" // nl_error
#include "normlab/model.h" // nl_norm_row
#include "normlab/ops.h"   // nl_conv_shape

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nl_verify_op { NL_V_BLOCK, NL_V_CONV, NL_V_LOSS, NL_V_UPDATE, NL_V_OPS } nl_verify_op;

/* The places of each operation's tensors in a case's `in` and in what comes out. Mean and variance
 * of a block are those of the batch. */
enum {
    NL_IN_BLOCK_Z,
    NL_IN_BLOCK_BIAS,
    NL_IN_BLOCK_GAMMA,
    NL_IN_BLOCK_BETA,
    NL_IN_BLOCK_DY,
    NL_IN_BLOCK_RUNNING_MEAN,
    NL_IN_BLOCK_RUNNING_VAR
};
enum {
    NL_OUT_BLOCK_Y,
    NL_OUT_BLOCK_DZ,
    NL_OUT_BLOCK_DGAMMA,
    NL_OUT_BLOCK_DBETA,
    NL_OUT_BLOCK_DBIAS,
    NL_OUT_BLOCK_MEAN,
    NL_OUT_BLOCK_VAR
};
enum { NL_IN_CONV_X, NL_IN_CONV_W, NL_IN_CONV_DY };
enum { NL_OUT_CONV_Y, NL_OUT_CONV_DX, NL_OUT_CONV_DW };
enum { NL_IN_LOSS_Z, NL_IN_LOSS_BIAS };
enum { NL_OUT_LOSS_DZ, NL_OUT_LOSS_DBIAS, NL_OUT_LOSS_LOSS, NL_OUT_LOSS_HITS };
enum { NL_IN_UPDATE_W, NL_IN_UPDATE_V, NL_IN_UPDATE_DW };
enum { NL_OUT_UPDATE_W, NL_OUT_UPDATE_V, NL_OUT_UPDATE_PENALTY };

enum { NL_V_INPUTS = 7, NL_V_OUTPUTS = 7, NL_V_SEED = 3, NL_V_EPOCH = 7, NL_V_LAYER = 2 };

/* One case. A block is what stands behind a convolution: bias, norm, ReLU, max pool, dropout. */
typedef struct nl_verify_case {
    nl_verify_op op;
    const nl_norm_row *norm; /* of a block; NULL: none */
    int n, c, h, w, groups;
    int pool, relu; /* pool 0: none */
    bool eval;      /* evaluation: forward alone, with running values where the norm keeps them */
    bool bare;      /* no bias */
    double dropout;
    nl_conv_shape conv;
    float *in[NL_V_INPUTS];
    int64_t in_count[NL_V_INPUTS], out_count[NL_V_OUTPUTS]; /* 0: none */
} nl_verify_case;

static inline uint32_t nl_verify_image(int slot) {
    return (uint32_t)slot * 977 % 60000 + 11;
}

/* Whether a convolution reads the images, whose gradient nobody wants. */
static inline bool nl_verify_first(nl_conv_shape s) {
    return s.c <= NL_MAX_CHANNELS;
}

static inline uint8_t nl_verify_label(int slot, int classes) {
    return (uint8_t)(slot * 67 % classes);
}

/* The rule of the update, and its learning rate. */
static inline nl_sgd nl_verify_rule(void) {
    return (nl_sgd){
        .lr = 0.125, .momentum = 0.9, .weight_decay = 0.01, .l1 = 0.001, .nesterov = true};
}

enum { NL_V_EPS_INVERSE = 100000 }; /* eps of the norms is 1e-5 */

/* Whether rounding decides what comes of a window of k x k values in a plane of that width: its
 * largest is nearly 0 and a ReLU looks at it, or another is nearly as large. Nearly: closer than
 * the tolerance. Values that are exactly equal are no tie: every computation takes the first, or
 * one that comes of the same inputs. */
bool nl_is_tie(const double *window, int k, int width, bool relu, double tolerance);

/* One ulp of a float of that size. */
double nl_verify_ulp(double largest);

/* What an error may be. Where plain float gives a NaN or an infinity that it should not, it is no
 * measure: its error counts for nothing. */
double nl_verify_bound(double plain_error, double largest);

/* ---- a block of one's own ----------------------------------------------------------------------
 */

/* Mean and deviation of z; deviation of the bias, whose mean is 0. */
typedef struct nl_verify_spread {
    double mean, sigma, bias;
} nl_verify_spread;

/* Makes a block's inputs and counts its outputs; all that is no tensor is set. The numbers are
 * the same everywhere. nl_verify_case_free frees the inputs. */
void nl_verify_block(nl_verify_case *c, nl_verify_spread z);
void nl_verify_case_free(nl_verify_case *c);

/* Sets dy, where there is one, to 0 where a tie (nl_is_tie) decides who gets the gradient. */
void nl_verify_clear_ties(nl_verify_case *c);

/* ---- the comparison ----------------------------------------------------------------------------
 */

/* What comes out of a case, full of NaN to begin with. */
typedef struct nl_verify_results {
    double *out[NL_V_OUTPUTS];
} nl_verify_results;

/* The name of an output: "dgamma". */
const char *nl_verify_output(nl_verify_op op, int output);

nl_verify_results nl_verify_results_make(const nl_verify_case *c);
void nl_verify_results_free(nl_verify_results *r);

/* The largest magnitude among the finite values; 0 without any. */
double nl_verify_largest(const double *x, int64_t count);

/* The largest difference. A NaN equals only a NaN, an infinity only itself: else it is infinite. */
double nl_verify_distance(const double *got, const double *want, int64_t count);

/* How one output compares with double precision. */
typedef struct nl_verify_finding {
    bool right;
    double error, allowed; /* the largest difference, and what it may be */
    int64_t at;            /* the element that is farthest off */
    double largest;        /* value of the output, or of its terms */
} nl_verify_finding;

/* terms: the largest of what the values are sums of, where they may cancel; else 0. */
nl_verify_finding nl_verify_compare(const double *got, const double *plain, const double *want,
                                    int64_t count, double terms);

/* ---- who computes ------------------------------------------------------------------------------
 */

/* Something that computes a case: out[i] has out_count[i] places. */
typedef int (*nl_verify_run)(double *const out[], const nl_verify_case *c, void *context,
                             nl_error *err);

/* The plain operations; context is not used. */
int nl_verify_plain_f32(double *const out[], const nl_verify_case *c, void *context, nl_error *err);
int nl_verify_plain_f64(double *const out[], const nl_verify_case *c, void *context, nl_error *err);

/* The CPU's fused operations; the plain float ones where it uses those. */
int nl_verify_cpu(double *const out[], const nl_verify_case *c, void *context, nl_error *err);

/* The kernels and cuDNN; only where the program is built with CUDA. The context is an
 * nl_verify_gpu. */
typedef struct nl_verify_gpu nl_verify_gpu;
int nl_verify_gpu_open(nl_verify_gpu **gpu, int device, nl_error *err);
void nl_verify_gpu_close(nl_verify_gpu *gpu);
int nl_verify_cuda(double *const out[], const nl_verify_case *c, void *context, nl_error *err);

/* One case by `run` against the plain operations: findings[i] of each output; an infinity counts as a
 * NaN here. Errors: what `run` returned. */
int nl_verify_one(nl_verify_finding findings[NL_V_OUTPUTS], const nl_verify_case *c,
                  nl_verify_run run, void *context, nl_error *err);

/* Runs the whole table and prints it. `name` says what is verified. Errors: NL_EINTERNAL when an
 * output is too far off, or what `run` returned. */
int nl_verify(const char *name, nl_verify_run run, void *context, nl_error *err);

#ifdef __cplusplus
}
#endif
