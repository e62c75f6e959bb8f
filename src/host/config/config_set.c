/* --set KEY=VALUE. */
#include "normlab/config.h"

#include <string.h> // strchr

#include "config_read.h"

/* A value that looks like a list is one where the key takes lists. */
static int assign_text(nl_config *config, const char *path, nl_scalar *value, nl_error *err) {
    const int i = nl_key_find(nl_config_keys, nl_config_key_count, path);
    if (i < 0 || value->text[0] != '[' || !nl_key_takes_list(&nl_config_keys[i]))
        return nl_config_assign(config, path, value, err);
    nl_list list = nl_list_make();
    int code = nl_yaml_list(&list, value, path, err);
    value->items = list.items;
    value->n_items = list.count;
    if (!code) code = nl_config_assign(config, path, value, err);
    nl_list_free(&list);
    return code;
}

int nl_config_set(nl_config *config, const char *assignment, nl_error *err) {
    char path[128];
    const char *equals = strchr(assignment, '=');
    const size_t length = equals ? (size_t)(equals - assignment) : 0;
    if (length == 0 || length >= sizeof path) {
        nl_fail(err, NL_EUSAGE, "--set", "%.80s: not of the form KEY=VALUE", assignment);
        return nl_hint(err, "for instance --set train.l1=0");
    }
    memcpy(path, assignment, length);
    path[length] = '\0';
    nl_scalar value = {.text = equals + 1, .file = "--set", .code = NL_EUSAGE};
    if (!strcmp(path, "model.layers"))
        return nl_key_fail(err, &value, path, "layers are set in the config file only");
    const int code = assign_text(config, path, &value, err);
    if (code) return code;
    config->lines[nl_key_find(nl_config_keys, nl_config_key_count, path)] = NL_FROM_SET;
    nl_config_take_set(config);
    return NL_OK;
}
