/* The bytes that kernels read and write in the device's memory, counted launch by launch. Shared
 * memory, local variables and a kernel's arguments are not in it.
 *
 * once:  sectors of 32 bytes, each once a launch: what memory has to give and take where nothing is
 *        in the cache before and everything stays in it until the launch's end.
 * asked: what all threads ask for together, as if there were no cache.
 *
 * Kernels are counted only in programs whose kernels were compiled to be (CMakeLists.txt here). Work
 * of the host in a kernel's place says itself what it moves.
 */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t
#include <stdint.h>  // int64_t

#ifdef __cplusplus
extern "C" {
#endif

enum { SIMT_READ, SIMT_WRITTEN, SIMT_WAYS };

typedef struct simt_bytes {
    int64_t once[SIMT_WAYS], asked[SIMT_WAYS];
} simt_bytes;

typedef struct simt_launch {
    char name[48];
    simt_bytes bytes;
} simt_launch;

/* Counts from now on, into an empty list, or no more; the list stays until the next one begins. */
void simt_bytes_watch(bool on);
/* The list, in the order in which launches were done. */
size_t simt_bytes_launches(const simt_launch **list);
/* Of one allocation, over all launches. */
simt_bytes simt_bytes_of(const void *memory);

/* Work of the host: it reads and writes each of these bytes once. */
void simt_bytes_moved(const char *name, int64_t read, int64_t written);

#ifdef __cplusplus
}
#endif
