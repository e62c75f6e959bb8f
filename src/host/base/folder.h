/* Making folders, and what it is that keeps a file from being written. */
#pragma once

#include "normlab/error.h" // nl_error

/* Makes a folder and those above it that are missing; one that is there already is as good. Errors:
 * NL_EWRITE at the folder that cannot be made, with a hint only where a file has its name. */
int nl_folder_make(const char *path, nl_error *err);

/* Puts the name of a file or folder on the disk: it stands in the folder above. 0, or -1 with
 * errno. */
int nl_folder_sync(const char *path);

/* NL_EWRITE for that file, in the words of errno. Returns it. */
int nl_cannot_write(const char *path, nl_error *err);
