/* Cells, looks and references; see sheet.h. */
#include "sheet.h"

#include <math.h>   // isfinite
#include <stdarg.h> // va_list
#include <stdio.h>  // vsnprintf

#include "normlab/error.h" // NL_ASSERT

enum { INK = 0x222222, SOFT = 0x666666, LINE = 0xCCCCCC, OUTLINE = 0x0072B2, BAND = 0xEAF3F9 };

static void set_edges(lxw_format *f, int form) {
    format_set_border(f, LXW_BORDER_HAIR);
    format_set_border_color(f, LINE);
    if (form & EDGE_LEFT) {
        format_set_left(f, LXW_BORDER_MEDIUM);
        format_set_left_color(f, OUTLINE);
    }
    if (form & EDGE_RIGHT) {
        format_set_right(f, LXW_BORDER_MEDIUM);
        format_set_right_color(f, OUTLINE);
    }
    if (form & EDGE_TOP) {
        format_set_top(f, LXW_BORDER_MEDIUM);
        format_set_top_color(f, OUTLINE);
    }
    if (form & EDGE_BOTTOM) {
        format_set_bottom(f, LXW_BORDER_MEDIUM);
        format_set_bottom_color(f, OUTLINE);
    }
    if (form & TINT) format_set_bg_color(f, BAND);
}

static void set_look(lxw_format *f, nl_look look) {
    static const char *const numbers[LOOKS] = {
        [LOOK_FINE] = "0.00000000", [LOOK_COUNT] = "#,##0",        [LOOK_INPUT] = "General",
        [LOOK_GRID] = "0.0000",     [LOOK_GRID_INPUT] = "General", [LOOK_GRID_PLAIN] = "General"};
    format_set_font_color(f, look == LOOK_NOTE                               ? SOFT
                             : look == LOOK_INPUT || look == LOOK_GRID_INPUT ? 0x0000C0
                                                                             : INK);
    if (look == LOOK_TITLE) format_set_font_size(f, 16);
    if (look == LOOK_HEAD || look == LOOK_HEAD_LEFT) {
        format_set_bold(f);
        format_set_bottom(f, LXW_BORDER_THIN);
    }
    if (look == LOOK_HEAD || look == LOOK_CHECK) format_set_align(f, LXW_ALIGN_RIGHT);
    if (numbers[look]) format_set_num_format(f, numbers[look]);
}

lxw_format *nl_book_format(nl_book *book, nl_look look, int form) {
    lxw_format **slot = &book->formats[look][form];
    if (*slot) return *slot;
    *slot = workbook_add_format(book->book);
    NL_NEED(*slot);
    set_look(*slot, look);
    if (look == LOOK_GRID || look == LOOK_GRID_INPUT || look == LOOK_GRID_PLAIN)
        set_edges(*slot, form);
    return *slot;
}

void nl_sheet_open(nl_book *book, const char *name, const char *title, const char *note) {
    book->sheet = workbook_add_worksheet(book->book, name);
    NL_NEED(book->sheet);
    worksheet_set_column(book->sheet, 0, 0, 10, NULL);
    worksheet_set_column(book->sheet, 1, 8, 8.5, NULL);
    worksheet_set_column(book->sheet, 9, 9, 3, NULL);
    worksheet_set_column(book->sheet, 10, 20, 18, NULL);
    worksheet_set_landscape(book->sheet);
    worksheet_set_paper(book->sheet, 9); /* A4 */
    worksheet_fit_to_pages(book->sheet, 1, 0);
    worksheet_gridlines(book->sheet, LXW_HIDE_ALL_GRIDLINES);
    nl_cell_text(book, 0, 0, title, LOOK_TITLE);
    nl_cell_text(book, 1, 0, note, LOOK_NOTE);
}

/* ---- cells ---- */

void nl_cell_text(nl_book *book, int row, int column, const char *text, nl_look look) {
    NL_ASSERT(worksheet_write_string(book->sheet, (lxw_row_t)row, (lxw_col_t)column, text,
                                     nl_book_format(book, look, 0)) == LXW_NO_ERROR);
}

/* libxlsxwriter would write a NaN as a cell that no program can read. */
void nl_cell_number(nl_book *book, int row, int column, double value, nl_look look, int form) {
    NL_ASSERT(isfinite(value));
    NL_ASSERT(worksheet_write_number(book->sheet, (lxw_row_t)row, (lxw_col_t)column, value,
                                     nl_book_format(book, look, form)) == LXW_NO_ERROR);
}

void nl_cell_formula(nl_book *book, int row, int column, double value, nl_look look, int form,
                     const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    NL_ASSERT(length > 0 && length < (int)sizeof text && isfinite(value));
    NL_ASSERT(worksheet_write_formula_num(book->sheet, (lxw_row_t)row, (lxw_col_t)column, text,
                                          nl_book_format(book, look, form), value) == LXW_NO_ERROR);
}

void nl_cell_check(nl_book *book, int row, int column, const char *format, ...) {
    char condition[400], text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(condition, sizeof condition, format, args);
    va_end(args);
    snprintf(text, sizeof text, "=IF(%s,\"yes\",\"NO\")", condition);
    NL_ASSERT(worksheet_write_formula_str(book->sheet, (lxw_row_t)row, (lxw_col_t)column, text,
                                          nl_book_format(book, LOOK_CHECK, 0),
                                          "yes") == LXW_NO_ERROR);
}

/* ---- references: no sheet here is wider than Z ---- */

nl_ref nl_at(int row, int column) {
    nl_ref ref;
    snprintf(ref.text, sizeof ref.text, "%c%d", 'A' + column, row + 1);
    return ref;
}

nl_ref nl_fix(int row, int column) {
    nl_ref ref;
    snprintf(ref.text, sizeof ref.text, "$%c$%d", 'A' + column, row + 1);
    return ref;
}

nl_ref nl_span(int row, int column, int last_row, int last_column) {
    nl_ref ref;
    snprintf(ref.text, sizeof ref.text, "$%c$%d:$%c$%d", 'A' + column, row + 1, 'A' + last_column,
             last_row + 1);
    return ref;
}
