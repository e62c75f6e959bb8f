/* The run folder: what is in it, and that only one process is (claim.h). */
#include "run_folder.h"
#include "base/folder.h"       // nl_folder_make
#include "normlab/run_files.h" // NL_FILE_RUN

#include <dirent.h>   // opendir
#include <errno.h>    // errno
#include <limits.h>   // NAME_MAX
#include <stdio.h>    // snprintf
#include <string.h>   // strerror
#include <sys/stat.h> // lstat
#include <unistd.h>   // unlink

int nl_unit_init(nl_unit *unit, const char *out, const char *name, uint32_t seed, nl_error *err) {
    const int room = NL_PATH_SIZE - 320; /* for the names of the files */
    unit->claim = (nl_claim){0};
    if (!*out) return nl_fail(err, NL_EUSAGE, "--out", "wants a folder");
    const int length =
        snprintf(unit->folder, sizeof unit->folder, "%s/%s/" NL_SEED_FOLDER, out, name, seed);
    if (length >= 0 && length < room) return NL_OK;
    return nl_fail(err, NL_EUSAGE, "--out", "the path is longer than %d bytes", room);
}

const char *nl_unit_file(const nl_unit *unit, char path[NL_PATH_SIZE], const char *file) {
    const int length = snprintf(path, NL_PATH_SIZE, "%s/%s", unit->folder, file);
    NL_ASSERT(length > 0 && length < NL_PATH_SIZE);
    return path;
}

bool nl_unit_has(const nl_unit *unit, const char *file) {
    char path[NL_PATH_SIZE];
    struct stat info;
    return lstat(nl_unit_file(unit, path, file), &info) == 0 || errno != ENOENT;
}

const char *nl_unit_trace(const nl_unit *unit) {
    char path[NL_PATH_SIZE];
    struct stat info;
    if (nl_unit_has(unit, NL_FILE_LAST)) return NL_FILE_LAST;
    if (lstat(nl_unit_file(unit, path, NL_FILE_METRICS), &info) == 0)
        return info.st_size > 0 ? NL_FILE_METRICS : NULL;
    return errno == ENOENT ? NULL : NL_FILE_METRICS;
}

/* --- entering ------------------------------------------------------------------------------- */

/* Whether something of a run is there (a claim alone is not). */
static int look(bool *found, const nl_unit *unit, nl_error *err) {
    DIR *dir = opendir(unit->folder);
    *found = false;
    if (!dir && (errno == ENOENT || errno == ENOTDIR)) return NL_OK;
    if (!dir)
        return nl_fail(err, NL_EDATA, unit->folder, "cannot look into it: %s", strerror(errno));
    for (const struct dirent *entry; !*found && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        *found = strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !nl_claim_owns_file(name);
    }
    closedir(dir);
    return NL_OK;
}

static int refuse_existing(const nl_unit *unit, nl_error *err) {
    nl_fail(err, NL_EUSAGE, unit->folder, "a run is already there");
    return nl_hint(err, "--resume goes on with it, --overwrite replaces it, another --out leaves "
                        "it alone");
}

int nl_unit_check(const nl_unit *unit, bool may_exist, nl_error *err) {
    if (nl_claim_is_held(unit->folder, err)) return NL_EUSAGE;
    bool there = false;
    const int code = may_exist ? NL_OK : look(&there, unit, err);
    return !code && there ? refuse_existing(unit, err) : code;
}

static int remove_file(const nl_unit *unit, const char *name, nl_error *err) {
    char path[NL_PATH_SIZE];
    if (unlink(nl_unit_file(unit, path, name)) == 0 || errno == ENOENT) return NL_OK;
    return nl_fail(err, NL_EWRITE, path, "cannot remove: %s", strerror(errno));
}

/* The temporary files of nl_file_write. */
static int remove_temporaries(const nl_unit *unit, nl_error *err) {
    int code = NL_OK;
    DIR *dir = opendir(unit->folder);
    if (!dir) return nl_fail(err, NL_EWRITE, unit->folder, "cannot list: %s", strerror(errno));
    for (const struct dirent *entry; !code && (entry = readdir(dir));) {
        const size_t length = strlen(entry->d_name);
        if (length < NAME_MAX && length > 4 && strcmp(entry->d_name + length - 4, ".tmp") == 0)
            code = remove_file(unit, entry->d_name, err);
    }
    closedir(dir);
    return code;
}

int nl_unit_enter(nl_unit *unit, bool may_exist, nl_claim_watch *watch, nl_error *err) {
    int code = nl_folder_make(unit->folder, err);
    if (code && !err->hint[0]) nl_hint(err, "--out DIR names a folder elsewhere");
    if (!code) code = nl_claim_take(&unit->claim, unit->folder, watch, err);
    if (code) return code;
    bool there = false;
    if (!may_exist) code = look(&there, unit, err);
    if (!code && there) code = refuse_existing(unit, err);
    if (!code) code = remove_temporaries(unit, err);
    if (code) nl_unit_leave(unit);
    return code;
}

void nl_unit_leave(nl_unit *unit) {
    nl_claim_release(&unit->claim, unit->folder);
}

int nl_unit_clear(const nl_unit *unit, nl_error *err) {
    /* NL_FILE_RUN first: without it the rest is no run. */
    static const char *const files[] = {NL_FILE_RUN,        NL_FILE_METRICS, NL_FILE_INIT,
                                        NL_FILE_LAST,       NL_FILE_BEST,    NL_FILE_STATE,
                                        NL_FILE_PREDICTIONS};
    int code = NL_OK;
    for (size_t i = 0; !code && i < sizeof files / sizeof *files; i++)
        code = remove_file(unit, files[i], err);
    return code;
}
