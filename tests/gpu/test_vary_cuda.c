/* train.vary on the CUDA engine. Runs on a GPU where there is one, and on the CPU in the build that
 * runs the kernels there. */
#include "support/need_device.h"
#include "support/vary_check.h"

Test(vary_cuda, each_stream_alone_follows_the_seed) {
    NEED_DEVICE();
    vary_check_streams(&nl_backend_cuda);
}

Test(vary_cuda, the_streams_are_those_of_the_cpu) {
    NEED_DEVICE();
    vary_check_losses(&nl_backend_cuda);
}
