/* One convolution as a graph of cuDNN's backend API, its engines and its execution plans.
 *
 * A plan is known by its tag, as "17 2=0 12=1": the engine's number, then knob=value pairs. Every
 * plan is built from its tag, also right after the heuristics named it, so that a resumed run gets
 * the same.
 */
#pragma once

#include "conv_plan.h" // nl_conv_problem
#include "cudnn_api.h" // nl_cudnn

enum { NL_TAG = 256 };

/* Where plans are to run: a handle, or, on a machine without a GPU, a device's properties. */
typedef struct nl_conv_target {
    const nl_cudnn *api;
    cudnnHandle_t handle;           /* NULL: props */
    cudnnBackendDescriptor_t props; /* NULL: handle */
} nl_conv_target;

/* From the JSON text of a device's properties. */
int nl_conv_target_profile(nl_conv_target *target, const nl_cudnn *api, const char *json,
                           nl_error *err);
void nl_conv_target_close(nl_conv_target *target);

typedef struct nl_conv_graph {
    nl_conv_target target;
    nl_conv_problem problem;
    cudnnBackendDescriptor_t tensors[3]; /* x or dx, w or dw, y or dy */
    cudnnBackendDescriptor_t convolution, operation, graph;
} nl_conv_graph;

int nl_conv_graph_open(nl_conv_graph *graph, nl_conv_target target, nl_conv_problem problem,
                       nl_error *err);
void nl_conv_graph_close(nl_conv_graph *graph);

/* The engines that the heuristics propose, best first, each once. `rejected` counts those left out:
 * not deterministic, TF32 not asked for, or of reduced accuracy. */
typedef struct nl_conv_candidates {
    char (*tags)[NL_TAG]; /* (count) */
    int count, rejected;
} nl_conv_candidates;

/* Fills an empty list; nl_conv_candidates_free, also after an error. */
int nl_conv_graph_candidates(nl_conv_candidates *list, const nl_conv_graph *graph, bool tf32,
                             nl_error *err);
void nl_conv_candidates_add(nl_conv_candidates *list, const char *tag); /* unless it is there */
void nl_conv_candidates_free(nl_conv_candidates *list);

typedef struct nl_conv_exec {
    const nl_cudnn *api;
    cudnnBackendDescriptor_t plan;
    int64_t workspace; /* bytes */
} nl_conv_exec;

int nl_conv_exec_open(nl_conv_exec *exec, const nl_conv_graph *graph, const char *tag,
                      nl_error *err);
void nl_conv_exec_close(nl_conv_exec *exec);

/* Queues the plan on the handle's stream. The pointers are those of x, w and y in this order. */
int nl_conv_exec_run(const nl_conv_exec *exec, cudnnHandle_t handle, void *const tensors[3],
                     void *workspace, nl_error *err);
