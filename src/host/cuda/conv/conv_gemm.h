/* A 1x1 convolution as a matrix product by cuBLAS, loaded at run time. One stream at a time, a
 * fixed workspace and no TF32: the same bits every time.
 */
#pragma once

#include "conv_plan.h"           // nl_conv_problem
#include "cuda/runtime/dynlib.h" // NL_DYNLIB_PATH

enum { NL_GEMM_VERSION = 32 };

typedef struct nl_gemm nl_gemm;

/* NULL, and a warning, where there is no cuBLAS: then this candidate is missing, and nothing else.
 */
nl_gemm *nl_gemm_open(void);
void nl_gemm_close(nl_gemm *gemm);
const char *nl_gemm_version(const nl_gemm *gemm);

/* Which cuBLAS this machine has, as 13.0.2, and where it lies; needs no device. Errors: NL_EDEVICE.
 */
int nl_gemm_about(char version[NL_GEMM_VERSION], char path[NL_DYNLIB_PATH], nl_error *err);

/* Whether the problem is one: 1x1, no padding, forward or data gradient. (The filter gradient sums
 * over images too, which in NCHW is no single product.) */
bool nl_gemm_fits(nl_conv_problem problem);
int nl_gemm_run(nl_gemm *gemm, nl_conv_problem problem, cudaStream_t stream, float *out,
                const float *a, const float *b, nl_error *err);

/* c = a b for square matrices: what the device reaches in single precision. */
int nl_gemm_square(nl_gemm *gemm, int size, cudaStream_t stream, float *c, const float *a,
                   const float *b, nl_error *err);
