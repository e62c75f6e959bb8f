/* The instruction sets that a test goes through. */
#pragma once

#include "cpu/fast/net_fast.h" // nl_engine
#include "cpu/simd/simd.h"     // nl_simd

/* The table of that name; the test is skipped, by its name, where this machine lacks it. The
 * engines that are opened and the cases of nl_verify_cpu that run from here on use it. */
const nl_simd *test_isa(const char *name);

/* An engine in the set that would be chosen now, of one thread and seed 3; it points into these. */
nl_engine test_isa_engine(const nl_config *config, const nl_model *model, const nl_dataset *data);

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
