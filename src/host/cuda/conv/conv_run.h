/* One convolution's plan, made from its tag, and the lanes that plans run on. Private to conv. */
#pragma once

#include "conv_gemm.h"  // nl_gemm
#include "conv_graph.h" // nl_conv_exec
#include "conv_space.h" // nl_conv_space

typedef struct nl_conv_lanes {
    const nl_cudnn *api;
    cudaStream_t streams[NL_CONV_LANES];
    cudnnHandle_t handles[NL_CONV_LANES]; /* each on its lane's stream for good */
    nl_gemm *gemm;                        /* NULL: no cuBLAS on this machine */
    nl_conv_space space;
} nl_conv_lanes;

/* The streams stay the caller's. On failure close it too. */
int nl_conv_lanes_open(nl_conv_lanes *lanes, const cudaStream_t streams[NL_CONV_LANES],
                       nl_error *err);
void nl_conv_lanes_close(nl_conv_lanes *lanes);

/* The tag of a matrix product by cuBLAS; all others are cuDNN's (conv_graph.h). */
extern const char nl_conv_gemm_tag[];

typedef struct nl_conv_plan {
    nl_conv_problem problem;
    bool gemm;
    nl_conv_graph graph; /* where it is no gemm */
    nl_conv_exec exec;
    void *workspace[NL_CONV_LANES];
} nl_conv_plan;

int nl_conv_plan_open(nl_conv_plan *plan, nl_conv_lanes *lanes, nl_conv_problem problem,
                      const char *tag, nl_error *err);
void nl_conv_plan_close(nl_conv_plan *plan);

/* As nl_convs_run. */
int nl_conv_plan_run(const nl_conv_plan *plan, nl_conv_lanes *lanes, int lane, float *out,
                     const float *a, const float *b, nl_error *err);
