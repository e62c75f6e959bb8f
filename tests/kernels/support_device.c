/* support_device.h */
#include "support_device.h"

#include <cuda_runtime_api.h> // cudaMalloc
#include <stdio.h>            // snprintf
#include <stdlib.h>           // malloc
#include <string.h>           // memcmp

#include "support/compare.h" // cr_assert

/* Of the executor; a real runtime has neither. */
__attribute__((weak)) void simt_schedule(unsigned value);
__attribute__((weak)) void simt_note(const char *kind, const char *text);

static void ok(cudaError_t error, const char *what) {
    cr_assert(error == cudaSuccess, "%s: %s", what, cudaGetErrorString(error));
}

/* Without a GPU the test is skipped. */
static void need_device(void) {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) cr_skip_test("no CUDA device");
}

// --- memory -------------------------------------------------------------------------------------

enum { MOST_BUFFERS = 64 };

/* Where the allocation of a shifted buffer begins. */
static struct { void *buffer, *memory; } buffers[MOST_BUFFERS];

void *device_copy(const void *host, int64_t count, size_t size, int shift) {
    need_device();
    int slot = 0;
    while (slot < MOST_BUFFERS && buffers[slot].buffer) slot++;
    cr_assert(slot < MOST_BUFFERS);
    const size_t before = (size_t)shift * size, bytes = (size_t)count * size;
    const size_t all = before + bytes ? before + bytes : 1; /* of 0 bytes a runtime gives NULL */
    char *memory;
    ok(cudaMalloc((void **)&memory, all), "cudaMalloc");
    ok(cudaMemset(memory, 0xff, all), "cudaMemset");
    if (host && bytes)
        ok(cudaMemcpy(memory + before, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    buffers[slot].memory = memory;
    buffers[slot].buffer = memory + before;
    return memory + before;
}

void device_read(void *host, const void *device, int64_t count, size_t size) {
    if (count == 0) return;
    ok(cudaMemcpy(host, device, (size_t)count * size, cudaMemcpyDeviceToHost), "cudaMemcpy");
}

void device_free(void *device) {
    if (!device) return;
    for (int slot = 0; slot < MOST_BUFFERS; slot++) {
        if (buffers[slot].buffer != device) continue;
        ok(cudaFree(buffers[slot].memory), "cudaFree");
        buffers[slot].buffer = NULL;
        return;
    }
    cr_assert_fail("not a device buffer");
}

void *scratch_make(size_t size) {
    return device_copy(NULL, (int64_t)size, 1, 0);
}

uint32_t *counters_make(int count) {
    uint32_t *zero = calloc((size_t)count, sizeof *zero);
    uint32_t *counters = device_copy(zero, count, sizeof *counters, 0);
    free(zero);
    return counters;
}

void counters_free(uint32_t *counters, int count) {
    uint32_t *left = malloc((size_t)count * sizeof *left);
    device_read(left, counters, count, sizeof *left);
    for (int i = 0; i < count; i++) cr_assert(left[i] == 0, "counter %d is %u", i, left[i]);
    free(left);
    device_free(counters);
}

// --- schedules ----------------------------------------------------------------------------------

unsigned schedules(void) {
    return simt_schedule ? 4 : 2;
}

void schedule(unsigned s) {
    if (simt_schedule) simt_schedule(s);
}

void covered(const char *launcher, const char *shape) {
    char line[256];
    snprintf(line, sizeof line, "%s %s", launcher, shape);
    if (simt_note) simt_note("shape", line);
}

void same_bits(void *result, const void *device, int64_t count, size_t size, unsigned s,
               const char *what) {
    if (s == 0) {
        device_read(result, device, count, size);
        return;
    }
    const size_t bytes = (size_t)count * size;
    char *again = malloc(bytes + 1);
    device_read(again, device, count, size);
    for (size_t i = 0; i < bytes; i++) {
        cr_assert(again[i] == ((const char *)result)[i], "%s: schedule %u changes element %lld",
                  what, s, (long long)(i / size));
    }
    free(again);
}
