/* The device's memory; see run.h. */
#include <cuda_runtime_api.h> // cudaMemGetInfo

#include "support/run.h"

size_t bench_device_memory(void) {
    size_t left, all;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? all - left : 0;
}
