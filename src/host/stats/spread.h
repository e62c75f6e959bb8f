/* What makes the spread over seeds: variants that are one but for train.vary, each of which lets some
 * random streams follow the seed and holds the others. */
#pragma once

#include "figures.h" // nl_figures

/* The rows of such variants, those that belong together in a row, the one of all streams first;
 * returns their number. */
int nl_spread_rows(int *rows /* (n_rows) */, const nl_figures *figures);

/* What a config calls the streams that follow the seed; returns their number. */
int nl_spread_streams(const char *names[NL_STREAM_DROPOUT], const nl_variant *variant);
