/* Finds and reads run folders. A report has to come out of whatever is there: a run that was
 * interrupted (no final record, half a line at the end), one that diverged (null), one without
 * run.json. So nothing here is an error but an OUT without any run.
 */
#include <dirent.h>   // scandir
#include <errno.h>    // errno
#include <inttypes.h> // SCNu32
#include <stdio.h>    // sscanf
#include <stdlib.h>   // free
#include <string.h>   // strcmp

#include <jansson.h> // json_load_file

#include "runs.h"

char *nl_path(const char *folder, const char *file) {
    char *path = NULL;
    NL_ASSERT(asprintf(&path, "%s/%s", folder, file) >= 0);
    return path;
}

static void read_info(nl_seed_run *run, nl_variant *variant, const char *path) {
    json_error_t error;
    run->info = json_load_file(path, 0, &error);
    if (!run->info) {
        nl_warn(path, "%s", error.text);
        return;
    }
    const json_t *config = json_object_get(run->info, "config");
    nl_error err = {0};
    if (variant->has_config || !config) return;
    variant->has_config = nl_config_from_json(&variant->config, config, path, &err) == NL_OK;
    if (!variant->has_config) nl_warn(err.where, "%s", err.what);
}

static void read_run(nl_variant *variant, const char *folder, uint32_t seed) {
    nl_seed_run run = {.seed = seed};
    char *metrics = nl_path(folder, "metrics.jsonl"), *info = nl_path(folder, "run.json");
    char *guesses = nl_path(folder, "predictions.csv");
    nl_seed_run_read_metrics(&run, metrics);
    if (run.n_points > 0 || run.finished) {
        read_info(&run, variant, info);
        if (run.finished) nl_seed_run_read_guesses(&run, guesses);
        variant->runs[variant->n_runs++] = run;
        variant->n_finished += run.finished;
    } else {
        nl_warn(folder, "no whole epoch yet: left out of the report");
    }
    free(metrics);
    free(info);
    free(guesses);
}

static bool seed_of(const char *name, uint32_t *seed) {
    int end = 0;
    return sscanf(name, "seed-%" SCNu32 "%n", seed, &end) == 1 && name[end] == '\0';
}

static int is_seed(const struct dirent *entry) {
    uint32_t seed;
    return seed_of(entry->d_name, &seed);
}

static int by_seed(const struct dirent **a, const struct dirent **b) {
    uint32_t left = 0, right = 0;
    seed_of((*a)->d_name, &left);
    seed_of((*b)->d_name, &right);
    return (left > right) - (left < right);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_name(const struct dirent *entry) {
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "report") != 0;
}

static bool read_variant(nl_variant *variant, const char *folder, const char *name) {
    struct dirent **entries;
    const int n = scandir(folder, &entries, is_seed, by_seed);
    if (n < 0) return false;
    snprintf(variant->name, sizeof variant->name, "%s", name);
    variant->runs = nl_alloc((size_t)n, sizeof *variant->runs, "runs");
    for (int i = 0; i < n; i++) {
        uint32_t seed = 0;
        seed_of(entries[i]->d_name, &seed);
        char *path = nl_path(folder, entries[i]->d_name);
        read_run(variant, path, seed);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return variant->n_runs > 0;
}

/* Whether a name can stand in HTML, SVG and JSON: UTF-8 without control characters. */
static bool printable(const char *name) {
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return false;
    json_t *text = json_string(name); /* refuses what is no UTF-8 */
    json_decref(text);
    return text != NULL;
}

int nl_folder_read(nl_folder *study, const char *out, nl_error *err) {
    struct dirent **entries;
    const int n = scandir(out, &entries, is_name, by_name);
    if (n < 0) return nl_fail(err, NL_EDATA, out, "cannot open: %s", strerror(errno));
    *study = (nl_folder){nl_alloc((size_t)n, sizeof *study->variants, "variants"), 0};
    for (int i = 0; i < n; i++) {
        char *folder = nl_path(out, entries[i]->d_name);
        nl_variant *variant = &study->variants[study->n_variants];
        if (!printable(entries[i]->d_name))
            nl_warn(out, "a folder is left out: its name is no UTF-8 or has control characters");
        else if (read_variant(variant, folder, entries[i]->d_name))
            study->n_variants++;
        else {
            free(variant->runs);
            *variant = (nl_variant){0};
        }
        free(folder);
        free(entries[i]);
    }
    free(entries);
    if (study->n_variants > 0) return NL_OK;
    nl_folder_free(study);
    nl_fail(err, NL_EDATA, out, "no run with a whole epoch in this folder");
    return nl_hint(err, "a run folder is what `normlab train --out DIR` writes: "
                        "DIR/<config>/seed-<S>/metrics.jsonl");
}

void nl_folder_free(nl_folder *study) {
    for (int i = 0; i < study->n_variants; i++) {
        nl_variant *variant = &study->variants[i];
        for (int j = 0; j < variant->n_runs; j++) {
            free(variant->runs[j].points);
            free(variant->runs[j].pieces);
            free(variant->runs[j].layers);
            free(variant->runs[j].guesses);
            json_decref(variant->runs[j].info);
        }
        free(variant->runs);
    }
    free(study->variants);
    *study = (nl_folder){0};
}

const nl_seed_run *nl_variant_run(const nl_variant *variant, uint32_t seed) {
    for (int i = 0; i < variant->n_runs; i++)
        if (variant->runs[i].seed == seed) return &variant->runs[i];
    return NULL;
}

bool nl_variant_counts(const nl_variant *variant, const nl_seed_run *run) {
    return run->finished || variant->n_finished == 0;
}

bool nl_variant_limited(const nl_variant *variant) {
    for (int i = 0; i < variant->n_runs; i++) {
        const json_t *options = json_object_get(variant->runs[i].info, "options");
        if (json_integer_value(json_object_get(options, "limit_batches")) > 0) return true;
    }
    return false;
}
