/* The instruction sets that a test goes through. */
#pragma once

#include "cpu/simd/simd.h" // nl_simd

/* The table of that name; the test is skipped, by its name, where this machine lacks it. The
 * engines that are opened and the cases of nl_verify_cpu that run from here on use it. */
const nl_simd *test_isa(const char *name);

/* Two tests of a function without arguments: one in each instruction set. */
#define TEST_IN_EACH_SET(suite, name)                                                              \
    Test(suite, name##_avx2) {                                                                     \
        test_isa("avx2");                                                                          \
        name();                                                                                    \
    }                                                                                              \
    Test(suite, name##_avx512) {                                                                   \
        test_isa("avx512");                                                                        \
        name();                                                                                    \
    }
