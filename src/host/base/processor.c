#include "processor.h"

#include <stdio.h>  // fopen, snprintf
#include <string.h> // strchr, strcspn, strncmp, strspn

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
