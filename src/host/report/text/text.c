/* Escaping, numbers and tables for Markdown and HTML. Anything may stand in a folder's name or in the
 * record of a run, so every text passes one of the two escapes.
 */
#include "text.h"

#include <math.h>    // isnan
#include <stdarg.h>  // va_list
#include <stdbool.h> // bool
#include <stdlib.h>  // realloc
#include <string.h>  // strchr

#include "base/character.h"
#include "normlab/error.h" // NL_ASSERT

size_t nl_other_character(FILE *out, const char *text) {
    bool printable;
    const size_t bytes = nl_character(&printable, text);
    if (printable && bytes == 1) return 0;
    if (printable)
        (void)fwrite(text, 1, bytes, out);
    else
        fputs(strchr("\t\n\r", *text) ? " " : "\xef\xbf\xbd", out);
    return bytes;
}

void nl_html(FILE *out, const char *text) {
    for (size_t bytes; *text; text += bytes ? bytes : 1) {
        if ((bytes = nl_other_character(out, text))) continue;
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

void nl_markdown(FILE *out, const char *text) {
    for (size_t bytes; *text; text += bytes ? bytes : 1) {
        if ((bytes = nl_other_character(out, text))) continue;
        if (strchr("\\`*_<>[]|&#~$", *text)) fputc('\\', out);
        fputc(*text, out);
    }
}

/* ---- numbers ---- */

nl_number nl_fixed(double value, int decimals) {
    nl_number n;
    if (!isfinite(value))
        snprintf(n.text, sizeof n.text, "–");
    else
        snprintf(n.text, sizeof n.text, "%.*f", decimals, value);
    return n;
}

nl_number nl_p(double p) {
    if (isnan(p)) return nl_fixed(p, 0);
    nl_number n;
    if (p < 0.0001)
        snprintf(n.text, sizeof n.text, "< 0.0001");
    else
        snprintf(n.text, sizeof n.text, "%.*f",
                 p < 0.001 || fabs(p - 0.05) < 0.0006 ? 4
                 : p < 0.1                            ? 3
                                                      : 2,
                 p);
    return n;
}

nl_number nl_range(double low, double high, int decimals) {
    if (isnan(low) || isnan(high)) return nl_fixed(NAN, 0);
    nl_number n;
    snprintf(n.text, sizeof n.text, "%.*f to %.*f", decimals, low, decimals, high);
    return n;
}

/* ---- lists ---- */

static void append(char ***list, int *n, const char *format, va_list args) {
    char *text = NULL;
    NL_NEED(vasprintf(&text, format, args) >= 0);
    *list = realloc(*list, ((size_t)*n + 1) * sizeof **list);
    NL_NEED(*list);
    (*list)[(*n)++] = text;
}

void nl_lines_add(nl_lines *lines, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append(&lines->text, &lines->n, format, args);
    va_end(args);
}

void nl_lines_free(nl_lines *lines) {
    for (int i = 0; i < lines->n; i++) free(lines->text[i]);
    free(lines->text);
    *lines = (nl_lines){0};
}

/* ---- tables ---- */

void nl_table_add(nl_table *table, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append(&table->cells, &table->n_cells, format, args);
    va_end(args);
}

void nl_table_free(nl_table *table) {
    for (int i = 0; i < table->n_cells; i++) free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->n_cells = 0;
}

static bool is_right(const nl_table *table, int column) {
    return table->head[column][0] == '>';
}

static const char *head_text(const nl_table *table, int column) {
    return table->head[column] + is_right(table, column);
}

void nl_table_markdown(FILE *out, const nl_table *table) {
    for (int i = 0; i < table->columns; i++) {
        fputs(i ? " | " : "| ", out);
        nl_markdown(out, head_text(table, i));
    }
    fputs(" |\n", out);
    for (int i = 0; i < table->columns; i++) fputs(is_right(table, i) ? "| ---: " : "| --- ", out);
    fputs("|\n", out);
    for (int i = 0; i < table->n_cells; i++) {
        fputs(i % table->columns ? " | " : "| ", out);
        nl_markdown(out, table->cells[i]);
        if ((i + 1) % table->columns == 0) fputs(" |\n", out);
    }
    fputc('\n', out);
}

void nl_table_html(FILE *out, const nl_table *table, const char *id) {
    fprintf(out, "<div class=\"scroll\" tabindex=\"0\"><table id=\"%s\"><thead><tr>", id);
    for (int i = 0; i < table->columns; i++) {
        fprintf(out, "<th scope=\"col\"%s>", is_right(table, i) ? " class=\"r\"" : "");
        nl_html(out, head_text(table, i));
        fputs("</th>", out);
    }
    fputs("</tr></thead><tbody>\n", out);
    for (int i = 0; i < table->n_cells; i++) {
        const int column = i % table->columns;
        const char *tag = column == 0 ? "th" : "td";
        fprintf(out, "%s<%s%s%s>", column == 0 ? "<tr>" : "", tag,
                column == 0 ? " scope=\"row\"" : "", is_right(table, column) ? " class=\"r\"" : "");
        nl_html(out, table->cells[i]);
        fprintf(out, "</%s>%s", tag, column == table->columns - 1 ? "</tr>\n" : "");
    }
    fputs("</tbody></table></div>\n", out);
}
