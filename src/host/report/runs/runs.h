/* Reading the runs of a folder: OUT holds variants (configs), a variant holds runs (seeds). */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/error.h"  // nl_error
#include "stats/variants.h" // nl_folder

/* Reads all runs below the folders, which are one study. A run is what its run.json says it is:
 * name and seed; one that is there twice, with the same results, is read once, with a warning.
 * Variants come in the order of the names given, then those that normlab ships, then by name with
 * numbers in it as numbers. What cannot be read is a warning. Errors: NL_EDATA when a folder has no
 * run at all, where folder and run.json tell different names or seeds, and for two runs of one name
 * and seed with different results. The caller frees. */
int nl_folder_read(nl_folder *study, const char *const *folders, int n_folders,
                   const char *const *names, int n_names, nl_error *err);
void nl_folder_free(nl_folder *study);

/* The parts of it, by file. A missing file gives nothing and no warning. */
void nl_seed_run_read_metrics(nl_seed_run *run, const char *path);
void nl_seed_run_read_guesses(nl_seed_run *run, const char *path);

/* One unit, folder OUT/<name>/<seed-S>, all of its files. False: nothing was trained there. */
bool nl_seed_run_read(nl_seed_run *run, const char *folder, uint32_t seed);
void nl_seed_run_free(nl_seed_run *run);

/* "finished", "failed", "interrupted", "running", "lost". */
const char *nl_run_end_name(nl_run_end end);

/* The same, of a failure with its place: "failed at epoch 0, step 3 (loss nan)". */
typedef struct nl_end_text {
    char text[120];
} nl_end_text;
nl_end_text nl_run_end_text(const nl_seed_run *run);

/* Sorts n runs of one name into variants, appended to the study's, which has room for n more: those
 * of other configs or data stand apart. The runs are the study's from now on. */
void nl_variants_add(nl_folder *study, const char *name, nl_seed_run *runs, int n);

/* Whether a run of it was trained or tested on a part of the data alone (--limit-batches). */
bool nl_variant_limited(const nl_variant *variant);
