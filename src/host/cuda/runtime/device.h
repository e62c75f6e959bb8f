/* The CUDA device: whether there is one that can be used, its memory, and the runtime's errors in
 * words that a user understands. Errors are NL_EDEVICE.
 */
#pragma once

#include <stddef.h> // size_t

#include <cuda_runtime_api.h> // cudaError_t

#include "normlab/error.h" // nl_error

typedef struct nl_device {
    int index;
    char name[256];
    int major, minor;    /* compute capability */
    int multiprocessors; /* as the device tells */
    size_t memory;       /* bytes */
    int driver, runtime; /* as 13000 for 13.0 */
} nl_device;

/* Selects a device and tells what it is. Errors in one line with versions: no driver, a driver
 * older than this program's runtime, no device, no such device, a device too old for this program.
 */
int nl_device_open(nl_device *device, int index, nl_error *err);

/* What is measured on a device holds for all of this name. */
enum { NL_DEVICE_KEY = 288 };
void nl_device_key(char key[NL_DEVICE_KEY], const nl_device *device);

/* Device memory, zeroed. `what` names the thing in the error, which tells wanted and free bytes. */
int nl_device_alloc(void **memory, size_t bytes, const char *what, nl_error *err);

/* 0 for cudaSuccess; else fails with the runtime's text, and nobody else will be told: the runtime
 * forgets the error, unless it stays. `what`: what was being done. */
int nl_cuda_check(cudaError_t status, const char *what, nl_error *err);
