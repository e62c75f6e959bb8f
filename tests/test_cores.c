/* The number of CPUs on machines larger than any at hand: the kernel's answer is played here. */
#include <criterion/criterion.h>
#include <errno.h> // errno
#include <sched.h> // cpu_set_t

#include "base/processor.h"

static size_t kernel_cpus, allowed; /* what the kernel keeps sets for, and may be used of them */
static int failure;

/* In place of the C library's. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
    (void)pid;
    errno = failure ? failure : EINVAL;
    if (failure || size * 8 < kernel_cpus) return -1;
    CPU_ZERO_S(size, set);
    for (size_t i = 0; i < allowed; i++) CPU_SET_S(kernel_cpus - 1 - i, size, set);
    return 0;
}

Test(cores, any_number_is_seen) {
    static const size_t sizes[][2] = {{64, 2},      {1024, 1024}, {1025, 3},
                                      {2048, 2000}, {8192, 8192}, {65536, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        kernel_cpus = sizes[i][0];
        allowed = sizes[i][1];
        cr_expect(nl_processor_cores() == (int)allowed, "of %zu: %d, not %zu", kernel_cpus,
                  nl_processor_cores(), allowed);
    }
}

Test(cores, one_where_the_kernel_does_not_tell) {
    failure = EPERM;
    cr_expect_eq(nl_processor_cores(), 1);
    failure = 0;
    kernel_cpus = (size_t)1 << 30;
    cr_expect_eq(nl_processor_cores(), 1);
}
