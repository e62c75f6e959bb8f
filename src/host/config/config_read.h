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

/* Fails with "unknown key", and the one that was probably meant as the hint. */
int nl_config_unknown(const char *path, const nl_scalar *at, nl_error *err);

/* The same for one layer: entry `number`, from 1, of model.layers. nl_layer_add checks the whole
 * entry, which began at `at`, and appends it. */
int nl_layer_assign(nl_layer_draft *draft, int number, const char *key, const nl_scalar *value,
                    nl_error *err);
int nl_layer_add(nl_config *config, const nl_layer_draft *draft, const nl_scalar *at,
                 nl_error *err);
