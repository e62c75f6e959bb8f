/* config_path.h */
#include "config_path.h"

#include <dirent.h>   // opendir
#include <stdbool.h>  // bool
#include <stdint.h>   // SIZE_MAX
#include <stdio.h>    // snprintf
#include <string.h>   // strchr
#include <sys/stat.h> // stat
#include <unistd.h>   // readlink

#include "base/nearest.h" // nl_nearest

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

/* A file's name without .yaml; false: it has another ending, or none. */
static bool take_stem(char *stem, size_t size, const char *name) {
    const size_t length = strlen(name);
    const bool yaml = length > 5 && !strcmp(name + length - 5, ".yaml");
    snprintf(stem, size, "%.*s", (int)(yaml ? length - 5 : length), name);
    return yaml;
}

/* The config of a folder ("" or with a slash at its end) whose name is nearest to this one. */
static bool find_near(char path[PATH_SIZE], const char *folder, const char *name) {
    char wanted[256], stem[256];
    const char *candidate = stem;
    take_stem(wanted, sizeof wanted, name);
    DIR *dir = opendir(*folder ? folder : ".");
    size_t best = SIZE_MAX;
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!take_stem(stem, sizeof stem, entry->d_name)) continue;
        const size_t distance = nl_edit_distance(wanted, stem);
        if (distance >= best || !nl_nearest(wanted, &candidate, 1)) continue;
        best = distance;
        snprintf(path, PATH_SIZE, "%.3000s%s", folder, entry->d_name);
    }
    if (dir) closedir(dir);
    return best < SIZE_MAX;
}

/* What may have been meant by a name that is no file: one beside it, or one of ./configs. */
static int hint_at_near(const char *name, nl_error *err) {
    char path[PATH_SIZE], folder[PATH_SIZE];
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    snprintf(folder, sizeof folder, "%.*s", (int)(base - name), name);
    if (find_near(path, folder, base) || (!slash && find_near(path, "configs/", base)))
        return nl_hint(err, "did you mean %s?", path);
    return err->code;
}

int nl_config_load_named(nl_config *config, const char *name, nl_error *err) {
    char path[PATH_SIZE], folder[PATH_SIZE];
    if (!strchr(name, '/') && find_in(path, "", name)) return nl_config_load(config, path, err);
    const bool has_folder = !strchr(name, '/') && installed_folder(folder);
    if (has_folder && find_in(path, folder, name)) return nl_config_load(config, path, err);
    const int code = nl_config_load(config, name, err);
    if (!code || access(name, F_OK) == 0) return code;
    if (has_folder)
        nl_hint(err, "looked here and in %s", folder);
    else
        nl_hint(err, "one that comes with normlab is named without a folder: bn_l1");
    return hint_at_near(name, err);
}
