/* Finds the runs of a folder and makes variants of them. A report has to come out of whatever is
 * there: runs that were interrupted, diverged, copied or linked, some without run.json. Errors are
 * only an OUT without any run, and runs of which nobody can tell what they are.
 */
#include <dirent.h>   // opendir
#include <errno.h>    // errno
#include <stdlib.h>   // qsort
#include <string.h>   // strcmp, strverscmp
#include <sys/stat.h> // stat
#include <unistd.h>   // access

#include "normlab/checkpoint.h" // nl_path
#include "normlab/run_files.h"  // NL_FILE_METRICS
#include "identity.h"           // nl_identify
#include "labels.h"             // nl_labels_make
#include "base/character.h"     // nl_character
#include "runs.h"

#define RUN_FOLDER_HINT                                                                            \
    "a run folder is what `normlab train --out DIR` writes: "                                      \
    "DIR/<config>/seed-<S>/" NL_FILE_METRICS

/* ---- all units ---- */

static void add_unit(nl_units *all, const char *name, const char *folder, uint32_t seed) {
    struct stat info;
    nl_unit u = {0};
    if (stat(folder, &info) != 0) {
        if (errno != ENOENT) nl_warn(folder, "left out: %s", strerror(errno));
        return;
    }
    if (!S_ISDIR(info.st_mode) || !nl_seed_run_read(&u.run, folder, seed)) return;
    snprintf(u.name, sizeof u.name, "%s", name);
    u.device = info.st_dev;
    u.inode = info.st_ino;
    all->list = realloc(all->list, ((size_t)all->n + 1) * sizeof u);
    NL_NEED(all->list);
    all->list[all->n++] = u;
}

static void read_units(nl_units *all, const char *folder, const char *name) {
    DIR *dir = opendir(folder);
    if (!dir && errno != ENOTDIR && errno != ENOENT)
        nl_warn(folder, "left out: %s", strerror(errno));
    if (!dir) return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        uint32_t seed;
        if (!nl_seed_of_folder(entry->d_name, &seed)) continue;
        char *path = nl_path(folder, entry->d_name);
        add_unit(all, name, path, seed);
        free(path);
    }
    closedir(dir);
}

/* Whether a name can stand in HTML, SVG and JSON. */
static bool is_printable(const char *name) {
    bool printable = true;
    while (*name && printable) name += nl_character(&printable, name);
    return printable;
}

static int read_all(nl_units *all, const char *out, nl_error *err) {
    DIR *dir = opendir(out);
    if (!dir) {
        nl_fail(err, NL_EDATA, out, "cannot open: %s", strerror(errno));
        return nl_hint(err, RUN_FOLDER_HINT);
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (name[0] == '.' || strcmp(name, NL_REPORT_FOLDER) == 0) continue;
        if (!is_printable(name)) {
            nl_warn(out, "a folder is left out: its name is no UTF-8 or has control characters");
            continue;
        }
        char *folder = nl_path(out, name);
        read_units(all, folder, name);
        free(folder);
    }
    closedir(dir);
    return NL_OK;
}

/* ---- variants and their order ---- */

typedef struct order {
    const char *const *names;
    int n;
} order;

/* Of the recipe that normlab ships. */
static const char *const shipped[] = {"bn_l1", "ln", "gn", "bn", "none"};

static int rank_of(const order *given, const char *name) {
    const int n_shipped = sizeof shipped / sizeof *shipped;
    for (int i = 0; i < given->n; i++)
        if (strcmp(given->names[i], name) == 0) return i;
    for (int i = 0; i < n_shipped; i++)
        if (strcmp(shipped[i], name) == 0) return given->n + i;
    return given->n + n_shipped;
}

static int by_order(const void *a, const void *b, void *given) {
    const nl_variant *x = a, *y = b;
    const int i = rank_of(given, x->of), j = rank_of(given, y->of);
    if (i != j) return i < j ? -1 : 1;
    const int bases = strverscmp(x->of, y->of);
    return bases ? bases : strverscmp(x->name, y->name);
}

/* Hands the units, sorted by name, to variants. */
static void make_variants(nl_folder *study, nl_units *all, order given) {
    study->variants = nl_alloc((size_t)all->n, sizeof *study->variants, "variants");
    nl_seed_run *runs = nl_alloc((size_t)all->n, sizeof *runs, "runs");
    for (int first = 0, end; first < all->n; first = end) {
        for (end = first; end < all->n; end++) {
            if (strcmp(all->list[end].name, all->list[first].name) != 0) break;
            runs[end - first] = all->list[end].run;
        }
        nl_variants_add(study, all->list[first].name, runs, end - first);
    }
    free(runs);
    qsort_r(study->variants, (size_t)study->n_variants, sizeof *study->variants, by_order, &given);
}

/* A folder without runs: what was given may be a run itself, or the runs of one variant. */
static int refuse_folder(const char *out, nl_error *err) {
    char *record = nl_path(out, NL_FILE_METRICS);
    const bool is_run = access(record, F_OK) == 0;
    nl_units seeds = {0};
    read_units(&seeds, out, "");
    const bool is_variant = seeds.n > 0;
    for (int i = 0; i < seeds.n; i++) nl_seed_run_free(&seeds.list[i].run);
    free(seeds.list);
    free(record);
    nl_fail(err, NL_EDATA, out, "no run in this folder");
    if (is_run || is_variant)
        return nl_hint(err, "it is %s: name the run folder, %s above it",
                       is_run ? "one run" : "the runs of one variant", is_run ? "two" : "one");
    return nl_hint(err, RUN_FOLDER_HINT);
}

static void make_labels(nl_folder *study) {
    const int n = study->n_variants;
    const char **names = nl_alloc((size_t)n, sizeof *names, "names");
    nl_label *labels = nl_alloc((size_t)n, sizeof *labels, "labels");
    for (int i = 0; i < n; i++) names[i] = study->variants[i].name;
    nl_labels_make(labels, names, n);
    for (int i = 0; i < n; i++) study->variants[i].label = labels[i];
    free(labels);
    free(names);
}

int nl_folder_read(nl_folder *study, const char *const *folders, int n_folders,
                   const char *const *names, int n_names, nl_error *err) {
    nl_units all = {0};
    int code = NL_OK;
    *study = (nl_folder){0};
    for (int i = 0; i < n_folders && !code; i++) {
        const int before = all.n;
        code = read_all(&all, folders[i], err);
        if (!code && all.n == before) code = refuse_folder(folders[i], err);
    }
    if (!code) code = nl_identify(&all, err);
    if (code) {
        for (int i = 0; i < all.n; i++) nl_seed_run_free(&all.list[i].run);
    } else {
        make_variants(study, &all, (order){names, n_names});
        make_labels(study);
    }
    free(all.list);
    return code;
}

void nl_folder_free(nl_folder *study) {
    for (int i = 0; i < study->n_variants; i++) {
        nl_variant *variant = &study->variants[i];
        for (int j = 0; j < variant->n_runs; j++) nl_seed_run_free(&variant->runs[j]);
        free(variant->runs);
        free(variant->apart);
    }
    free(study->variants);
    *study = (nl_folder){0};
}
