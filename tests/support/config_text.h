/* Configs for tests: from text, or one of configs/. */
#pragma once

#include <stdbool.h> // bool

#include "normlab/config.h" // nl_config, nl_error

/* The smallest network there is, as the last lines of a config. */
#define SMALL_NET                                                                                  \
    "model:\n"                                                                                     \
    "  layers:\n"                                                                                  \
    "    - {conv: 10, kernel: 3, norm: true}\n"                                                    \
    "    - {pool: average}\n"

/* Every width of tile, channels that fill no vector, a pool with a rest at the edge, padding wider
 * than the kernel needs, layers without norm or ReLU. */
#define ODD_NET                                                                                    \
    "model:\n"                                                                                     \
    "  layers:\n"                                                                                  \
    "    - {conv: 5, kernel: 3, pad: 2, norm: true, relu: true}\n"                                 \
    "    - {pool: max, size: 3, dropout: true}\n"                                                  \
    "    - {conv: 40, kernel: 3, pad: 1, norm: true}\n"                                            \
    "    - {conv: 33, kernel: 1, relu: true}\n"                                                    \
    "    - {conv: 100, kernel: 2, pad: 1, norm: true, relu: true}\n"                               \
    "    - {pool: max, size: 2}\n"                                                                 \
    "    - {conv: 1, kernel: 3, pad: 1, norm: true, relu: true}\n"                                 \
    "    - {conv: 10, kernel: 5}\n"                                                                \
    "    - {pool: average}\n"

/* Loads the text as a file x.yaml, which is gone afterwards; the code of nl_config_load, then of
 * nl_model_check. */
int config_text_load(nl_config *config, const char *text, nl_error *err);

/* Whether WHERE of an error ends so: ":3" is line 3. */
bool config_text_ends(const char *where, const char *end);

/* Loads one of configs/, named without .yaml, with some --set, closed by NULL, and checks it.
 * Aborts where that fails. `source` is NL_SOURCE_DIR. */
void config_text_variant(nl_config *config, const char *source, const char *name,
                         const char *const *sets);
