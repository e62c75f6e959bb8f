/* Opening shared libraries; see dynlib.h for where they are looked for. */
#include "dynlib.h"

#include <dlfcn.h>  // dlopen
#include <limits.h> // PATH_MAX
#include <stdio.h>  // snprintf
#include <stdlib.h> // getenv
#include <string.h> // memcpy
#include <unistd.h> // readlink

static void *open_in(const char *dir, size_t length, const char *name, char *path, size_t size) {
    if (length == 0) return NULL;
    const int written = snprintf(path, size, "%.*s/%s", (int)length, dir, name);
    return written > 0 && (size_t)written < size ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* The folder of the running program; 0 where /proc is not there. */
static size_t program_dir(char *dir, size_t size) {
    const ssize_t length = readlink("/proc/self/exe", dir, size - 1);
    if (length <= 0) return 0;
    dir[length] = '\0';
    char *slash = strrchr(dir, '/');
    return slash ? (size_t)(slash - dir) : 0;
}

static void *open_one(const char *name, char *path, size_t size) {
    for (const char *dirs = getenv("NORMLAB_LIBRARY_PATH"); dirs && *dirs;) {
        const size_t length = strcspn(dirs, ":");
        void *library = open_in(dirs, length, name, path, size);
        if (library) return library;
        dirs += length + (dirs[length] == ':');
    }
    char dir[PATH_MAX];
    size_t length = program_dir(dir, sizeof dir - sizeof "/lib");
    if (length) {
        memcpy(dir + length, "/lib", sizeof "/lib");
        void *library = open_in(dir, length + 4, name, path, size);
        if (library) return library;
    }
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library) {
        snprintf(path, size, "%s", name);
        return library;
    }
    return open_in(NL_CUDNN_DIR, strlen(NL_CUDNN_DIR), name, path, size);
}

void *nl_dynlib_open(const char *const *names, char *path, size_t size) {
    for (; *names; names++) {
        void *library = open_one(*names, path, size);
        if (library) return library;
    }
    return NULL;
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
