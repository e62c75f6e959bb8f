/* Opening shared libraries that a machine may or may not have, so that one program runs anywhere.
 *
 * A library is looked for in the folders of $NORMLAB_LIBRARY_PATH (split at ':'), in lib/ beside
 * the program, in the folders that the build found, where the system's loader looks, and last in
 * the cache folder that scripts/cuda.sh fills. NVIDIA's Python wheels lay cuDNN, cuBLAS and the
 * rest into folders side by side: each of ours stands for its neighbours too.
 */
#pragma once

#include <stddef.h> // size_t

#include "normlab/error.h" // nl_error

enum { NL_DYNLIB_PATH = 4096 }; /* PATH_MAX, for realpath */

/* The first of `names` (ends with NULL) that opens, or NULL. `path` receives what was opened; where
 * nothing was, why one that is there could not be, or "". */
void *nl_dynlib_open(const char *const *names, char path[NL_DYNLIB_PATH]);

/* Fails with NL_EDEVICE: `name` was not found, or not opened for the reason left in `path`. */
int nl_dynlib_not_found(const char *name, const char *path, nl_error *err);

/* One function of a table: its name in the library, its offset in the struct. */
typedef struct nl_dynlib_symbol {
    const char *name;
    size_t offset;
} nl_dynlib_symbol;

/* Fills the table's function pointers. Returns NULL, or the name of the first that is missing. */
const char *nl_dynlib_symbols(void *table, void *library, const nl_dynlib_symbol *symbols,
                              size_t count);
