/* train.vary on the CUDA engine. Runs on a GPU where there is one, and on the CPU in the build that
 * runs the kernels there. */
#include <criterion/criterion.h>
#include <stdio.h> // printf

#include "support/vary_check.h"

#define NEED_DEVICE()                                                                              \
    do {                                                                                           \
        nl_error err;                                                                              \
        if (nl_cuda_probe(0, &err) == NL_OK) break;                                                \
        printf("gpu: skipped: %s\n", err.what);                                                    \
        fflush(stdout);                                                                            \
        cr_skip_test("no GPU");                                                                    \
    } while (0)

Test(vary_cuda, each_stream_alone_follows_the_seed) {
    NEED_DEVICE();
    vary_check_streams(&nl_backend_cuda);
}

Test(vary_cuda, the_streams_are_those_of_the_cpu) {
    NEED_DEVICE();
    vary_check_losses(&nl_backend_cuda);
}
