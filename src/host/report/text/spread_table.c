/* What makes the spread: the deviation over seeds of variants that are one but for train.vary. */
#include <stdio.h>  // snprintf
#include <stdlib.h> // free

#include "findings.h"
#include "stats/spread.h" // nl_spread_rows

static void streams_cell(nl_table *table, const nl_variant *variant) {
    const char *names[NL_STREAM_DROPOUT];
    char text[64] = "";
    size_t used = 0;
    const int n = nl_spread_streams(names, variant);
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", names[i]);
    nl_table_add(table, "%s", text);
}

static void deviation_cells(nl_table *table, const nl_sample *s, nl_metric metric) {
    const int decimals = nl_metric_words_of[metric].decimals;
    const nl_interval range = nl_stats_sd_interval(s->sd, s->n);
    nl_table_add(table, "%s", nl_fixed(s->sd, decimals).text);
    nl_table_add(table, "%s", nl_range(range.low, range.high, decimals).text);
}

void nl_findings_spread(nl_table *table, const nl_figures *s) {
    static const char *const head[] = {"variant",       "follow the seed", ">seeds",
                                       ">sd, points",   ">95 % interval",  ">sd of the loss",
                                       ">95 % interval"};
    *table = (nl_table){.head = head, .columns = 7};
    int *rows = nl_alloc((size_t)s->n_rows, sizeof *rows, "variants");
    const int n = nl_spread_rows(rows, s);
    for (int i = 0; i < n; i++) {
        const nl_row *r = &s->rows[rows[i]];
        nl_table_add(table, "%s", r->variant->name);
        streams_cell(table, r->variant);
        nl_table_add(table, "%d", r->accuracy.n);
        deviation_cells(table, &r->accuracy, NL_METRIC_ACCURACY);
        deviation_cells(table, &r->loss, NL_METRIC_LOSS);
    }
    free(rows);
}
