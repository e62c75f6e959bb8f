/* Loads cuDNN 9 at run time. Its sub-libraries lie beside it and are found by its own run path.
 * What some engines take from CUDA (cuBLASLt, NVRTC) is opened before they are used, so that it may
 * lie wherever dynlib.h looks. cuDNN ends the process when such an engine finds no cuBLASLt, so its
 * absence is an error here; without NVRTC engines that compile at run time drop out, and we take
 * none of those.
 */
#include "cudnn_api.h"

#include <stddef.h> // offsetof
#include <stdio.h>  // snprintf

#define SYMBOL(field, function)                                                                    \
    { #function, offsetof(nl_cudnn, field) }

static const nl_dynlib_symbol symbols[] = {
    SYMBOL(get_version, cudnnGetVersion),
    SYMBOL(get_cudart_version, cudnnGetCudartVersion),
    SYMBOL(error_string, cudnnGetErrorString),
    SYMBOL(last_error, cudnnGetLastErrorString),
    SYMBOL(create, cudnnCreate),
    SYMBOL(destroy, cudnnDestroy),
    SYMBOL(set_stream, cudnnSetStream),
    SYMBOL(create_descriptor, cudnnBackendCreateDescriptor),
    SYMBOL(destroy_descriptor, cudnnBackendDestroyDescriptor),
    SYMBOL(set_attribute, cudnnBackendSetAttribute),
    SYMBOL(get_attribute, cudnnBackendGetAttribute),
    SYMBOL(finalize, cudnnBackendFinalize),
    SYMBOL(execute, cudnnBackendExecute),
};

/* What this cuDNN takes from CUDA, of the CUDA that it was made for. */
static int load_helpers(nl_cudnn *cudnn, nl_error *err) {
    char name[32], ignored[NL_DYNLIB_PATH];
    const char *const names[] = {name, NULL};
    const int major = (int)(cudnn->get_cudart_version() / 1000);
    snprintf(name, sizeof name, "libnvrtc.so.%d", major);
    (void)nl_dynlib_open(names, ignored);
    snprintf(name, sizeof name, "libcublasLt.so.%d", major);
    if (nl_dynlib_open(names, cudnn->light_path)) return NL_OK;
    return nl_dynlib_not_found(name, cudnn->light_path, err);
}

int nl_cudnn_load(const nl_cudnn **api, nl_error *err) {
    static nl_cudnn table;
    *api = &table;
    if (table.execute) return NL_OK;

    static const char *const names[] = {"libcudnn.so.9", NULL};
    nl_cudnn loaded = {0};
    void *library = nl_dynlib_open(names, loaded.path);
    if (!library) return nl_dynlib_not_found(names[0], loaded.path, err);
    const char *missing =
        nl_dynlib_symbols(&loaded, library, symbols, sizeof symbols / sizeof *symbols);
    if (missing) return nl_fail(err, NL_EDEVICE, loaded.path, "has no %s", missing);
    if (load_helpers(&loaded, err)) return NL_EDEVICE;
    const size_t v = loaded.get_version();
    snprintf(loaded.version, sizeof loaded.version, "%zu.%zu.%zu", v / 10000, v / 100 % 100,
             v % 100);
    table = loaded;
    return NL_OK;
}
