/* Writing cells: a thin layer over libxlsxwriter, with the few looks of the workbook. */
#pragma once

#include <xlsxwriter.h> // lxw_workbook

/* Looks. The grid ones take edges of the outline and a tint. */
typedef enum nl_look {
    LOOK_TITLE,
    LOOK_NOTE,
    LOOK_HEAD,
    LOOK_HEAD_LEFT,
    LOOK_LABEL,
    LOOK_INPUT, /* a number that a reader may change */
    LOOK_FINE,  /* a number with eight decimals */
    LOOK_COUNT,
    LOOK_CHECK,
    LOOK_GRID_INPUT,
    LOOK_GRID_PLAIN, /* as many decimals as it takes */
    LOOK_GRID,       /* four decimals */
    LOOKS
} nl_look;

enum { EDGE_LEFT = 1, EDGE_RIGHT = 2, EDGE_TOP = 4, EDGE_BOTTOM = 8, TINT = 16, GRID_FORMS = 32 };

typedef struct nl_book {
    lxw_workbook *book;
    lxw_format *formats[LOOKS][GRID_FORMS]; /* made when first used */
    lxw_worksheet *sheet;                   /* cells go here */
} nl_book;

/* The look with these edges and tint (0 for one outside a grid). */
lxw_format *nl_book_format(nl_book *book, nl_look look, int form);

/* A new sheet, from here on the one that cells go to; its widths, title and one line of text. */
void nl_sheet_open(nl_book *book, const char *name, const char *title, const char *note);

/* Rows and columns count from 0. */
void nl_cell_text(nl_book *book, int row, int column, const char *text, nl_look look);
void nl_cell_number(nl_book *book, int row, int column, double value, nl_look look, int form);
void nl_cell_formula(nl_book *book, int row, int column, double value, nl_look look, int form,
                     const char *format, ...) __attribute__((format(printf, 7, 8)));
/* "yes" where the formula's condition holds; it does. */
void nl_cell_check(nl_book *book, int row, int column, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* References as text: B6, $B$6, B6:C13. */
typedef struct nl_ref {
    char text[40];
} nl_ref;
nl_ref nl_at(int row, int column);
nl_ref nl_fix(int row, int column);
nl_ref nl_span(int row, int column, int last_row, int last_column);
