/* What the sheets share: where the sets of a norm lie in a grid, and the heads of grids and tables.
 */
#include <stdio.h> // snprintf

#include "workbook_parts.h"

const char *const nl_norm_sheets[EX_NORMS] = {"BN", "LN", "GN"};

/* ---- the sets of a norm in a grid ---- */

typedef struct rectangle {
    int row, column, height, width;
} rectangle;

static rectangle set_rectangle(nl_example_norm norm, int set) {
    if (norm == EX_BN) return (rectangle){0, 2 * set, SIDE, 2};
    if (norm == EX_LN) return (rectangle){2 * set, 0, 2, SIDE};
    const int width = SIDE / EX_GROUPS;
    return (rectangle){set / EX_GROUPS * 2, set % EX_GROUPS * width, 2, width};
}

nl_ref nl_set_span(nl_example_norm norm, int set, int top) {
    const rectangle s = set_rectangle(norm, set);
    const int row = top + s.row, column = GRID + s.column;
    return nl_span(row, column, row + s.height - 1, column + s.width - 1);
}

void nl_set_name(char text[40], nl_example_norm norm, int set) {
    if (norm == EX_BN)
        snprintf(text, 40, "channel %d", set + 1);
    else if (norm == EX_LN)
        snprintf(text, 40, "image %d", set + 1);
    else
        snprintf(text, 40, "image %d, group %d", set / EX_GROUPS + 1, set % EX_GROUPS + 1);
}

int nl_set_form(nl_example_norm norm, int r, int c) {
    const rectangle s = set_rectangle(norm, nl_example_set(norm, r / 2, c / 2));
    int form = (s.row / s.height + s.column / s.width) % 2 ? TINT : 0;
    if (r == s.row) form |= EDGE_TOP;
    if (r == s.row + s.height - 1) form |= EDGE_BOTTOM;
    if (c == s.column) form |= EDGE_LEFT;
    if (c == s.column + s.width - 1) form |= EDGE_RIGHT;
    return form;
}

/* ---- heads ---- */

void nl_grid_heads(nl_book *book, int top, const char *title) {
    char text[40];
    nl_cell_text(book, top - 2, 0, title, LOOK_LABEL);
    for (int i = 0; i < EX_C; i++) {
        snprintf(text, sizeof text, "channel %d", i + 1);
        nl_cell_text(book, top - 1, GRID + 2 * i, text, LOOK_NOTE);
        snprintf(text, sizeof text, "image %d", i + 1);
        nl_cell_text(book, top + 2 * i, 0, text, LOOK_NOTE);
    }
}

void nl_table_heads(nl_book *book, int top, const char *const *heads) {
    for (int i = 0; heads[i]; i++)
        nl_cell_text(book, top - 1, TABLE + i, heads[i], i ? LOOK_HEAD : LOOK_HEAD_LEFT);
}
