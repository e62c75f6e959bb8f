/* The plain operations: readable, NCHW, one source in src/host/cpu compiled twice. Each name here
 * exists as nl_<name>_f32 and nl_<name>_f64; the double one is the oracle of all tests.
 *
 * Inside src/host/cpu: `real` is float or double, and OP(name) is the name for it.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // int32_t

#include "normlab/rotation.h" // nl_rotation

/* Convolution, stride 1: input (n, c, h, w), filter (o, c, k, k), output (n, o, nl_conv_out(h, ...),
 * nl_conv_out(w, ...)). */
typedef struct nl_conv_shape {
    int n, c, h, w, o, k, pad;
} nl_conv_shape;

/* Height or width of its output; less than 1: the kernel is larger than the padded input. */
static inline int nl_conv_out(int in, int k, int pad) {
    return in + 2 * pad - k + 1;
}

/* Norms: (n, c, hw); groups divides c (group norm only). */
typedef struct nl_norm_shape {
    int n, c, hw, groups;
} nl_norm_shape;

/* Max pool: (n, c, h, w) to (n, c, h / k, w / k), stride k; what is left over at the edge is
 * dropped. */
typedef struct nl_pool_shape {
    int n, c, h, w, k;
} nl_pool_shape;

/* Dropout of a batch: per image `count` elements; images[i] is the number of the image in slot i.
 */
typedef struct nl_dropout_spec {
    double p;
    uint32_t seed, epoch, layer;
    const uint32_t *images; /* (n) */
    int n;
    int64_t count;
} nl_dropout_spec;

typedef struct nl_sgd {
    double lr, momentum, weight_decay, l1;
    bool nesterov;
} nl_sgd;

#define NL_REAL float
#define NL_OP(name) nl_##name##_f32
#include "normlab/ops_table.h"
#undef NL_REAL
#undef NL_OP

#define NL_REAL double
#define NL_OP(name) nl_##name##_f64
#include "normlab/ops_table.h"
#undef NL_REAL
#undef NL_OP
