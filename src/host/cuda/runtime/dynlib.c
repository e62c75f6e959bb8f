/* Opening shared libraries; see dynlib.h for where they are looked for. */
#include "dynlib.h"

#include <dlfcn.h>   // dlopen, dlinfo
#include <limits.h>  // PATH_MAX
#include <link.h>    // struct link_map
#include <stdbool.h> // bool
#include <stdio.h>   // snprintf
#include <stdlib.h>  // getenv, realpath
#include <string.h>  // memcpy
#include <unistd.h>  // readlink, access

#include "normlab/cache_folder.h" // nl_cache_folder

/* A search for one library. `path` is where it was found, or why it could not be opened. */
typedef struct search {
    const char *name;
    char *path;
    void *library;
} search;

/* The wheels' folders, as seen from the one of another: cuDNN's, those of CUDA 13, and of CUDA 12.
 */
static const char *const neighbours[] = {"", "/../../cudnn/lib", "/../../cu13/lib",
                                         "/../../cublas/lib"};

static void look_in(search *s, const char *dir, size_t length) {
    if (length == 0) return;
    for (size_t i = 0; i < sizeof neighbours / sizeof *neighbours && !s->library; i++) {
        char path[PATH_MAX];
        const int written =
            snprintf(path, sizeof path, "%.*s%s/%s", (int)length, dir, neighbours[i], s->name);
        if (written >= (int)sizeof path || access(path, R_OK)) continue;
        s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!s->library && !s->path[0]) snprintf(s->path, NL_DYNLIB_PATH, "%s", dlerror());
    }
}

/* Folders, split at ':'. */
static void look_in_list(search *s, const char *dirs) {
    while (dirs && *dirs && !s->library) {
        const size_t length = strcspn(dirs, ":");
        look_in(s, dirs, length);
        dirs += length + (dirs[length] == ':');
    }
}

/* lib/ beside the running program; nowhere where /proc is not there. */
static void look_beside_program(search *s) {
    char dir[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", dir, sizeof dir - sizeof "/lib");
    if (length <= 0 || s->library) return;
    dir[length] = '\0';
    char *slash = strrchr(dir, '/');
    if (!slash) return;
    memcpy(slash, "/lib", sizeof "/lib");
    look_in(s, dir, strlen(dir));
}

static void look_in_cache(search *s) {
    char cache[PATH_MAX - 64], dir[PATH_MAX];
    if (!nl_cache_folder(cache, sizeof cache)) return;
    const char *folder = NL_CUDA_MAJOR == 12 ? "cuda-12" : "cuda-13.0"; /* as cuda.sh names them */
    static const char *const parts[] = {"cudnn", "cu13", "cublas"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !s->library; i++) {
        snprintf(dir, sizeof dir, "%s/%s/nvidia/%s/lib", cache, folder, parts[i]);
        look_in(s, dir, strlen(dir));
    }
}

static void *open_one(const char *name, char *path) {
    search s = {name, path, NULL};
    look_in_list(&s, getenv("NORMLAB_LIBRARY_PATH"));
    look_beside_program(&s);
    look_in_list(&s, NL_LIBRARY_DIRS);
    if (!s.library) s.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    look_in_cache(&s);
    if (!s.library) return NULL;
    struct link_map *map;
    if (dlinfo(s.library, RTLD_DI_LINKMAP, &map) || !realpath(map->l_name, path))
        snprintf(path, NL_DYNLIB_PATH, "%s", name);
    return s.library;
}

void *nl_dynlib_open(const char *const *names, char path[NL_DYNLIB_PATH]) {
    path[0] = '\0';
    for (; *names; names++) {
        void *library = open_one(*names, path);
        if (library) return library;
    }
    return NULL;
}

int nl_dynlib_not_found(const char *name, const char *path, nl_error *err) {
    if (path[0])
        nl_fail(err, NL_EDEVICE, name, "cannot be opened: %s", path);
    else
        nl_fail(err, NL_EDEVICE, name, "not found on this machine");
    return nl_hint(err, "scripts/run.sh --cuda fetches it; or put the folder it lies in into "
                        "NORMLAB_LIBRARY_PATH (a Python's site-packages/nvidia/cudnn/lib)");
}

const char *nl_dynlib_symbols(void *table, void *library, const nl_dynlib_symbol *symbols,
                              size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address) return symbols[i].name;
        /* ISO C has no cast from an object pointer to a function pointer */
        memcpy((char *)table + symbols[i].offset, &address, sizeof address);
    }
    return NULL;
}
