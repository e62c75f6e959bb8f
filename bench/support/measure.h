/* What all benchmarks share: the clock, medians, the machine's limits, and the lines they write.
 *
 * Every benchmark writes one JSON object a line to standard output, with `what` telling which kind
 * (machine, step, losses, norm, profile); bench/compare.sh gathers them, bench/aggregate.py makes
 * one result of them. */
#pragma once

#include <stddef.h> // size_t

struct json_t;

double bench_seconds(void); /* monotonic */

/* The middle of so many values (the mean of the two in the middle); sorts them. */
double bench_median(double *values, int count);

/* Bytes of the largest cache that a core sees; 32 MiB where the system does not tell. */
size_t bench_cache_bytes(void);

/* Reads and writes so much memory that nothing else is left in the caches. */
void bench_flush_cache(void);

/* GB/s (10^9 bytes, read and written ones counted alike) of copying between two blocks far larger
 * than the cache, `threads` at once: the best of `rounds`. */
double bench_copy_bandwidth(int threads, int rounds);

/* GFLOP/s of OpenBLAS' product of two square float matrices, the best of `rounds`; 0 where no
 * OpenBLAS is installed, or its product is wrong. `path`: the library; NULL for the system's.
 * `library` gets name, version and the core whose kernels it used, or "none". */
double bench_sgemm_peak(const char *path, int threads, int rounds, char *library, size_t size);

/* Writes the object as one line and releases it. */
void bench_print(struct json_t *object);

/* The value of an option that is a number of 1 or more; ends the program (exit 2) if it is not. */
int bench_number(const char *option, const char *value);
