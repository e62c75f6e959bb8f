/* The first step of a run by the plain network, looked into: what each layer has computed, and the
 * gradient with some decisions of ReLUs and max pools taken the other way. In float and in double;
 * what goes in and out is double.
 */
#pragma once

#include "normlab/backend.h" // nl_engine_spec, nl_epoch

/* One decision: of the ReLU of a convolution's element `at`, which is turned round; or of the max
 * pool's output `at`, which then comes from place `arg` of the plane. Elements of (n, c, h, w). */
typedef struct nl_flip {
    int layer;
    int64_t at;
    int32_t arg;
} nl_flip;

/* open: the forward pass of step `step` of the epoch, in training.
 * images: of that step.
 * output: of a layer, behind everything; or, where its ReLU decides, before that.
 * args: of a max pool's outputs.
 * step: what the step leaves: the momentum after an update from 0, which is the gradient with its
 * penalties (params_size), and behind it the running values (buffers_size).
 * share: of one image in the batch's gradient, without penalties (params_size).
 * terms: behind a step, of a convolution with a norm: the largest sum over a channel of |gamma rstd
 * dy|, the first of the three terms whose sum is the gradient in front of the norm.
 */
#define NL_PROBE(real)                                                                             \
    typedef struct nl_probe_##real nl_probe_##real;                                                \
    nl_probe_##real *nl_probe_open_##real(const nl_engine_spec *spec, const float *params,         \
                                          const float *buffers, const nl_epoch *epoch,             \
                                          uint32_t step);                                          \
    void nl_probe_close_##real(nl_probe_##real *probe);                                            \
    int nl_probe_images_##real(const nl_probe_##real *probe);                                      \
    void nl_probe_output_##real(double *u, const nl_probe_##real *probe, int layer);               \
    const int32_t *nl_probe_args_##real(const nl_probe_##real *probe, int layer);                  \
    void nl_probe_step_##real(double *left, nl_probe_##real *probe, const nl_flip *flips,          \
                              int count);                                                          \
    void nl_probe_share_##real(double *grads, nl_probe_##real *probe, int image);                  \
    double nl_probe_terms_##real(const nl_probe_##real *probe, int layer);
NL_PROBE(f32)
NL_PROBE(f64)
#undef NL_PROBE
