/* Opening shared libraries that a machine may or may not have, so that one program runs anywhere.
 *
 * A library is looked for in the folders of $NORMLAB_LIBRARY_PATH (split at ':'), in lib/ beside
 * the program, where the system's loader looks, and last in the folder that the build found.
 */
#pragma once

#include <stddef.h> // size_t

/* The first of `names` (ends with NULL) that opens, or NULL. `path` receives what was opened. */
void *nl_dynlib_open(const char *const *names, char *path, size_t size);

/* One function of a table: its name in the library, its offset in the struct. */
typedef struct nl_dynlib_symbol {
    const char *name;
    size_t offset;
} nl_dynlib_symbol;

/* Fills the table's function pointers. Returns NULL, or the name of the first that is missing. */
const char *nl_dynlib_symbols(void *table, void *library, const nl_dynlib_symbol *symbols,
                              size_t count);
