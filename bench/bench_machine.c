/* The limits of this machine, which the other benchmarks are measured by: how fast memory is copied
 * and how many products and sums a second a matrix product reaches.
 *
 *     bench_machine [--threads N] [--rounds N] [--openblas LIBRARY]
 *
 * A step's time cannot fall below its arithmetic at the rate of sgemm: 17.0 MFLOP an image, forward
 * and backward. Copying counts bytes read and bytes written. OpenBLAS, LIBRARY or the system's, is
 * looked for when the program runs. */
#include <jansson.h> // json_pack
#include <stdbool.h> // bool
#include <stdio.h>   // fputs
#include <string.h>  // strcmp

#include "normlab/error.h"   // NL_EUSAGE
#include "support/measure.h" // bench_copy_bandwidth

#include "base/processor.h" // nl_processor_name
#include "base/processor.h" // nl_processor_cores

int main(int argc, char **argv) {
    int threads = nl_processor_cores(), rounds = 5;
    const char *openblas = NULL;
    for (int i = 1; i < argc; i += 2) {
        int *const to = !strcmp(argv[i], "--threads")  ? &threads
                        : !strcmp(argv[i], "--rounds") ? &rounds
                                                       : NULL;
        const bool path = !strcmp(argv[i], "--openblas");
        if ((!to && !path) || i + 1 == argc) {
            fputs("usage: bench_machine [--threads N] [--rounds N] [--openblas LIBRARY]\n", stderr);
            return NL_EUSAGE;
        }
        if (path)
            openblas = argv[i + 1];
        else
            *to = bench_number(argv[i], argv[i + 1]);
    }
    char name[256], library[64];
    nl_processor_name(name, sizeof name);
    const double copied = bench_copy_bandwidth(threads, rounds);
    const double flops = bench_sgemm_peak(openblas, threads, rounds, library, sizeof library);
    bench_print(json_pack("{ss ss si sI sf so ss}", "what", "machine", "processor", name, "threads",
                          threads, "cache_bytes", (json_int_t)bench_cache_bytes(), "copy_gb_s",
                          copied, "sgemm_gflops", flops > 0 ? json_real(flops) : json_null(),
                          "sgemm_library", library));
    return 0;
}
