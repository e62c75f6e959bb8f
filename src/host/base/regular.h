/* Opening what a user's folder holds: a pipe in a file's place would never end, and a device has no
 * end either. */
#pragma once

#include <stdio.h> // FILE

enum { NL_REASON = 96 };

/* The file for reading, or NULL with the reason in words and errno (ENOENT: it is not there). Only
 * regular files are opened, of at most 4 GiB. */
FILE *nl_regular_open(const char *path, char reason[NL_REASON]);

/* The same for files of any size, as pictures have. */
FILE *nl_regular_open_large(const char *path, char reason[NL_REASON]);

/* All of such a file, of at most 4 GiB, with a 0 behind its *size bytes; the caller frees. NULL as
 * above, or where it cannot be read to its end. */
char *nl_regular_read(const char *path, size_t *size, char reason[NL_REASON]);
