/* The functions of cuDNN 9 that we use, loaded at run time. */
#pragma once

#include <cudnn_graph.h> // types, enumerators

#include "cuda/runtime/dynlib.h" // NL_DYNLIB_PATH
#include "normlab/error.h"       // nl_error

typedef struct nl_cudnn {
    __typeof__(cudnnGetVersion) *get_version;
    __typeof__(cudnnGetCudartVersion) *get_cudart_version;
    __typeof__(cudnnGetErrorString) *error_string;
    __typeof__(cudnnGetLastErrorString) *last_error;
    __typeof__(cudnnCreate) *create;
    __typeof__(cudnnDestroy) *destroy;
    __typeof__(cudnnSetStream) *set_stream;
    __typeof__(cudnnBackendCreateDescriptor) *create_descriptor;
    __typeof__(cudnnBackendDestroyDescriptor) *destroy_descriptor;
    __typeof__(cudnnBackendSetAttribute) *set_attribute;
    __typeof__(cudnnBackendGetAttribute) *get_attribute;
    __typeof__(cudnnBackendFinalize) *finalize;
    __typeof__(cudnnBackendExecute) *execute;
    char path[NL_DYNLIB_PATH];       /* what was loaded */
    char light_path[NL_DYNLIB_PATH]; /* the cuBLASLt that it takes its functions from */
    char version[32];                /* as 9.19.0 */
} nl_cudnn;

/* The library, loaded once; stays loaded. Errors, NL_EDEVICE: no cuDNN 9, or no cuBLASLt for it. */
int nl_cudnn_load(const nl_cudnn **api, nl_error *err);
