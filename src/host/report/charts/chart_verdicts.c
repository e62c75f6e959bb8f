/* The matrix of pairs: above the diagonal what each came to in accuracy, below it in loss. A cell
 * stands for its row against its column: whose colour it has is better, and an arrow points there.
 */
#include "charts.h"

#include <math.h>   // fabs
#include <string.h> // strlen

#include "gnuplot.h"

enum { least_width = 920, cell_height = 52, head_height = 78, foot_height = 44 };

/* The variants stand in rows and columns; all in pixels. */
typedef struct layout {
    int rows[NL_MOST_SHOWN], n; /* the variants */
    bool turned;                /* the labels of the columns lie aslant */
    double left, top, cell, width, height;
} layout;

static layout lay_out(const nl_figures *figures) {
    layout l;
    l.n = nl_figures_best(l.rows, NL_MOST_SHOWN, figures);
    double label = 0;
    for (int i = 0; i < l.n; i++)
        label = fmax(label, nl_gnuplot_width(figures->rows[l.rows[i]].variant->label.text));
    l.left = label + 30;
    l.cell = fmin(fmax((least_width - l.left - 20) / l.n, 76), 190);
    l.turned = label > l.cell - 8;
    l.top = head_height + (l.turned ? 0.65 * label + 20 : 26);
    l.width = fmax(least_width, l.left + l.n * l.cell + (l.turned ? 0.77 * label : 0) + 20);
    l.height = l.top + l.n * cell_height + foot_height;
    return l;
}

/* ---- cells ---- */

/* The row of the variant that is better; -1: neither. */
static int winner(const nl_pair *p, nl_metric metric) {
    const nl_verdict v = p->by[metric].verdict;
    return v == NL_A_BETTER ? p->a : v == NL_B_BETTER ? p->b : -1;
}

static void write_fill(FILE *out, int row, int column, const char *colour, double strength) {
    fprintf(out,
            "set object rectangle from %d, %d to %d, %d back fs transparent solid %.2f noborder fc "
            "rgb '%s'\n",
            column, -row, column + 1, -row - 1, strength, colour);
}

static void write_text(FILE *out, int row, int column, double down, const char *text,
                       const char *colour) {
    fputs("set label ", out);
    nl_gnuplot_quote(out, text);
    fprintf(out, " at %.1f, %.2f center tc rgb '%s'\n", column + 0.5, -row - down, colour);
}

/* The pair of the variants at places i < k. */
static void write_cell(FILE *out, const nl_pair *p, int i, int k, nl_metric metric) {
    const bool turned = metric == NL_METRIC_LOSS; /* below the diagonal b is the row */
    const int row = turned ? k : i, column = turned ? i : k;
    const nl_comparison *c = &p->by[metric];
    const int best = winner(p, metric);
    const double figure = turned ? -1000 * c->paired.mean : c->paired.mean;
    const double difference = fabs(figure) < 0.0005 ? 0 : figure; /* not -0.000 */
    const char *verdict = best == (turned ? p->b : p->a) ? "◀"
                          : best >= 0                    ? "▲"
                          : c->verdict == NL_EQUAL       ? "="
                          : p->compared && c->paired.n   ? "open"
                                                         : "–";
    if (best >= 0) write_fill(out, row, column, nl_colours[best % NL_COLOURS], 0.3);
    if (c->verdict == NL_EQUAL) write_fill(out, row, column, NL_SOFT, 0.14);
    write_text(out, row, column, 0.32, verdict,
               best >= 0                ? nl_text_colours[best % NL_COLOURS]
               : c->verdict == NL_EQUAL ? NL_INK
                                        : NL_SOFT);
    if (c->paired.n == 0) return;
    char text[32];
    snprintf(text, sizeof text, "%+.*f", fabs(difference) < 9.9995 ? 3 : 1, difference);
    write_text(out, row, column, 0.70, text, best >= 0 ? NL_INK : NL_SOFT);
}

/* ---- frame ---- */

static void write_labels(FILE *out, const nl_figures *figures, const layout *l) {
    for (int i = 0; i < l->n; i++) {
        const char *text = figures->rows[l->rows[i]].variant->label.text;
        const char *colour = nl_text_colours[l->rows[i] % NL_COLOURS];
        fputs("set label ", out);
        nl_gnuplot_quote(out, text);
        fprintf(out, " at %.4f, %.1f right tc rgb '%s'\nset label ", -10 / l->cell, -i - 0.5,
                colour);
        nl_gnuplot_quote(out, text);
        fprintf(out, " at %.1f, %.4f %s tc rgb '%s'\n", i + 0.5, 12.0 / cell_height,
                l->turned ? "left rotate by 40" : "center", colour);
        write_fill(out, i, i, NL_GRID, 1);
    }
    for (int i = 0; i <= l->n; i++)
        fprintf(out,
                "set arrow from %d, 0 to %d, %d nohead lw 1 lc rgb '" NL_GRID "'\n"
                "set arrow from 0, %d to %d, %d nohead lw 1 lc rgb '" NL_GRID "'\n",
                i, i, -l->n, -i, l->n, -i);
}

static void write_script(FILE *out, const nl_figures *figures, const layout *l) {
    char subtitle[200] =
        "above the diagonal: test accuracy, points; below it: test loss, thousandths";
    if (l->n < figures->n_rows)
        snprintf(subtitle + strlen(subtitle), sizeof subtitle - strlen(subtitle),
                 "; the %d best of %d in accuracy", l->n, figures->n_rows);
    nl_gnuplot_title(out, (int)l->height, "Every pair", subtitle);
    fprintf(
        out,
        "set label 3 '◀ the row is better   ▲ the column is better   = equal within the margin   "
        "numbers: the row less the column' at screen 0.018, screen %.4f tc rgb '" NL_SOFT "'\n",
        20 / l->height);
    fprintf(out,
            "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
            "set tmargin at screen %.5f\nset bmargin at screen %.5f\n",
            l->left / l->width, (l->left + l->n * l->cell) / l->width, 1 - l->top / l->height,
            foot_height / l->height);
    fprintf(out, "set xrange [0:%d]\nset yrange [%d:0]\nunset tics\nunset border\n", l->n, -l->n);
    write_labels(out, figures, l);
    for (int i = 0; i < l->n; i++)
        for (int k = i + 1; k < l->n; k++)
            for (int m = 0; m < NL_METRICS; m++)
                write_cell(out, nl_pair_of(figures, l->rows[i], l->rows[k]), i, k, (nl_metric)m);
    fputs("plot NaN\n", out);
}

bool nl_has_verdicts(const nl_figures *figures) {
    return figures->family > 0;
}

void nl_chart_verdicts(const nl_figures *figures, const char *dir, const char *name) {
    if (!nl_has_verdicts(figures)) return;
    const layout l = lay_out(figures);
    nl_script script;
    nl_script_open(&script);
    nl_gnuplot_head(script.out, name, "png svg", (int)l.width, (int)l.height);
    write_script(script.out, figures, &l);
    nl_gnuplot_tail(script.out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}
