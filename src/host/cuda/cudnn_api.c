/* Loads cuDNN 9 at run time. Its sub-libraries lie beside it and are found by its own run path;
 * those of CUDA that some engines want (cuBLASLt, NVRTC) are opened first, so that a Python wheel's
 * folders of $NORMLAB_LIBRARY_PATH serve them too. Without them those engines only drop out of the
 * candidates.
 */
#include "cudnn_api.h"

#include <stddef.h> // offsetof
#include <stdio.h>  // snprintf

#include "dynlib.h" // nl_dynlib_open

#define SYMBOL(field, function)                                                                    \
    { #function, offsetof(nl_cudnn, field) }

static const nl_dynlib_symbol symbols[] = {
    SYMBOL(get_version, cudnnGetVersion),
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

int nl_cudnn_load(const nl_cudnn **api, nl_error *err) {
    static nl_cudnn table;
    *api = &table;
    if (table.execute) return NL_OK;

    static const char *const names[] = {"libcudnn.so.9", NULL};
    static const char *const helpers[][3] = {{"libcublasLt.so.13", "libcublasLt.so.12", NULL},
                                             {"libnvrtc.so.13", "libnvrtc.so.12", NULL}};
    char ignored[sizeof table.path];
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++) {
        (void)nl_dynlib_open(helpers[i], ignored, sizeof ignored);
    }
    void *library = nl_dynlib_open(names, table.path, sizeof table.path);
    if (!library) {
        nl_fail(err, NL_EDEVICE, "cuDNN", "no libcudnn.so.9 found on this machine");
        return nl_hint(err, "install cuDNN 9, or put the folder it lies in into "
                            "NORMLAB_LIBRARY_PATH (a Python's site-packages/nvidia/cudnn/lib)");
    }
    nl_cudnn loaded = table;
    const char *missing =
        nl_dynlib_symbols(&loaded, library, symbols, sizeof symbols / sizeof *symbols);
    if (missing) return nl_fail(err, NL_EDEVICE, table.path, "has no %s", missing);
    const size_t v = loaded.get_version();
    snprintf(loaded.version, sizeof loaded.version, "%zu.%zu.%zu", v / 10000, v / 100 % 100,
             v % 100);
    table = loaded;
    return NL_OK;
}
