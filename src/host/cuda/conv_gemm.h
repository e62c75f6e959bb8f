/* A 1x1 convolution as a matrix product by cuBLAS, loaded at run time. One stream at a time, a
 * fixed workspace and no TF32: the same bits every time.
 */
#pragma once

#include "conv_plan.h" // nl_conv_problem

typedef struct nl_gemm nl_gemm;

/* NULL where there is no cuBLAS: then this candidate is missing, and nothing else. */
nl_gemm *nl_gemm_open(void);
void nl_gemm_close(nl_gemm *gemm);
const char *nl_gemm_version(const nl_gemm *gemm);

/* Whether the problem is one: 1x1, no padding, forward or data gradient. (The filter gradient sums
 * over images too, which in NCHW is no single product.) */
bool nl_gemm_fits(nl_conv_problem problem);
int nl_gemm_run(nl_gemm *gemm, nl_conv_problem problem, cudaStream_t stream, float *out,
                const float *a, const float *b, nl_error *err);

/* c = a b for square matrices: what the device reaches in single precision. */
int nl_gemm_square(nl_gemm *gemm, int size, cudaStream_t stream, float *c, const float *a,
                   const float *b, nl_error *err);
