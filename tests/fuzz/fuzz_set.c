/* --set: each line of an input is one assignment to a config that is shipped. */
#include "fuzz.h"

#include <stdlib.h> // free
#include <string.h> // strtok_r

#include "normlab/model.h" // nl_model_check

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static nl_config shipped;
    static bool read;
    nl_error err;
    if (!read) HOLDS(nl_config_load(&shipped, NL_SOURCE_DIR "/configs/gn.yaml", &err) == NL_OK);
    read = true;
    nl_config config = shipped;
    char *text = nl_alloc(size + 1, 1, "text"), *rest = NULL;
    if (size) memcpy(text, data, size);
    fuzz_no_error(&err);
    fuzz_hear();
    int rc = NL_OK;
    for (char *line = strtok_r(text, "\n", &rest); line && !rc; line = strtok_r(NULL, "\n", &rest))
        rc = nl_config_set(&config, line, &err);
    if (!rc) rc = nl_config_check(&config, &err);
    if (!rc) rc = nl_model_check(&config, &err);
    HOLDS(fuzz_heard() == 0);
    const bool taken = fuzz_went_well(rc, NL_EUSAGE, &err);
    fuzz_count(taken);
    if (taken) fuzz_check_config(&config);
    free(text);
    return 0;
}
