/* The names in a run folder OUT. A unit is OUT/<config name>/seed-<S>; what its files hold is told
 * in normlab/train.h. The report of all units is OUT/report; names of charts: charts.h.
 */
#pragma once

#include <inttypes.h> // PRIu32
#include <stdbool.h>  // bool

/* Of a unit. */
#define NL_SEED_FOLDER "seed-%" PRIu32
#define NL_FILE_RUN "run.json"
#define NL_FILE_METRICS "metrics.jsonl"
#define NL_FILE_INIT "init.safetensors"
#define NL_FILE_LAST "last.safetensors"
#define NL_FILE_BEST "best.safetensors"
#define NL_FILE_STATE "state.safetensors"
#define NL_FILE_PREDICTIONS "predictions.csv"
#define NL_FILE_LOCK ".lock"
#define NL_FILE_CLAIM ".claim"

/* Of the report. */
#define NL_REPORT_FOLDER "report"
#define NL_REPORT_PAGE "index.html"
#define NL_REPORT_FINDINGS "findings.md"
#define NL_REPORT_RESULTS "results.json"
#define NL_REPORT_WORKBOOK "Normalization_Calculations.xlsx"
#define NL_REPORT_VERDICTS "verdicts" /* charts */
#define NL_REPORT_EFFECTS "effects"
#define NL_REPORT_BATCHES "error_by_batch"
#define NL_REPORT_GRID "misclassified_" /* and the variant's name */
#define NL_REPORT_PLOTS "plots"         /* a folder: data and scripts of the charts */

/* The seed of a unit's folder; false: the name is another one. */
bool nl_seed_of_folder(const char *name, uint32_t *seed);
