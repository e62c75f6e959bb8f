/* Names of run folders that have to be read. */
#include "normlab/run_files.h"

#include <stdio.h> // sscanf

bool nl_seed_of_folder(const char *name, uint32_t *seed) {
    int end = 0;
    return sscanf(name, NL_SEED_FOLDER "%n", seed, &end) == 1 && name[end] == '\0';
}
