/* The truth about a training step, and what an engine has made of it. */
#pragma once

#include "cpu/plain/net_probe.h" // nl_flip

/* What an engine's step is worth: right where `share` is not above 1. */
typedef struct nl_step_verdict {
    double share;        /* of the bound, by the worst tensor */
    const char *tensor;  /* that one, in the model's table */
    double bound, plain; /* its, and plain float's error */
    int ties;            /* decisions at ties that had to be taken the other way */
} nl_step_verdict;

/* Judges what the first step of an epoch from that state has left: the momentum, which was 0
 * (params_size), and behind it the running values (buffers_size). Every tensor has to be within 4
 * times the error of the plain operations in float and 4 ulp of the tensor's largest value. */
nl_step_verdict nl_truth_check(const nl_engine_spec *spec, const float *params,
                               const float *buffers, const nl_epoch *epoch, const double *left);

/* ---- parts -------------------------------------------------------------------------------------
 */

/* The first step of an epoch in double precision, and how far the plain operations in float are
 * off. What a step leaves is one array: momentum (params_size) and running values (buffers_size).
 */
typedef struct nl_step_truth {
    const nl_engine_spec *spec;
    nl_probe_f64 *probe;
    int64_t size;
    double *left;                    /* (size) by the step */
    double largest[NL_MAX_TENSORS];  /* value of a tensor */
    double bare[NL_MAX_TENSORS];     /* the same without penalties */
    double error[NL_MAX_TENSORS];    /* of plain float, by tensor */
    double scale;                    /* of the largest sum of all */
    double tolerance[NL_MAX_LAYERS]; /* of a layer's output: closer values are a tie */
} nl_step_truth;

/* The first step of the epoch from that state. nl_truth_close frees what it holds. */
void nl_truth_open(nl_step_truth *t, const nl_engine_spec *spec, const float *params,
                   const float *buffers, const nl_epoch *epoch);
void nl_truth_close(nl_step_truth *t);

/* Measures plain float's error again, from weights that differ in their last bits. One measure of a
 * tensor of few values may be small by luck. */
void nl_truth_sample(nl_step_truth *t, const float *params, const float *buffers,
                     const nl_epoch *epoch, uint32_t sample);

/* Sets the largest values to those of what is summed: the magnitudes of the images' shares, which
 * may cancel in a gradient, so that 4 ulp of it are fewer than rounding takes. */
void nl_truth_scale(nl_step_truth *t);

/* The bound of a tensor: nl_verify_bound. What is 0 but for rounding (a bias in front of a norm;
 * all in front of an instance norm that the average follows) is a large sum that cancels, and
 * stands on the scale of the network's largest; any other bias on that of its layer's weights. */
double nl_truth_bound(const nl_step_truth *t, int tensor);

/* How far what an engine has left is from the truth, as a share of the bound, in the worst tensor,
 * whose number is left in *worst. *ties counts the ties that had to be taken the other way. */
double nl_truth_distance(const nl_step_truth *t, const double *left, int *worst, int *ties);

/* A growing list. */
typedef struct nl_flips {
    nl_flip *list;
    int count, size;
} nl_flips;

void nl_flips_add(nl_flips *f, int layer, int64_t at, int32_t arg);

/* Adds every other decision within the tolerances. */
void nl_truth_ties(nl_flips *f, const nl_step_truth *t);

/* Of a layer's output in the step's batch. */
int64_t nl_truth_elements(const nl_step_truth *t, int layer);

/* The place of a tensor in what a step leaves. */
int64_t nl_truth_place(const nl_step_truth *t, int tensor);
