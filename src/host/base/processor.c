#include "processor.h"

#include <errno.h>   // errno
#include <sched.h>   // sched_getaffinity
#include <stdbool.h> // bool
#include <stdio.h>   // fopen, snprintf
#include <string.h>  // strchr, strcspn, strncmp, strspn

#include "normlab/error.h" // NL_ASSERT

void nl_processor_name(char *name, size_t size) {
    snprintf(name, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];
    while (file && fgets(line, sizeof line, file)) {
        const char *said = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !said) continue;
        said += 1 + strspn(said + 1, " ");
        snprintf(name, size, "%.*s", (int)strcspn(said, "\n"), said);
        break;
    }
    if (file) fclose(file);
}

/* The kernel wants a set as large as its own, of more than the 1,024 CPUs of a cpu_set_t on large
 * machines: it says EINVAL to a smaller one. */
int nl_processor_cores(void) {
    for (size_t cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        const size_t size = CPU_ALLOC_SIZE(cpus);
        NL_NEED(set);
        const bool known = sched_getaffinity(0, size, set) == 0;
        const int cores = known ? CPU_COUNT_S(size, set) : 0;
        const bool larger = !known && errno == EINVAL;
        CPU_FREE(set);
        if (cores > 0) return cores;
        if (!larger) break;
    }
    return 1;
}
