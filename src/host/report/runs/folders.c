/* Finds the runs of a folder and sorts them. A report has to come out of whatever is there: runs
 * that were interrupted, diverged, copied or linked, some without run.json. Errors are only an OUT
 * without any run, and runs of which nobody can tell what they are.
 */
#include <dirent.h>   // opendir
#include <errno.h>    // errno
#include <math.h>     // isnan
#include <stdlib.h>   // qsort
#include <string.h>   // strcmp, strverscmp
#include <sys/stat.h> // stat
#include <unistd.h>   // access

#include <jansson.h> // json_object_get

#include "normlab/checkpoint.h" // nl_path
#include "normlab/run_files.h"  // NL_FILE_METRICS
#include "labels.h"             // nl_labels_make
#include "runs.h"

#define RUN_FOLDER_HINT                                                                            \
    "a run folder is what `normlab train --out DIR` writes: "                                      \
    "DIR/<config>/seed-<S>/" NL_FILE_METRICS

/* ---- all units ---- */

typedef struct unit {
    char name[256]; /* of the folder of its variant */
    dev_t device;
    ino_t inode;
    nl_seed_run run;
} unit;

typedef struct units {
    unit *list;
    int n;
} units;

static void add_unit(units *all, const char *name, const char *folder, uint32_t seed) {
    struct stat info;
    unit u = {0};
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode) ||
        !nl_seed_run_read(&u.run, folder, seed))
        return;
    snprintf(u.name, sizeof u.name, "%s", name);
    u.device = info.st_dev;
    u.inode = info.st_ino;
    all->list = realloc(all->list, ((size_t)all->n + 1) * sizeof u);
    NL_NEED(all->list);
    all->list[all->n++] = u;
}

static void read_units(units *all, const char *folder, const char *name) {
    DIR *dir = opendir(folder);
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

/* Whether a name can stand in HTML, SVG and JSON: UTF-8 without control characters. */
static bool is_printable(const char *name) {
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return false;
    json_t *text = json_string(name); /* refuses what is no UTF-8 */
    json_decref(text);
    return text != NULL;
}

static int read_all(units *all, const char *out, nl_error *err) {
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

/* ---- which of them are runs of their own ---- */

static const char *told_name(const unit *u) {
    return json_string_value(json_object_get(u->run.info, "name"));
}

static json_int_t told_seed(const unit *u) {
    const json_t *seed = json_object_get(u->run.info, "seed");
    return json_is_integer(seed) ? json_integer_value(seed) : (json_int_t)u->run.seed;
}

/* Whether the run's record tells the name and seed of its folder, or nothing else. */
static bool agrees(const unit *u) {
    const char *name = told_name(u);
    return (!name || strcmp(name, u->name) == 0) && told_seed(u) == (json_int_t)u->run.seed;
}

/* By name and seed; of equals first the one that agrees, then the one that came farther, then the
 * one spelt as normlab does: the shorter. The path makes the order total. */
static int by_unit(const void *a, const void *b) {
    const unit *x = a, *y = b;
    const int names = strcmp(x->name, y->name);
    if (names) return names;
    if (x->run.seed != y->run.seed) return x->run.seed < y->run.seed ? -1 : 1;
    if (agrees(x) != agrees(y)) return agrees(x) ? -1 : 1;
    if (x->run.finished != y->run.finished) return x->run.finished ? -1 : 1;
    if (x->run.n_points != y->run.n_points) return x->run.n_points > y->run.n_points ? -1 : 1;
    const size_t m = strlen(x->run.folder), n = strlen(y->run.folder);
    if (m != n) return m < n ? -1 : 1;
    return strcmp(x->run.folder, y->run.folder);
}

static void drop(units *all, int i, const unit *kept) {
    nl_warn(all->list[i].run.folder, "the same run as %s: it counts once", kept->run.folder);
    nl_seed_run_free(&all->list[i].run);
    memmove(&all->list[i], &all->list[i + 1], (size_t)(all->n - i - 1) * sizeof *all->list);
    all->n--;
}

/* Links: one folder under several names is the run of the name that agrees. */
static void drop_links(units *all) {
    for (int i = 0; i < all->n; i++) {
        for (int j = i + 1; j < all->n; j++) {
            unit *a = &all->list[i], *b = &all->list[j];
            if (a->device != b->device || a->inode != b->inode) continue;
            if (!agrees(a) && agrees(b)) {
                const unit swap = *a;
                *a = *b;
                *b = swap;
            }
            drop(all, j--, a);
        }
    }
}

static int refuse_name(const unit *u, nl_error *err) {
    const char *name = told_name(u);
    nl_fail(err, NL_EDATA, u->run.folder,
            "a copy, or renamed: the folder says %s, seed %u, but its " NL_FILE_RUN
            " %s, seed %lld",
            u->name, u->run.seed, name ? name : u->name, (long long)told_seed(u));
    return nl_hint(err, "move it out of the run folder, or give it back the name that " NL_FILE_RUN
                        " tells");
}

static bool same_figures(const nl_point *a, const nl_point *b) {
    const double x[] = {a->train_loss, a->train_accuracy, a->test_loss, a->test_accuracy};
    const double y[] = {b->train_loss, b->train_accuracy, b->test_loss, b->test_accuracy};
    for (int i = 0; i < 4; i++)
        if (x[i] != y[i] && !(isnan(x[i]) && isnan(y[i]))) return false;
    return true;
}

/* Whether nothing tells the two apart: a run gives the same figures on every machine, but for
 * times. One may have come farther than the other. */
static bool same_results(const nl_seed_run *a, const nl_seed_run *b) {
    for (int i = 0; i < a->n_points && i < b->n_points; i++)
        if (a->points[i].epoch != b->points[i].epoch || !same_figures(&a->points[i], &b->points[i]))
            return false;
    return !a->finished || !b->finished || same_figures(&a->final, &b->final);
}

/* Copies: the same name, seed and results is the same run, in one folder or in several. */
static int drop_copies(units *all, nl_error *err) {
    for (int i = 0; i + 1 < all->n; i++) {
        while (i + 1 < all->n) {
            const unit *a = &all->list[i], *b = a + 1;
            if (strcmp(a->name, b->name) != 0 || a->run.seed != b->run.seed) break;
            if (!same_results(&a->run, &b->run)) {
                nl_fail(err, NL_EDATA, b->run.folder,
                        "a second run of %s, seed %u, with other results, beside %s", b->name,
                        b->run.seed, a->run.folder);
                return nl_hint(err, "move one of them out of the run folder");
            }
            drop(all, i + 1, a);
        }
    }
    return NL_OK;
}

static int identify(units *all, nl_error *err) {
    if (all->n > 0) qsort(all->list, (size_t)all->n, sizeof *all->list, by_unit);
    drop_links(all);
    for (int i = 0; i < all->n; i++)
        if (!agrees(&all->list[i])) return refuse_name(&all->list[i], err);
    if (all->n > 0) qsort(all->list, (size_t)all->n, sizeof *all->list, by_unit);
    return drop_copies(all, err);
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
static void make_variants(nl_folder *study, units *all, order given) {
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
    units seeds = {0};
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
    units all = {0};
    int code = NL_OK;
    *study = (nl_folder){0};
    for (int i = 0; i < n_folders && !code; i++) {
        const int before = all.n;
        code = read_all(&all, folders[i], err);
        if (!code && all.n == before) code = refuse_folder(folders[i], err);
    }
    if (!code) code = identify(&all, err);
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
