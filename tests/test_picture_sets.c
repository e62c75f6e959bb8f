/* Other pictures than MNIST's, of every format that is read: the CPU's engine trains each as double
 * precision does. tests/gpu/test_picture_sets_cuda.c does the same with the CUDA engine. */
#include <criterion/criterion.h>

#include "support/picture_check.h"

Test(picture_sets, fashion_mnist) {
    picture_check(&picture_sets[0], &nl_backend_cpu);
}

Test(picture_sets, emnist_letters) {
    picture_check(&picture_sets[1], &nl_backend_cpu);
}

Test(picture_sets, cifar10) {
    picture_check(&picture_sets[2], &nl_backend_cpu);
}

Test(picture_sets, cifar100) {
    picture_check(&picture_sets[3], &nl_backend_cpu);
}

Test(picture_sets, classes_256) {
    picture_check(&picture_sets[4], &nl_backend_cpu);
}

Test(picture_sets, scikit_learns_digits) {
    picture_check(&picture_sets[5], &nl_backend_cpu);
}
