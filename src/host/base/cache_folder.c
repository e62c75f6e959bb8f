/* Where the user's cache is; see cache_folder.h. */
#include "normlab/cache_folder.h"

#include <pwd.h>    // getpwuid
#include <stdio.h>  // snprintf
#include <stdlib.h> // getenv
#include <unistd.h> // getuid

static bool is_absolute(const char *path) {
    return path && path[0] == '/';
}

bool nl_cache_folder(char *dir, size_t size) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (is_absolute(cache)) return snprintf(dir, size, "%s/normlab", cache) < (int)size;
    const struct passwd *user = is_absolute(home) ? NULL : getpwuid(getuid());
    if (user) home = user->pw_dir;
    if (!is_absolute(home)) return false;
    return snprintf(dir, size, "%s/.cache/normlab", home) < (int)size;
}
