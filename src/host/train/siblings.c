/* The seeds of one name in one folder are pooled as one variant, so they have to be of one config
 * and one data set. A run that is to join others is refused where it would be the odd one: a config
 * edited between two commands is the usual cause. A key given by --set on the command line is meant
 * and only a warning; the report keeps such runs apart. */
#include "normlab/differences.h" // nl_differences
#include "normlab/run_files.h"   // nl_seed_of_folder
#include "trainer.h"

#include <dirent.h>  // scandir
#include <jansson.h> // json_decref
#include <stdio.h>   // asprintf
#include <stdlib.h>  // free
#include <string.h>  // strcmp, strverscmp

#include "config/config_keys.h" // nl_key_find

static int is_seed(const struct dirent *entry) {
    uint32_t seed;
    return nl_seed_of_folder(entry->d_name, &seed);
}

/* Whether the study itself trains that seed, be it anew or to its end. */
static bool is_own(const nl_study *study, const char *name, uint32_t seed) {
    for (int i = 0; i < study->n_runs; i++)
        if (study->runs[i].config.train.seed == seed && !strcmp(study->runs[i].config.name, name))
            return true;
    return false;
}

/* What run.json will say, as far as it is known before the run. */
static json_t *record_of(const nl_study *study, bool with_data) {
    json_t *record = json_pack("{s:{s:I}}", "options", "limit_batches",
                               (json_int_t)study->options.limit_batches);
    NL_NEED(record);
    if (with_data) json_object_set_new(record, "data", nl_record_data(study->data));
    return record;
}

/* Whether something differs that no --set on this command line asks for. */
static bool is_unasked(const nl_differences *d, const nl_config *config) {
    for (int i = 0; i < d->n_apart; i++) {
        const int key = nl_key_find(nl_config_keys, nl_config_key_count, d->names[i]);
        if (key < 0 || config->lines[key] != NL_FROM_SET) return true;
    }
    return false;
}

static int refuse(const char *folder, const char *keys, nl_error *err) {
    nl_fail(err, NL_EUSAGE, folder,
            "runs of one name are pooled, and this one differs from what is to be trained in %s",
            keys);
    return nl_hint(err, "put it as it was, give the other config a name of its own (rename the "
                        "file), choose another --out, or --overwrite all of its seeds");
}

/* One run that is there; *like: it belongs together with the new one. A record that cannot be read
 * says nothing here: the report and --resume tell of it. */
static int compare(const nl_study *study, const nl_config *config, const nl_unit *unit,
                   bool with_data, bool *like, nl_error *err) {
    json_t *record = NULL;
    nl_config other;
    if (nl_record_read(&record, unit, NULL) || !record ||
        nl_model_config_from_json(&other, json_object_get(record, "config"), unit->folder, NULL)) {
        json_decref(record);
        return NL_OK;
    }
    if (other.train.epochs == 0) { /* nothing was trained, nothing is pooled */
        json_decref(record);
        return NL_OK;
    }
    if (study->options.resume) other.train.epochs = config->train.epochs; /* one after the other */
    nl_differences d;
    json_t *now = record_of(study, with_data);
    nl_runs_differ(&d, &other, config, record, now);
    json_decref(now);
    json_decref(record);
    *like = d.n_apart == 0;
    if (*like) return NL_OK;
    char *keys = nl_differences_text(&d, d.n_apart);
    int code = NL_OK;
    if (is_unasked(&d, config))
        code = refuse(unit->folder, keys, err);
    else if (with_data)
        nl_warn(unit->folder, "other than what is to be trained now: %s; the report keeps it apart",
                keys);
    free(keys);
    return code;
}

int nl_siblings_check(const nl_study *study, const nl_config *config, bool with_data,
                      nl_error *err) {
    char *folder = NULL;
    struct dirent **entries;
    NL_NEED(asprintf(&folder, "%s/%s", study->options.out, config->name) >= 0);
    const int n = scandir(folder, &entries, is_seed, versionsort);
    int code = NL_OK;
    bool like = false;
    for (int i = 0; i < n; i++) {
        nl_unit unit;
        nl_error odd;
        uint32_t seed = 0;
        nl_seed_of_folder(entries[i]->d_name, &seed);
        free(entries[i]);
        if (like || is_own(study, config->name, seed) ||
            nl_unit_init(&unit, study->options.out, config->name, seed, NULL))
            continue;
        const int found = compare(study, config, &unit, with_data, &like, &odd);
        if (found && !code) *err = odd;
        if (found) code = found;
    }
    if (n >= 0) free(entries);
    free(folder);
    return like ? NL_OK : code;
}
