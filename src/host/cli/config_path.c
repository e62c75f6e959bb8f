/* config_path.h */
#include "config_path.h"

#include <stdbool.h>  // bool
#include <stdio.h>    // snprintf
#include <string.h>   // strchr
#include <sys/stat.h> // stat
#include <unistd.h>   // readlink

/* The installed configs as seen from the folder of the program; CMake tells where that differs. */
#ifndef NL_CONFIG_FOLDER
#define NL_CONFIG_FOLDER "../share/normlab/configs"
#endif

enum { PATH_SIZE = 4096 };

/* Whether NAME or NAME.yaml is a file of this folder ("" or with a slash at its end); its path. */
static bool find_in(char path[PATH_SIZE], const char *folder, const char *name) {
    static const char *const endings[] = {"", ".yaml"};
    for (int i = 0; i < 2; i++) {
        struct stat info;
        const int length = snprintf(path, PATH_SIZE, "%s%s%s", folder, name, endings[i]);
        if (length < PATH_SIZE && stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) return true;
    }
    return false;
}

/* The folder of the installed configs, with a slash at its end; false if the program cannot tell
 * where it is itself. */
static bool installed_folder(char folder[PATH_SIZE]) {
    char program[PATH_SIZE];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return false;
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    return snprintf(folder, PATH_SIZE, "%s/%s/", program, NL_CONFIG_FOLDER) < PATH_SIZE;
}

int nl_config_load_named(nl_config *config, const char *name, nl_error *err) {
    char path[PATH_SIZE], folder[PATH_SIZE];
    if (strchr(name, '/') || find_in(path, "", name))
        return nl_config_load(config, strchr(name, '/') ? name : path, err);
    const bool has_folder = installed_folder(folder);
    if (has_folder && find_in(path, folder, name)) return nl_config_load(config, path, err);
    const int code = nl_config_load(config, name, err);
    if (has_folder && code) nl_hint(err, "looked here and in %s", folder);
    return code;
}
