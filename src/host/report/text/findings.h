/* The findings: tables and sentences that findings.md and the page share. */
#pragma once

#include "stats/figures.h" // nl_figures
#include "text.h"          // nl_table, nl_lines

/* In the order in which they are shown. */
typedef enum nl_findings_table {
    NL_TABLE_RESULTS,
    NL_TABLE_TIME,
    NL_TABLE_PAIRS, /* in accuracy */
    NL_TABLE_LOSS,  /* in loss */
    NL_TABLE_SPREAD,
    NL_TABLE_FACTORS, /* of a study that is a grid */
    NL_TABLE_EFFECTS,
    NL_TABLE_IMAGES,
    NL_TABLE_PARITY,
    NL_TABLE_RUNS,
    NL_TABLE_COUNT
} nl_findings_table;

/* How a metric is spoken of: test `name`; decimals of a difference, and its unit behind it. */
typedef struct nl_metric_words {
    const char *name, *unit;
    int decimals;
} nl_metric_words;
extern const nl_metric_words nl_metric_words_of[NL_METRICS];

typedef struct nl_finding {
    const char *id, *title;
    const char *note; /* below the table: how to read it */
    nl_table table;   /* without rows: not shown */
} nl_finding;

typedef struct nl_findings {
    nl_finding parts[NL_TABLE_COUNT];
    nl_lines words;              /* plain sentences: what is settled, what is not */
    const char *const *mistakes; /* the original's, ends with NULL */
} nl_findings;

void nl_findings_make(nl_findings *findings, const nl_figures *figures);
void nl_findings_free(nl_findings *findings);

/* The parts, each in a file of its own: tables.c, words.c, words_runs.c,
 * words_pairs.c, factors_text.c, parity.c, spread_table.c. */
void nl_findings_tables(nl_findings *findings, const nl_figures *figures);
void nl_findings_words(nl_lines *words, const nl_figures *figures);
void nl_findings_runs(nl_lines *words, const nl_figures *figures);
void nl_findings_pairs(nl_lines *words, const nl_figures *figures);
void nl_findings_spread(nl_table *table, const nl_figures *figures);
void nl_findings_factors(nl_lines *words, const nl_figures *figures);
void nl_findings_terms(nl_table *table, const nl_figures *figures);
void nl_findings_effects(nl_table *table, const nl_figures *figures);
void nl_findings_parity(nl_table *table, const nl_figures *figures);
extern const char *const nl_original_mistakes[];

/* "norm: layer − batch × l1: 0.001 − 0": keys by their last names. */
typedef struct nl_effect_name {
    char text[2 * (2 * NL_LEVEL_TEXT + 48)];
} nl_effect_name;
nl_effect_name nl_effect_name_of(const nl_factors *factors, const nl_effect *effect);

/* results.json: the curve and the final figures of every run, and every comparison. Of a study that
 * is a grid there is, behind "pairs", "factors", as stats/factors.h defines them:
 * {"factors": [{"key", "with": the keys that move along, "levels": [text]}],
 *  "seeds": [that all variants finished],
 *  "terms": [{"keys": [one or two], "metric", "f", "df", "df_rest", "p", "p_holm"}],
 *  "effects": [{"keys", "levels": [of each key], "base": [the first levels], "metric",
 *               "difference", "sd", "low", "high", "p", "p_holm"}]}. Errors: NL_EWRITE. */
int nl_results_write(const nl_folder *folder, const nl_figures *figures, const char *path,
                     nl_error *err);

/* findings.md. Errors: NL_EWRITE. */
int nl_findings_write(const nl_findings *findings, const char *path, nl_error *err);
