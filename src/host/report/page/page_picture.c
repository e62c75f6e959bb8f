/* Pictures inside the page. gnuplot's SVG states every colour as rgb(r, g, b) in an attribute; each
 * that the charts use becomes a variable of the style sheet. Only what stands inside a tag is
 * changed: the text of a label, whatever it is, is not.
 */
#include <errno.h>       // errno
#include <limits.h>      // INT_MAX
#include <openssl/evp.h> // EVP_EncodeBlock
#include <stdlib.h>      // free, strtol
#include <string.h>      // strstr

#include "base/regular.h"          // nl_regular_read
#include "report/charts/gnuplot.h" // nl_colours
#include "page.h"
#include "report/text/text.h" // nl_html

/* The whole file, with a 0 behind it; NULL where there is none, or it cannot be read, which is said.
 * The caller frees. */
static char *read_file(const char *path, size_t *size) {
    char reason[NL_REASON], *text = nl_regular_read(path, size, reason);
    if (!text && errno != ENOENT) nl_warn(path, "not in the page: %s", reason);
    return text;
}

/* ---- SVG ---- */

static bool same_colour(const char *hex, int r, int g, int b) {
    int red, green, blue;
    return sscanf(hex, "#%2x%2x%2x", (unsigned *)&red, (unsigned *)&green, (unsigned *)&blue) ==
               3 &&
           red == r && green == g && blue == b;
}

/* The variable of a colour, NULL for one that is none of the charts'. */
static const char *variable(int r, int g, int b) {
    static const char *const marks[NL_COLOURS] = {"--c1", "--c2", "--c3", "--c4", "--c5", "--c6"};
    static const char *const texts[NL_COLOURS] = {"--t1", "--t2", "--t3", "--t4", "--t5", "--t6"};
    static const char *const others[][2] = {
        {NL_INK, "--ink"}, {NL_SOFT, "--soft"}, {NL_GRID, "--grid"}, {NL_BAND, "--band"}};
    for (int i = 0; i < NL_COLOURS; i++) {
        if (same_colour(nl_colours[i], r, g, b)) return marks[i];
        if (same_colour(nl_text_colours[i], r, g, b)) return texts[i];
    }
    for (int i = 0; i < 4; i++)
        if (same_colour(others[i][0], r, g, b)) return others[i][1];
    return NULL;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* The length of "rgb(1, 2, 3)" at the beginning of a text, or 0. (sscanf would measure all that
 * follows each time.) */
static size_t colour(int rgb[3], const char *text) {
    const char *at = text + 4;
    if (!begins(text, "rgb(")) return 0;
    for (int i = 0; i < 3; i++) {
        char *end;
        rgb[i] = (int)strtol(at, &end, 10);
        if (end == at || *end != (i < 2 ? ',' : ')')) return 0;
        at = end + 1;
    }
    return (size_t)(at - text);
}

/* Writes what replaces the text at `at`, inside a tag; returns how much of it that was, or 0. */
static size_t replace(FILE *out, const char *at, const char *prefix) {
    static const char *const names[] = {" id=\"", " id='", "href='#", "href=\"#", "url(#"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (begins(at, names[i])) {
            fprintf(out, "%s%s", names[i], prefix);
            return strlen(names[i]);
        }
    int rgb[3];
    const size_t length = colour(rgb, at);
    if (length > 0) {
        const char *name = variable(rgb[0], rgb[1], rgb[2]);
        if (name)
            fprintf(out, "var(%s)", name);
        else
            fprintf(out, "rgb(%d,%d,%d)", rgb[0], rgb[1], rgb[2]);
        return length;
    }
    if (begins(at, "fill=\"#ffffff\"")) { /* the sheet of paper below a chart of its own */
        fputs("fill=\"none\"", out);
        return strlen("fill=\"#ffffff\"");
    }
    if (begins(at, "\"black\"")) {
        fputs("\"var(--ink)\"", out);
        return strlen("\"black\"");
    }
    return 0;
}

/* gnuplot's own titles would show as tooltips. */
static const char *behind_element(const char *at) {
    static const char *const open[] = {"<title>", "<desc>"}, *const close[] = {"</title>",
                                                                               "</desc>"};
    for (int i = 0; i < 2; i++) {
        const char *end = begins(at, open[i]) ? strstr(at, close[i]) : NULL;
        if (end) return end + strlen(close[i]);
    }
    return NULL;
}

bool nl_page_svg(FILE *out, const char *path, const char *prefix, const char *label) {
    size_t size;
    char *text = read_file(path, &size);
    const char *svg = text ? strstr(text, "<svg") : NULL,
               *box = svg ? strstr(svg, "viewBox=\"") : NULL;
    const char *at = svg ? strchr(svg, '>') : NULL;
    int width, height;
    const bool good =
        at && box && box < at && sscanf(box, "viewBox=\"0 0 %d %d", &width, &height) == 2;
    if (good) {
        fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", width, height);
        nl_html(out, label);
        fputs("\">", out);
        bool inside = false;
        for (at++; *at;) {
            const char *next = behind_element(at);
            const size_t used = !next && inside ? replace(out, at, prefix) : 0;
            if (next)
                at = next;
            else if (used)
                at += used;
            else {
                if (*at == '<') inside = true;
                if (*at == '>') inside = false;
                fputc(*at++, out);
            }
        }
    }
    free(text);
    return good;
}

/* ---- PNG ---- */

bool nl_page_png(FILE *out, const char *path, const char *label) {
    size_t size;
    char *bytes = read_file(path, &size);
    if (!bytes) return false;
    fputs("<img alt=\"", out);
    nl_html(out, label);
    fputs("\" src=\"data:image/png;base64,", out);
    NL_ASSERT(size <= INT_MAX);
    unsigned char *text = nl_alloc(size / 3 * 4 + 5, 1, path); /* with a 0 at its end */
    EVP_EncodeBlock(text, (const unsigned char *)bytes, (int)size);
    fputs((const char *)text, out);
    fputs("\">", out);
    free(text);
    free(bytes);
    return true;
}
