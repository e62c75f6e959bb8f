/* Text for two media: the same tables and sentences go into findings.md and into the page. */
#pragma once

#include <stdio.h> // FILE

#include "base/number.h" // nl_number, nl_thousands

/* Writes the first character of a text unless it is printable ASCII; in the place of what no line, no
 * HTML and no XML can hold (character.h) a space or a sign. Returns its bytes; 0: it is left to the
 * caller. */
size_t nl_other_character(FILE *out, const char *text);

/* Writes text with what has a meaning in HTML (and in its attributes) or in Markdown escaped,
 * and what they cannot hold replaced. */
void nl_html(FILE *out, const char *text);
void nl_markdown(FILE *out, const char *text);

/* A value with so many decimals; a dash for NaN. nl_p: a p value. */
nl_number nl_fixed(double value, int decimals);
nl_number nl_p(double p);
nl_number nl_range(double low, double high, int decimals);

/* A table: cells row by row. A head that begins with '>' is set to the right. */
typedef struct nl_table {
    const char *const *head;
    int columns;
    char **cells;
    int n_cells;
} nl_table;

void nl_table_add(nl_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nl_table_markdown(FILE *out, const nl_table *table);
/* In a box of its own that scrolls sideways; the first column is the row's head. */
void nl_table_html(FILE *out, const nl_table *table, const char *id);
void nl_table_free(nl_table *table);

/* A list of sentences. */
typedef struct nl_lines {
    char **text;
    int n;
} nl_lines;

void nl_lines_add(nl_lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
void nl_lines_free(nl_lines *lines);
