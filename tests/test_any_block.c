/* The CPU's fused operations on drawn shapes and values, some of them not finite, against double
 * precision. NORMLAB_DRAWS and NORMLAB_SEED ask for more, or for others. */
#include <criterion/criterion.h>

#include "support/any_case.h"
#include "support/isa.h" // TEST_IN_EACH_SET

static void the_fast_operations_do_as_the_plain_ones(void) {
    any_case_check(400, false, nl_verify_cpu, NULL);
}

TEST_IN_EACH_SET(any_block, the_fast_operations_do_as_the_plain_ones)
