/* Configs for tests; see config_text.h. */
#include "normlab/model.h" // nl_model_check
#include "support/config_text.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // abort
#include <string.h> // strlen

#include "support/idx_set.h" // idx_set_save

int config_text_load(nl_config *config, const char *dir, const char *text, nl_error *err) {
    char path[512];
    snprintf(path, sizeof path, "%s/x.yaml", dir);
    idx_set_save(path, text, strlen(text), false);
    *err = (nl_error){0};
    const int code = nl_config_load(config, path, err);
    return code ? code : nl_model_check(config, err);
}

void config_text_variant(nl_config *config, const char *source, const char *name,
                         const char *const *sets) {
    char path[512];
    nl_error err;
    snprintf(path, sizeof path, "%s/configs/%s.yaml", source, name);
    int code = nl_config_load(config, path, &err);
    for (; !code && sets && *sets; sets++) code = nl_config_set(config, *sets, &err);
    if (!code) code = nl_model_check(config, &err);
    if (!code) return;
    nl_error_print(&err);
    abort();
}
