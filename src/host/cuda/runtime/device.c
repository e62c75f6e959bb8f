/* Probing the CUDA device; see device.h. Without a driver cudaGetDeviceCount returns 35 and leaves
 * the count alone, so nothing it writes is looked at before its return value.
 */
#include "device.h"

#include <stdio.h>  // snprintf
#include <string.h> // memset

#define VERSION(v) (v) / 1000, (v) % 1000 / 10 /* 13000 is 13.0 */

enum { OLDEST_SM = 75 }; /* what CUDA 13 compiles for */

static int explain(cudaError_t status, const nl_device *d, nl_error *err) {
    if (d->driver == 0) {
        nl_fail(err, NL_EDEVICE, "cuda", "no NVIDIA driver on this machine (program: CUDA %d.%d)",
                VERSION(d->runtime));
        return nl_hint(err, "install the driver of an NVIDIA GPU, or use --device cpu");
    }
    if (status == cudaErrorInsufficientDriver || d->driver < d->runtime / 1000 * 1000) {
        nl_fail(err, NL_EDEVICE, "cuda",
                "the NVIDIA driver is too old: it supports CUDA %d.%d, this program needs %d.%d",
                VERSION(d->driver), VERSION(d->runtime));
        return nl_hint(err, "install a newer driver, or use --device cpu");
    }
    if (status == cudaErrorNoDevice) {
        nl_fail(err, NL_EDEVICE, "cuda", "no GPU that CUDA can use (driver: CUDA %d.%d)",
                VERSION(d->driver));
        return nl_hint(err, "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu");
    }
    return nl_fail(err, NL_EDEVICE, "cuda", "%s (driver: CUDA %d.%d, program: CUDA %d.%d)",
                   cudaGetErrorString(status), VERSION(d->driver), VERSION(d->runtime));
}

int nl_device_open(nl_device *device, int index, nl_error *err) {
    *device = (nl_device){.index = index};
    cudaError_t status = cudaRuntimeGetVersion(&device->runtime);
    if (status == cudaSuccess) status = cudaDriverGetVersion(&device->driver);
    if (status != cudaSuccess) return nl_cuda_check(status, "versions of CUDA", err);
    int count = 0;
    status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count < 1) status = cudaErrorNoDevice;
    if (status != cudaSuccess) return explain(status, device, err);
    if (index < 0 || index >= count) {
        return nl_fail(err, NL_EDEVICE, "cuda", "no device %d: this machine has cuda:0 to cuda:%d",
                       index, count - 1);
    }
    struct cudaDeviceProp prop;
    status = cudaGetDeviceProperties(&prop, index);
    if (status == cudaSuccess) status = cudaSetDevice(index);
    if (status != cudaSuccess) return explain(status, device, err);
    snprintf(device->name, sizeof device->name, "%s", prop.name);
    device->major = prop.major;
    device->minor = prop.minor;
    device->multiprocessors = prop.multiProcessorCount;
    device->memory = prop.totalGlobalMem;
    if (prop.major * 10 + prop.minor < OLDEST_SM) {
        return nl_fail(err, NL_EDEVICE, "cuda",
                       "%s has compute capability %d.%d, this program needs %d.%d or newer",
                       device->name, prop.major, prop.minor, OLDEST_SM / 10, OLDEST_SM % 10);
    }
    return NL_OK;
}

void nl_device_key(char key[NL_DEVICE_KEY], const nl_device *d) {
    snprintf(key, NL_DEVICE_KEY, "%s sm_%d%d", d->name, d->major, d->minor);
}

int nl_device_alloc(void **memory, size_t bytes, const char *what, nl_error *err) {
    const size_t wanted = bytes ? bytes : 1;
    *memory = NULL;
    cudaError_t status = cudaMalloc(memory, wanted);
    if (status == cudaSuccess) status = cudaMemset(*memory, 0, wanted);
    /* our streams do not wait for the default one */
    if (status == cudaSuccess) status = cudaStreamSynchronize(NULL);
    if (status == cudaSuccess) return NL_OK;
    if (*memory) cudaFree(*memory);
    *memory = NULL;
    if (status != cudaErrorMemoryAllocation) return nl_cuda_check(status, what, err);
    size_t available = 0, total = 0;
    (void)cudaMemGetInfo(&available, &total);
    (void)cudaGetLastError(); /* running out of memory does not break the device */
    nl_fail(err, NL_EDEVICE, what,
            "out of GPU memory: %.1f MiB wanted, %.1f MiB of %.1f MiB are free",
            (double)wanted / 1048576, (double)available / 1048576, (double)total / 1048576);
    return nl_hint(err, "a smaller data.batch needs less; nvidia-smi shows who uses the memory");
}

int nl_cuda_check(cudaError_t status, const char *what, nl_error *err) {
    if (status == cudaSuccess) return NL_OK;
    (void)cudaGetLastError(); /* the next launch would take it for its own */
    if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion) {
        nl_fail(err, NL_EDEVICE, "cuda", "%s: this program holds no code that this GPU can run: %s",
                what, cudaGetErrorString(status));
        return nl_hint(err, "build it with -DCMAKE_CUDA_ARCHITECTURES for this GPU");
    }
    return nl_fail(err, NL_EDEVICE, "cuda", "%s: %s (%d)", what, cudaGetErrorString(status),
                   (int)status);
}
