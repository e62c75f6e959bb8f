/* Random networks of the config's language: the CUDA engine trains each as double precision does,
 * on a GPU or in the build that runs the kernels on the CPU. tests/test_any_network.c does the same
 * with the CPU's engine. */
#include <criterion/criterion.h>
#include <stdio.h> // printf

#include "support/survey.h"

enum { MACS = 8000 }; /* of an image: small ones, the kernels may be run by the CPU */

Test(any_network_cuda, trains_as_in_double_precision) {
    static survey s;
    nl_error err;
    if (nl_cuda_probe(0, &err) != NL_OK) {
        printf("gpu: skipped: %s\n", err.what);
        fflush(stdout);
        cr_skip_test("no GPU");
    }
    survey_run(&s, &nl_backend_cuda, survey_first(), survey_count(100), MACS);
    survey_print(&s);
    cr_assert_eq(s.failed, 0, "%d of %d networks failed; %s", s.failed, s.networks,
                 s.first_failure);
}
