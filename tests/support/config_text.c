/* Configs for tests; see config_text.h. */
#include "normlab/model.h" // nl_model_check
#include "support/config_text.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // abort
#include <string.h> // strcmp, strlen

#include "support/idx_set.h" // idx_set_save, temp_dir_make

int config_text_load(nl_config *config, const char *text, nl_error *err) {
    char path[512], *dir = temp_dir_make();
    snprintf(path, sizeof path, "%s/x.yaml", dir);
    idx_set_save(path, text, strlen(text), false);
    *err = (nl_error){0};
    const int code = nl_config_load(config, path, err);
    temp_dir_remove(dir);
    return code ? code : nl_model_check(config, err);
}

bool config_text_ends(const char *where, const char *end) {
    const size_t n = strlen(where), m = strlen(end);
    return n >= m && !strcmp(where + n - m, end);
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
