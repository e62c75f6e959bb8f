/* Drawing by gnuplot: the program writes data and a script into OUT/report/plots, where they stay
 * for a user to restyle, and runs `gnuplot plots/<name>.gp` in OUT/report.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdio.h>   // FILE

#include "report/runs/runs.h" // nl_folder

/* A text file made in memory. */
typedef struct nl_script {
    FILE *out;
    char *text;
    size_t size;
} nl_script;

void nl_script_open(nl_script *script);
/* Writes it to dir/plots/<name><suffix>; a failure is a warning and false. Always closes. */
bool nl_script_save(nl_script *script, const char *dir, const char *name, const char *suffix);

/* A number of a data file, behind a space; NaN for what is none. */
void nl_script_value(FILE *out, double value);

/* A string in single quotes: nothing in it has a meaning to gnuplot. */
void nl_gnuplot_quote(FILE *out, const char *text);

/* How wide it is drawn, about, in pixels. */
double nl_gnuplot_width(const char *text);

/* The colours of the charts. The page maps them to its own, light and dark. */
#define NL_INK "#333333"
#define NL_SOFT "#6b6b6b"
#define NL_GRID "#dcdcdc"
#define NL_BAND "#efefef"
enum { NL_COLOURS = 6 };
extern const char *const nl_colours[NL_COLOURS]; /* Okabe and Ito's, without yellow and black */
extern const char *const nl_text_colours[NL_COLOURS]; /* the same, dark enough for text */

/* Everything of a line of that number: colour, dash, marker. ` lc rgb '...' dt ... pt N`. */
void nl_gnuplot_style(FILE *out, int number);
void nl_gnuplot_line(FILE *out, int number); /* without the marker */

/* The head of a script: a loop over kinds ("png svg" or "png") of that size (PNG at twice the
 * pixels), opened with `{`, and what all charts look like. nl_gnuplot_tail closes it. */
void nl_gnuplot_head(FILE *out, const char *name, const char *kinds, int width, int height);
void nl_gnuplot_tail(FILE *out);
/* Title and one line below, at the left, on a canvas of that height. */
void nl_gnuplot_title(FILE *out, int height, const char *title, const char *subtitle);

/* Starts gnuplot on one script, which draws dir/<name>.png and, where told, .svg: side by side with
 * others, one a core. nl_gnuplot_finish waits for all of them. Where gnuplot is missing there is one
 * warning for all; a picture that is not whole is removed with a warning. If this process is killed
 * they end too. */
void nl_gnuplot_start(const char *dir, const char *name, bool svg);
void nl_gnuplot_finish(void);
