/* What the readers of a config (YAML, JSON, --set) share: each finds paths and texts, these turn
 * them into values.
 */
#pragma once

#include "config_keys.h" // nl_scalar, nl_layer_draft

/* Every key at its default, no layers, no name. */
void nl_config_defaults(nl_config *config);

/* Is there a key below this path? `model`, `train.schedule` */
bool nl_config_is_section(const char *path);

/* Gives the key its value. Errors: unknown key (with the one that was probably meant), a key given
 * twice in one file, a wrong value. */
int nl_config_assign(nl_config *config, const char *path, const nl_scalar *value, nl_error *err);

/* Gives the picture what data.set has for the keys that nothing else gave. */
void nl_config_take_set(nl_config *config);

/* What nl_config_check says of the picture; `where`: for errors of defaults. */
int nl_config_check_picture(const nl_config *config, const char *where, nl_error *err);

/* A list while it is read: it owns its items, the items their texts. */
typedef struct nl_list {
    nl_scalar *items; /* (NL_MAX_CLASSES + 1): one more than any key takes */
    int count;
} nl_list;

nl_list nl_list_make(void);
void nl_list_free(nl_list *list);

/* Copies an item with its text. Errors: more than any key takes. */
int nl_list_add(nl_list *list, const nl_scalar *item, const char *path, nl_error *err);

/* The items of "[1, 28, 28]", at `value`'s place. Errors: no such list. */
int nl_yaml_list(nl_list *list, const nl_scalar *value, const char *path, nl_error *err);

/* Fails with what libyaml found wrong in the file. */
struct yaml_parser_s;
int nl_yaml_fail(const struct yaml_parser_s *parser, const char *path, nl_error *err);

/* Fails with "unknown key", and the one that was probably meant as the hint. */
int nl_config_unknown(const char *path, const nl_scalar *at, nl_error *err);

/* The same for one layer: entry `number`, from 1, of model.layers. nl_layer_add checks the whole
 * entry, which began at `at`, and appends it. */
int nl_layer_assign(nl_layer_draft *draft, int number, const char *key, const nl_scalar *value,
                    nl_error *err);
int nl_layer_add(nl_config *config, const nl_layer_draft *draft, const nl_scalar *at,
                 nl_error *err);
