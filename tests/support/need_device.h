/* Tests that want a GPU. */
#pragma once

#include <criterion/criterion.h> // cr_skip_test
#include <stdio.h>               // printf

#include "normlab/backend.h" // nl_cuda_probe

/* Skips the test, and says why, where there is no device. */
#define NEED_DEVICE()                                                                              \
    do {                                                                                           \
        nl_error err_;                                                                             \
        if (nl_cuda_probe(0, &err_) == NL_OK) break;                                               \
        printf("gpu: skipped: %s\n", err_.what);                                                   \
        fflush(stdout);                                                                            \
        cr_skip_test("no GPU");                                                                    \
    } while (0)
