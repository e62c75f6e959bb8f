/* A report is made in a folder of its own and then takes the place of the one before, all at once:
 * whoever looks, or whatever ends the program, finds the old one or the new one, whole. */
#pragma once

#include "normlab/error.h" // nl_error

typedef struct nl_swap {
    char *place; /* where the report stands in the end */
    char *fresh; /* where it is made, with a folder NL_REPORT_PLOTS in it */
} nl_swap;

/* Clears away what killed reports left beside `place`, and makes the new folder. Errors: NL_EWRITE.
 * Call nl_swap_end in either case. */
int nl_swap_begin(nl_swap *swap, const char *place, nl_error *err);

/* After code 0 the new report takes its place; files of the old folder that the report before did
 * not make are carried over, where none has their name. After any other code nothing has changed.
 * Returns the code, or NL_EWRITE. */
int nl_swap_end(nl_swap *swap, int code, nl_error *err);
