/* Random networks of the config's language: the CUDA engine, its kernels run by the executor,
 * trains each as double precision does. tests/test_any_network.c does the same with the CPU's
 * engine. */
#include <criterion/criterion.h>
#include <stdlib.h> // getenv

#include "support/survey.h"

enum {
    MACS = 8000, /* of an image: small ones, a CPU runs the kernels */
    NETWORKS = 25
};

/* The executor's other schedules (tests/simt) train other networks. */
static uint32_t first_network(void) {
    const char *schedule = getenv("NL_SIMT_SCHEDULE");
    return survey_first() + NETWORKS * (schedule ? (uint32_t)strtoul(schedule, NULL, 10) : 0);
}

Test(any_network_cuda, trains_as_in_double_precision) {
    static survey s;
    survey_run(&s, &nl_backend_cuda, first_network(), survey_count(NETWORKS), MACS);
    survey_print(&s);
    cr_assert_eq(s.failed, 0, "%d of %d networks failed; %s", s.failed, s.networks,
                 s.first_failure);
}
