/* `normlab verify` of a device: its whole table. Runs on a GPU where there is one, and on the CPU
 * in the build that runs the kernels there.
 */
#include <criterion/criterion.h>

#include "normlab/verify.h"
#include "support/need_device.h" // NEED_DEVICE

Test(verify_cuda, every_operation_is_as_it_should_be) {
    nl_verify_gpu *gpu;
    nl_error err = {0};
    NEED_DEVICE();
    cr_assert(nl_verify_gpu_open(&gpu, 0, &err) == NL_OK, "%s: %s", err.where, err.what);
    cr_assert(nl_verify("The kernels", nl_verify_cuda, gpu, &err) == NL_OK, "%s: %s", err.where,
              err.what);
    nl_verify_gpu_close(gpu);
}
