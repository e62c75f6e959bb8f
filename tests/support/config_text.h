/* Configs for tests: from text, or one of configs/. */
#pragma once

#include "normlab/config.h" // nl_config, nl_error

/* The smallest network there is, as the last lines of a config. */
#define SMALL_NET                                                                                  \
    "model:\n"                                                                                     \
    "  layers:\n"                                                                                  \
    "    - {conv: 10, kernel: 3, norm: true}\n"                                                    \
    "    - {pool: average}\n"

/* Writes the text as dir/x.yaml and loads it; the code of nl_config_load. */
int config_text_load(nl_config *config, const char *dir, const char *text, nl_error *err);

/* Loads one of configs/, named without .yaml, with some --set, closed by NULL, and checks it.
 * Aborts where that fails. `source` is NL_SOURCE_DIR. */
void config_text_variant(nl_config *config, const char *source, const char *name,
                         const char *const *sets);
