/* YAML configs: what is read, its checks, and the network that it makes. */
#include "fuzz.h"

#include "normlab/model.h" // nl_model_check

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nl_config config;
    nl_error err;
    fuzz_no_error(&err);
    const char *path = fuzz_file("fuzz.yaml", data, size);
    fuzz_hear();
    int rc = nl_config_load(&config, path, &err);
    if (!rc) rc = nl_model_check(&config, &err);
    HOLDS(fuzz_heard() == 0);
    const bool taken = fuzz_went_well(rc, NL_EUSAGE, &err);
    fuzz_count(taken);
    if (taken) fuzz_check_config(&config);
    return 0;
}
