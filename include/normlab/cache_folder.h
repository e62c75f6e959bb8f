/* The folder of the user's cache in which all lies that this project keeps or fetches. */
#pragma once

#include <stdbool.h> // bool
#include <stddef.h>  // size_t

/* $XDG_CACHE_HOME/normlab, else ~/.cache/normlab, where ~ is $HOME, else what the system knows of the
 * user; what is no absolute path counts as not set. False where there is none, or `size` is too
 * small. Makes nothing. */
bool nl_cache_folder(char *dir, size_t size);
