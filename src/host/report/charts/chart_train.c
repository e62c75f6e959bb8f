/* Train against test: one panel a variant with the same axes, so that the gap between the two
 * lines, and not the axis, is what differs. The train loss is that of training mode: rotated
 * images, dropout, weights still moving; so it lies above the test loss.
 */
#include "charts.h"

#include "curves.h" // curves.dat, progress.dat
#include "gnuplot.h"
#include "scales.h"
#include "normlab/run_files.h" // NL_REPORT_PLOTS

enum { width = 920, panel_height = 250, head_height = 78, foot_height = 8 };

static void lines(FILE *out, const nl_variant *variant, int i, bool progress) {
    const char *colour = nl_colours[i % NL_COLOURS];
    if (nl_variant_curves(variant) == 0) {
        fputs("plot NaN\n", out); /* the axes alone */
        return;
    }
    if (progress)
        fprintf(out,
                "plot '" NL_REPORT_PLOTS
                "/progress.dat' index %d using 1:2 with lines lw 0.8 lc rgb '%s'",
                i, colour);
    else
        fprintf(out,
                "plot '" NL_REPORT_PLOTS
                "/curves.dat' index %d using 1:10:11 with filledcurves lc rgb '%s', \\\n"
                "     '' index %d using 1:9 with linespoints lw 2 dt (6,5) pt 6 ps 0.4 lc rgb '%s'",
                i, colour, i, colour);
    fprintf(out,
            ", \\\n     '" NL_REPORT_PLOTS
            "/curves.dat' index %d using 1:4:5 with filledcurves lc rgb '%s', \\\n"
            "     '' index %d using 1:3 with linespoints lw 2 pt 7 ps 0.4 lc rgb '%s'\n",
            i, colour, i, colour);
}

static void panel(FILE *out, const nl_figures *figures, const nl_scale *scale, int i, int columns,
                  int height, bool progress) {
    const int row = i / columns, column = i % columns, of = figures->shown[i];
    const double left = 0.075, right = 0.985, gap = columns > 3 ? 0.032 : 0.02;
    const double w = (right - left + gap) / columns;
    const double top = height - head_height - row * panel_height;
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
            left + column * w, left + (column + 1) * w - gap, (top - 24) / height,
            (top - panel_height + 48) / height);
    nl_scale_write(out, scale, panel_height - 72, column == 0);
    if (i + columns < figures->n_shown)
        fputs("unset xlabel\n", out);
    else
        fputs("set xlabel 'epochs trained' offset 0,0.5 textcolor rgb '" NL_INK "'\n", out);
    fputs("set label 3 ", out);
    nl_gnuplot_quote(out, figures->rows[of].variant->label.text);
    fprintf(out, " at graph 0, graph 1.07 tc rgb '%s'\n", nl_text_colours[of % NL_COLOURS]);
    lines(out, figures->rows[of].variant, of, progress);
    if (i == 0) fputs("unset label 1\nunset label 2\n", out);
}

static bool has_bands(const nl_figures *figures) {
    for (int i = 0; i < figures->n_rows; i++)
        if (nl_variant_curves(figures->rows[i].variant) > 1) return true;
    return false;
}

void nl_chart_train(const nl_figures *figures, const char *dir, const char *name, bool progress) {
    const int n = figures->n_shown, columns = n < 4 ? n : n == 4 ? 2 : n <= 9 ? 3 : 4;
    const int height = head_height + foot_height + panel_height * ((n + columns - 1) / columns);
    const nl_scale scale = nl_scale_of(figures, false, true, progress);
    char subtitle[200];
    snprintf(subtitle, sizeof subtitle,
             "mean cross-entropy of an image, logarithmic; %s: train (rotated, with dropout), "
             "%s: test%s",
             progress ? "thin" : "dashed", progress ? "points" : "solid",
             has_bands(figures) ? "; band: lowest to highest seed" : "");
    nl_script script;
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    nl_gnuplot_title(out, height, "Train against test", subtitle);
    nl_epochs_write(out, figures, columns, progress);
    fputs("set multiplot\n", out);
    for (int i = 0; i < n; i++) panel(out, figures, &scale, i, columns, height, progress);
    fputs("unset multiplot\n", out);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}
