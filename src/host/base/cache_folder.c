/* Where the user's cache is; see cache_folder.h. */
#include "normlab/cache_folder.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // getenv

bool nl_cache_folder(char *dir, size_t size) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return snprintf(dir, size, "%s/normlab", cache) < (int)size;
    if (home && home[0] == '/') return snprintf(dir, size, "%s/.cache/normlab", home) < (int)size;
    return false;
}
