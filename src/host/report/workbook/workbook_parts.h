/* Where things stand in the workbook, for its sheets refer to each other. Rows and columns count
 * from 0. A tensor is an 8 x 8 grid: two rows an image, two columns a channel; so a channel, an
 * image and a group of an image are each one rectangle.
 */
#pragma once

#include "example.h"
#include "sheet.h"

enum {
    SIDE = 8,
    GRID = 1,      /* first column of every grid */
    TABLE = 10,    /* first column of the table beside it */
    TOP = 5,       /* first row of a sheet's first grid */
    NEXT = 11,     /* from one grid to the one below */
    SECOND = 50,   /* first row of layer 2's x */
    CHANNELS = 10, /* Input: gamma, beta, bias by channel */
    EPS = 5,       /* Input: rows of the parameters */
    MOMENTUM = 6,
    RATE = 7,
    GRADIENT = 17, /* Input: dy */
    WEIGHT = 17    /* Input: the convolution's weights, in the table beside dy */
};

/* Columns of the statistics, as offsets from TABLE. */
enum { SET_NAME, SET_COUNT, SET_MEAN, SET_VARIANCE, SET_RSTD };

extern const char *const nl_norm_sheets[EX_NORMS]; /* BN, LN, GN */

static inline int nl_grid_index(int r, int c) {
    return (r / 2 * EX_C + c / 2) * EX_HW + r % 2 * 2 + c % 2;
}

/* The rectangle of a set in the grid whose first row is `top`. */
nl_ref nl_set_span(nl_example_norm norm, int set, int top);
void nl_set_name(char text[40], nl_example_norm norm, int set);
/* Edges and tint of a cell, with the sets of a norm outlined. */
int nl_set_form(nl_example_norm norm, int r, int c);

/* Title and heads of a grid, and of the table beside it (heads up to NULL). */
void nl_grid_heads(nl_book *book, int top, const char *title);
void nl_table_heads(nl_book *book, int top, const char *const *heads);

/* The sheets. */
void nl_sheet_input(nl_book *book);
void nl_sheet_norm(nl_book *book, nl_example_norm norm, const nl_example *example);
void nl_sheet_gradient(nl_book *book, nl_example_norm norm, const nl_example *example);
void nl_sheet_counts(nl_book *book);
