/* Stands where a .cu file includes <cuda_runtime.h>, when g++ compiles it for the executor. */
#pragma once

#include "cuda_runtime_api.h" // the host's side
#ifdef __cplusplus
#include "simt.h" // the device's side
#endif
