/* The kernels on drawn shapes and values, some of them not finite, against double precision: on a GPU
 * where there is one, and on the CPU in the build that runs the kernels there. NORMLAB_DRAWS and
 * NORMLAB_SEED ask for more, or for others. */
#include <criterion/criterion.h>

#include "support/any_case.h"
#include "support/need_device.h" // NEED_DEVICE

#ifdef NL_SIMT_TEST
enum { DRAWS = 60 };
static const bool small = true;
#else
enum { DRAWS = 400 };
static const bool small = false;
#endif

Test(any_block_cuda, the_kernels_do_as_the_plain_operations) {
    nl_verify_gpu *gpu;
    nl_error err = {0};
    NEED_DEVICE();
    cr_assert(nl_verify_gpu_open(&gpu, 0, &err) == NL_OK, "%s: %s", err.where, err.what);
    any_case_check(DRAWS, small, nl_verify_cuda, gpu);
    nl_verify_gpu_close(gpu);
}
