/* Other pictures than MNIST's: the CUDA engine trains each as double precision does. Runs on a GPU
 * where there is one, and on the CPU in the build that runs the kernels there. */
#include <criterion/criterion.h>

#include "support/need_device.h"
#include "support/picture_check.h"

Test(picture_sets_cuda, fashion_mnist) {
    NEED_DEVICE();
    picture_check(&picture_sets[0], &nl_backend_cuda);
}

Test(picture_sets_cuda, emnist_letters) {
    NEED_DEVICE();
    picture_check(&picture_sets[1], &nl_backend_cuda);
}

Test(picture_sets_cuda, cifar10) {
    NEED_DEVICE();
    picture_check(&picture_sets[2], &nl_backend_cuda);
}

Test(picture_sets_cuda, cifar100) {
    NEED_DEVICE();
    picture_check(&picture_sets[3], &nl_backend_cuda);
}

Test(picture_sets_cuda, classes_256) {
    NEED_DEVICE();
    picture_check(&picture_sets[4], &nl_backend_cuda);
}

Test(picture_sets_cuda, scikit_learns_digits) {
    NEED_DEVICE();
    picture_check(&picture_sets[5], &nl_backend_cuda);
}
