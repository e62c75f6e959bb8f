/* Making folders. */
#pragma once

#include "normlab/error.h" // nl_error

/* Makes a folder and those above it that are missing; one that is there already is as good. Errors:
 * NL_EWRITE at the folder that cannot be made, with a hint only where a file has its name. */
int nl_folder_make(const char *path, nl_error *err);
