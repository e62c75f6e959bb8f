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

#include "cuda/runtime/device.h" // nl_device_alloc
#include "normlab/error.h"       // nl_warn

/* The major version whose headers these are goes first: another may round differently. */
#if CUBLAS_VER_MAJOR == 12
#define NAMES(library)                                                                             \
    { library ".so.12", library ".so.13", NULL }
#else
#define NAMES(library)                                                                             \
    { library ".so.13", library ".so.12", NULL }
#endif

enum { WORKSPACE = 32 << 20 }; /* what cuBLAS advises for Hopper */

typedef struct functions {
    __typeof__(cublasCreate_v2) *create;
    __typeof__(cublasDestroy_v2) *destroy;
    __typeof__(cublasGetProperty) *get_property;
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
    char version[NL_GEMM_VERSION];
};

static int load(functions *f, char path[NL_DYNLIB_PATH], nl_error *err) {
#define SYMBOL(field, function)                                                                    \
    { #function, offsetof(functions, field) }
    static const nl_dynlib_symbol symbols[] = {
        SYMBOL(create, cublasCreate_v2),
        SYMBOL(destroy, cublasDestroy_v2),
        SYMBOL(get_property, cublasGetProperty),
        SYMBOL(set_stream, cublasSetStream_v2),
        SYMBOL(set_workspace, cublasSetWorkspace_v2),
        SYMBOL(set_math, cublasSetMathMode),
        SYMBOL(sgemm, cublasSgemm_v2),
        SYMBOL(batched, cublasSgemmStridedBatched),
    };
    static const char *const light[] = NAMES("libcublasLt");
    static const char *const names[] = NAMES("libcublas");
    (void)nl_dynlib_open(light, path); /* cuBLAS needs it; a wheel may keep it apart */
    void *library = nl_dynlib_open(names, path);
    if (!library) return nl_dynlib_not_found("libcublas", path, err);
    const char *missing = nl_dynlib_symbols(f, library, symbols, sizeof symbols / sizeof *symbols);
    return missing ? nl_fail(err, NL_EDEVICE, path, "has no %s", missing) : NL_OK;
}

static int read_version(const functions *f, char version[NL_GEMM_VERSION], nl_error *err) {
    int n[3] = {0};
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): whatever is not found is a failure */
    if (f->get_property(MAJOR_VERSION, &n[0]) || f->get_property(MINOR_VERSION, &n[1]) ||
        f->get_property(PATCH_LEVEL, &n[2])) {
        return nl_fail(err, NL_EDEVICE, "cuBLAS", "does not tell its version");
    }
    snprintf(version, NL_GEMM_VERSION, "%d.%d.%d", n[0], n[1], n[2]);
    return NL_OK;
}

int nl_gemm_about(char version[NL_GEMM_VERSION], char path[NL_DYNLIB_PATH], nl_error *err) {
    functions f;
    const int code = load(&f, path, err);
    return code ? code : read_version(&f, version, err);
}

static int start(nl_gemm *gemm, nl_error *err) {
    const cublasStatus_t status = gemm->f.create(&gemm->handle);
    if (status) return nl_fail(err, NL_EDEVICE, "cuBLAS", "cannot start (%d)", (int)status);
    const int code = nl_device_alloc(&gemm->workspace, WORKSPACE, "cuBLAS workspace", err);
    if (code) return code;
    if (gemm->f.set_math(gemm->handle, CUBLAS_PEDANTIC_MATH))
        return nl_fail(err, NL_EDEVICE, "cuBLAS", "does not do without TF32");
    return read_version(&gemm->f, gemm->version, err);
}

nl_gemm *nl_gemm_open(void) {
    nl_error err;
    char path[NL_DYNLIB_PATH];
    nl_gemm *gemm = nl_alloc(1, sizeof *gemm, "cuBLAS");
    if (load(&gemm->f, path, &err) == NL_OK && start(gemm, &err) == NL_OK) return gemm;
    nl_warn(err.where, "%s: 1x1 convolutions go without cuBLAS", err.what);
    nl_gemm_close(gemm);
    return NULL;
}

void nl_gemm_close(nl_gemm *gemm) {
    if (!gemm) return;
    if (gemm->handle) gemm->f.destroy(gemm->handle);
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
