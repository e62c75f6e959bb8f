/* 1x1 convolutions by cuBLAS. With in = (n, c, hw), out = (n, o, hw) and w = (o, c), all row-major,
 * each image is out[n] = w in[n] and din[n] = w' dout[n]. cuBLAS is column-major: a row-major
 * (rows, columns) matrix is its transpose there, so the factors change places:
 *
 *     out' (hw, o) = in' (hw, c) w' (c, o)          din' (hw, c) = dout' (hw, o) w (o, c)
 *
 * The images are one strided batch; w has stride 0.
 */
#include "conv_gemm.h"

#include <stddef.h> // offsetof
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include <cublas_v2.h> // types

#include "device.h" // nl_device_alloc
#include "dynlib.h" // nl_dynlib_open

enum { WORKSPACE = 32 << 20 }; /* what cuBLAS advises for Hopper */

typedef struct functions {
    __typeof__(cublasCreate_v2) *create;
    __typeof__(cublasDestroy_v2) *destroy;
    __typeof__(cublasGetVersion_v2) *get_version;
    __typeof__(cublasSetStream_v2) *set_stream;
    __typeof__(cublasSetWorkspace_v2) *set_workspace;
    __typeof__(cublasSetMathMode) *set_math;
    __typeof__(cublasSgemm_v2) *sgemm;
    __typeof__(cublasSgemmStridedBatched) *batched;
} functions;

struct nl_gemm {
    functions f;
    cublasHandle_t handle;
    void *workspace;
    char version[32];
};

static int load(functions *f) {
#define SYMBOL(field, function)                                                                    \
    { #function, offsetof(functions, field) }
    static const nl_dynlib_symbol symbols[] = {
        SYMBOL(create, cublasCreate_v2),
        SYMBOL(destroy, cublasDestroy_v2),
        SYMBOL(get_version, cublasGetVersion_v2),
        SYMBOL(set_stream, cublasSetStream_v2),
        SYMBOL(set_workspace, cublasSetWorkspace_v2),
        SYMBOL(set_math, cublasSetMathMode),
        SYMBOL(sgemm, cublasSgemm_v2),
        SYMBOL(batched, cublasSgemmStridedBatched),
    };
    static const char *const light[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", NULL};
    char path[512];
    (void)nl_dynlib_open(light, path, sizeof path); /* cuBLAS needs it; a wheel may keep it apart */
    void *library = nl_dynlib_open(names, path, sizeof path);
    return library && !nl_dynlib_symbols(f, library, symbols, sizeof symbols / sizeof *symbols);
}

nl_gemm *nl_gemm_open(void) {
    functions f;
    if (!load(&f)) return NULL;
    nl_gemm *gemm = nl_alloc(1, sizeof *gemm, "cuBLAS");
    gemm->f = f;
    if (f.create(&gemm->handle)) {
        free(gemm);
        return NULL;
    }
    int version = 0;
    if (nl_device_alloc(&gemm->workspace, WORKSPACE, "cuBLAS workspace", NULL) ||
        f.set_math(gemm->handle, CUBLAS_PEDANTIC_MATH) || f.get_version(gemm->handle, &version)) {
        nl_gemm_close(gemm);
        return NULL;
    }
    snprintf(gemm->version, sizeof gemm->version, "%d.%d.%d", version / 10000, version / 100 % 100,
             version % 100);
    return gemm;
}

void nl_gemm_close(nl_gemm *gemm) {
    if (!gemm) return;
    gemm->f.destroy(gemm->handle);
    cudaFree(gemm->workspace);
    free(gemm);
}

const char *nl_gemm_version(const nl_gemm *gemm) {
    return gemm->version;
}

bool nl_gemm_fits(nl_conv_problem p) {
    return p.shape.k == 1 && p.shape.pad == 0 && p.dir != NL_CONV_FILTER;
}

static int prepare(nl_gemm *gemm, cudaStream_t stream, nl_error *err) {
    /* setting the stream takes the workspace away again */
    if (gemm->f.set_stream(gemm->handle, stream) ||
        gemm->f.set_workspace(gemm->handle, gemm->workspace, WORKSPACE)) {
        return nl_fail(err, NL_EDEVICE, "cuBLAS", "cannot use the stream");
    }
    return NL_OK;
}

int nl_gemm_run(nl_gemm *gemm, nl_conv_problem p, cudaStream_t stream, float *out, const float *a,
                const float *b, nl_error *err) {
    NL_ASSERT(nl_gemm_fits(p));
    if (prepare(gemm, stream, err)) return NL_EDEVICE;
    const bool forward = p.dir == NL_CONV_FORWARD;
    const int hw = p.shape.h * p.shape.w;
    const int in = forward ? p.shape.c : p.shape.o, to = forward ? p.shape.o : p.shape.c;
    const float one = 1, zero = 0;
    const cublasStatus_t status = gemm->f.batched(
        gemm->handle, CUBLAS_OP_N, forward ? CUBLAS_OP_N : CUBLAS_OP_T, hw, to, in, &one, a, hw,
        (long long)in * hw, b, p.shape.c, 0, &zero, out, hw, (long long)to * hw, p.shape.n);
    return status ? nl_fail(err, NL_EDEVICE, "cuBLAS", "gemm failed (%d)", (int)status) : NL_OK;
}

int nl_gemm_square(nl_gemm *gemm, int size, cudaStream_t stream, float *c, const float *a,
                   const float *b, nl_error *err) {
    if (prepare(gemm, stream, err)) return NL_EDEVICE;
    const float one = 1, zero = 0;
    const cublasStatus_t status = gemm->f.sgemm(gemm->handle, CUBLAS_OP_N, CUBLAS_OP_N, size, size,
                                                size, &one, a, size, b, size, &zero, c, size);
    return status ? nl_fail(err, NL_EDEVICE, "cuBLAS", "gemm failed (%d)", (int)status) : NL_OK;
}
