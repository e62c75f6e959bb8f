/* Making the new report take the place of the old one; see swap.h. Which files a report made stands
 * in its plots/files.txt. */
#include "swap.h"

#include <dirent.h>   // opendir
#include <errno.h>    // errno
#include <fcntl.h>    // AT_FDCWD
#include <ftw.h>      // nftw
#include <signal.h>   // kill
#include <stdbool.h>  // bool
#include <stdlib.h>   // free, realpath
#include <string.h>   // strerror
#include <sys/stat.h> // lstat
#include <unistd.h>   // gethostname

#include "base/folder.h"        // nl_folder_make
#include "base/regular.h"       // nl_regular_read
#include "normlab/checkpoint.h" // nl_path, nl_file_write
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

#define LIST NL_REPORT_PLOTS "/files.txt"

/* ---- trees ---- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info, (void)kind, (void)place;
    remove(path);
    return 0;
}

static void remove_tree(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

typedef void on_name(void *context, const char *name);

/* The names in DIR/below, as below/name. False, with errno: it cannot be looked into. */
static bool each(const char *dir, const char *below, on_name *act, void *context) {
    char *folder = *below ? nl_path(dir, below) : strdup(dir);
    NL_NEED(folder);
    DIR *list = opendir(folder);
    const bool seen = list || errno == ENOENT;
    for (const struct dirent *entry; list && (entry = readdir(list));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *name = *below ? nl_path(below, entry->d_name) : strdup(entry->d_name);
        NL_NEED(name);
        act(context, name);
        free(name);
    }
    if (list) closedir(list);
    free(folder);
    return seen;
}

/* ---- whose files ---- */

static void write_name(void *context, const char *name) {
    if (strcmp(name, NL_REPORT_PLOTS) != 0) fprintf((FILE *)context, "%s\n", name);
}

static int write_list(const char *dir, nl_error *err) {
    char *text = NULL, *path = nl_path(dir, LIST);
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    const bool seen = each(dir, "", write_name, out) && each(dir, NL_REPORT_PLOTS, write_name, out);
    const int failure = errno;
    fputs(LIST "\n", out);
    nl_text_close(out);
    const int code = seen ? nl_file_write(path, text, size, err)
                          : nl_fail(err, NL_EWRITE, dir, "cannot list: %s", strerror(failure));
    free(path);
    free(text);
    return code;
}

/* All of the list with a newline before and behind each name; NULL: there is none (ENOENT), or it
 * cannot be read. */
static char *read_list(const char *dir) {
    char reason[NL_REASON], *path = nl_path(dir, LIST), *text = NULL;
    size_t size;
    char *list = nl_regular_read(path, &size, reason);
    if (list) NL_NEED(asprintf(&text, "\n%s", list) >= 0);
    free(list); /* leaves errno alone */
    free(path);
    return text;
}

/* What reports made before they kept a list. */
static bool begins_as_ours(const char *name) {
    static const char *const ours[] = {
        NL_REPORT_PAGE,        NL_REPORT_FINDINGS, NL_REPORT_RESULTS,    NL_REPORT_WORKBOOK,
        NL_REPORT_GRID,        "validation_",      "train_against_test", "accuracy_by_seed",
        (NL_REPORT_PLOTS "/"), "layer_statistics"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strncmp(name, ours[i], strlen(ours[i])) == 0) return true;
    return false;
}

static bool is_ours(const char *list, const char *name) {
    if (!list) return begins_as_ours(name);
    char *line = NULL;
    NL_NEED(asprintf(&line, "\n%s\n", name) >= 0);
    const bool found = strstr(list, line) != NULL;
    free(line);
    return found;
}

typedef struct move {
    const char *from, *to;
    char *list; /* of the report in `from` */
    bool whole; /* all that is to be carried over was */
} move;

static void carry(void *context, const char *name) {
    move *m = context;
    struct stat info;
    if (strcmp(name, NL_REPORT_PLOTS) == 0 || is_ours(m->list, name)) return;
    char *from = nl_path(m->from, name), *to = nl_path(m->to, name);
    if (lstat(to, &info) != 0 && rename(from, to) != 0) {
        nl_warn(from, "cannot be carried over into the new report: %s", strerror(errno));
        m->whole = false;
    }
    free(from);
    free(to);
}

/* Takes what is not the report's from an old folder, and removes it. If something could not be
 * taken, all stays there for the next report to try. */
static void clear_away(const char *old, const char *place) {
    move m = {old, place, read_list(old), true};
    if (!m.list && errno != ENOENT) m.whole = false;
    if (m.whole && (!each(old, "", carry, &m) || !each(old, NL_REPORT_PLOTS, carry, &m)))
        m.whole = false;
    free(m.list);
    struct stat info;
    if (m.whole) remove_tree(old);
    if (!m.whole)
        nl_warn(old, "this old report stays, as it may hold files of yours");
    else if (lstat(old, &info) == 0)
        nl_warn(old, "this old report could not be removed: the next report will");
}

/* ---- folders beside ---- */

/* .report.<host>.<process>.tmp beside the place; without a process the beginning of such names. */
static char *beside(const char *place, long process) {
    char host[256] = "host", *path = NULL;
    (void)gethostname(host, sizeof host - 1);
    const char *slash = strrchr(place, '/');
    const int length = slash ? (int)(slash - place) + 1 : 0;
    if (process)
        NL_NEED(asprintf(&path, "%.*s." NL_REPORT_FOLDER ".%s.%ld.tmp", length, place, host,
                         process) >= 0);
    else
        NL_NEED(asprintf(&path, "." NL_REPORT_FOLDER ".%s.", host) >= 0);
    return path;
}

typedef struct leftovers {
    const char *place, *parent, *prefix;
} leftovers;

static void clear_leftover(void *context, const char *name) {
    const leftovers *l = context;
    char *end;
    if (strncmp(name, l->prefix, strlen(l->prefix)) != 0) return;
    const long process = strtol(name + strlen(l->prefix), &end, 10);
    if (strcmp(end, ".tmp") != 0 || process <= 0) return;
    if (kill((pid_t)process, 0) == 0 || errno != ESRCH) return; /* it is at work */
    char *old = nl_path(l->parent, name);
    clear_away(old, l->place);
    free(old);
}

static void clear_leftovers(const char *place) {
    char *parent = strdup(place), *prefix = beside(place, 0);
    NL_NEED(parent);
    char *slash = strrchr(parent, '/');
    if (slash) *slash = '\0';
    const leftovers l = {place, slash ? *parent ? parent : "/" : ".", prefix};
    each(l.parent, "", clear_leftover, (void *)&l);
    free(prefix);
    free(parent);
}

/* ---- begin and end ---- */

int nl_swap_begin(nl_swap *swap, const char *place, nl_error *err) {
    struct stat info;
    char *real = realpath(place, NULL);
    *swap = (nl_swap){.place = real ? real : strdup(place)};
    NL_NEED(swap->place);
    swap->fresh = beside(swap->place, (long)getpid());
    if (real && stat(real, &info) == 0 && !S_ISDIR(info.st_mode)) return nl_folder_make(place, err);
    clear_leftovers(swap->place);
    remove_tree(swap->fresh);
    char *plots = nl_path(swap->fresh, NL_REPORT_PLOTS);
    const int code = nl_folder_make(plots, err);
    free(plots);
    return code;
}

/* The new one is in its place afterwards and the old one where that was made; *had: there was one.
 */
static int exchange(const nl_swap *swap, bool *had) {
    *had = true;
    if (renameat2(AT_FDCWD, swap->fresh, AT_FDCWD, swap->place, RENAME_EXCHANGE) == 0) return 0;
    if (errno != ENOENT && errno != EINVAL && errno != ENOSYS) return errno;
    char *old = NULL;
    NL_NEED(asprintf(&old, "%s.old", swap->fresh) >= 0);
    *had = rename(swap->place, old) == 0;
    int failure = *had || errno == ENOENT ? 0 : errno;
    if (!failure && rename(swap->fresh, swap->place) != 0) {
        failure = errno;
        if (*had) (void)rename(old, swap->place); /* or it stays where it is, whole */
    }
    if (!failure && *had && rename(old, swap->fresh) != 0) failure = errno;
    free(old);
    return failure;
}

int nl_swap_end(nl_swap *swap, int code, nl_error *err) {
    bool had = false;
    if (!code) code = write_list(swap->fresh, err);
    const int failure = code ? 0 : exchange(swap, &had);
    if (failure)
        code = nl_fail(err, NL_EWRITE, swap->place, "the new report cannot take its place: %s",
                       strerror(failure));
    if (code)
        remove_tree(swap->fresh);
    else if (had)
        clear_away(swap->fresh, swap->place);
    free(swap->fresh);
    free(swap->place);
    *swap = (nl_swap){0};
    return code;
}
