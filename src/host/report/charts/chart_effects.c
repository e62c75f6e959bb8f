/* Effects of the factors of a study that is a grid, with their intervals: a row for each, accuracy
 * and loss side by side.
 */
#include "charts.h"

#include <math.h> // fmin

#include "gnuplot.h"
#include "report/text/findings.h" // nl_effect_name_of
#include "normlab/run_files.h"    // NL_REPORT_PLOTS

enum { least_width = 920, row_height = 30, head_height = 84, foot_height = 56, panel_least = 230 };

static const int units[NL_METRICS] = {1, 1000}; /* points, thousandths of loss */

static void write_effects(const nl_factors *f, const char *dir) {
    nl_script data;
    nl_script_open(&data);
    fputs(
        "# row, then of accuracy and of loss: effect, 95 % interval, 1 where it is settled; losses "
        "in\n# thousandths\n",
        data.out);
    for (int i = 0; i < f->n_effects; i++) {
        fprintf(data.out, "%d", i);
        for (int m = 0; m < NL_METRICS; m++) {
            const nl_paired *r = &f->effects[i].by[m];
            nl_script_value(data.out, units[m] * r->mean);
            nl_script_value(data.out, units[m] * r->low);
            nl_script_value(data.out, units[m] * r->high);
            fprintf(data.out, " %d", f->effects[i].holm[m] < NL_LEVEL);
        }
        fprintf(data.out, " # %s\n", nl_effect_name_of(f, &f->effects[i]).text);
    }
    nl_script_save(&data, dir, NL_REPORT_EFFECTS, ".dat");
}

/* All effects and intervals of a metric, and 0. */
static void range_of(const nl_factors *f, int metric, double *low, double *high) {
    static const double most = 1e250; /* gnuplot's own room would overflow */
    *low = *high = 0;
    for (int i = 0; i < f->n_effects; i++) {
        const nl_paired *r = &f->effects[i].by[metric];
        *low = fmin(*low, units[metric] * fmin(r->mean, r->low));
        *high = fmax(*high, units[metric] * fmax(r->mean, r->high));
    }
    const double room = fmax(0.06 * (*high - *low), 1e-6);
    *low = fmax(*low - room, -most);
    *high = fmin(*high + room, most);
}

/* A step of 1, 2 or 5 times a power of ten that makes six of the axis or fewer. */
static double step_of(double length) {
    const double decade = pow(10, floor(log10(length / 6)));
    static const int steps[] = {1, 2, 5};
    for (int i = 0; i < 3; i++)
        if (steps[i] * decade * 6 >= length) return steps[i] * decade;
    return 10 * decade;
}

/* The names at the left, and a line between one term and the next. */
static void write_names(FILE *out, const nl_factors *f, bool names) {
    for (int i = 0; i < f->n_effects; i++) {
        if (names) {
            fputs("set label ", out);
            nl_gnuplot_quote(out, nl_effect_name_of(f, &f->effects[i]).text);
            fprintf(out, " at graph -0.03, first %d right tc rgb '" NL_INK "'\n", -i);
        }
        if (i > 0 && f->effects[i].term != f->effects[i - 1].term)
            fprintf(out,
                    "set arrow from graph 0, first %.1f to graph 1, first %.1f nohead lw 1 lc rgb "
                    "'" NL_GRID "'\n",
                    -i + 0.5, -i + 0.5);
    }
}

/* Whether there is an effect with an interval, settled or not. */
static bool any(const nl_factors *f, int metric, int settled) {
    for (int i = 0; i < f->n_effects; i++)
        if ((f->effects[i].holm[metric] < NL_LEVEL) == settled &&
            !isnan(f->effects[i].by[metric].low))
            return true;
    return false;
}

static void panel(FILE *out, const nl_factors *f, int metric) {
    const int first = 2 + 4 * metric; /* column */
    double low, high;
    range_of(f, metric, &low, &high);
    write_names(out, f, metric == 0);
    fprintf(out,
            "set arrow from 0, graph 0 to 0, graph 1 nohead lw 1.5 lc rgb '" NL_SOFT "'\n"
            "set xrange [%.6g:%.6g]\nset xtics %g\n"
            "set xlabel 'test %s' offset 0,0.3 textcolor rgb '" NL_INK "'\n",
            low, high, step_of(high - low),
            metric == NL_METRIC_LOSS ? "loss, thousandths" : "accuracy, points");
    const char *before = "plot ";
    for (int settled = 0; settled <= 1; settled++) {
        if (!any(f, metric, settled)) continue;
        fprintf(out,
                "%s'" NL_REPORT_PLOTS "/" NL_REPORT_EFFECTS
                ".dat' using ($%d == %d ? $%d : NaN):(-$1):%d:%d with xerrorbars lw 2 pt %d ps 0.9 "
                "lc rgb '%s'",
                before, first + 3, settled, first, first + 1, first + 2, settled ? 7 : 6,
                nl_colours[settled ? 1 : 0]);
        before = ", \\\n     ";
    }
    fputs(*before == 'p' ? "plot NaN" : "", out);
    fputs("\nunset label\nunset arrow\n", out);
}

void nl_chart_effects(const nl_figures *figures, const char *dir, const char *name) {
    const nl_factors *f = &figures->factors;
    if (!nl_has_effects(figures)) return;
    double name_width = 0;
    for (int i = 0; i < f->n_effects; i++)
        name_width = fmax(name_width, nl_gnuplot_width(nl_effect_name_of(f, &f->effects[i]).text));
    const double left = name_width + 26, gap = 34;
    const int width = (int)fmax(least_width, left + 2 * panel_least + gap + 24);
    const int height = head_height + foot_height + row_height * f->n_effects;
    const double panel_width = (width - 24 - left - gap) / 2;
    nl_script script;
    write_effects(f, dir);
    nl_script_open(&script);
    FILE *out = script.out;
    nl_gnuplot_head(out, name, "png svg", width, height);
    nl_gnuplot_title(out, height, "Effects",
                     "mean over all the rest, with 95 % interval over seeds; filled: settled over "
                     "all effects and both metrics");
    fprintf(out,
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\nset yrange [%.1f:0.6]\n"
            "unset ytics\nset grid noytics xtics lt 1 lw 1 lc rgb '" NL_GRID
            "'\nset format x '%%g'\n"
            "set multiplot\n",
            1 - (double)head_height / height, (double)foot_height / height, -f->n_effects + 0.4);
    for (int m = 0; m < NL_METRICS; m++) {
        const double from = left + m * (panel_width + gap);
        fprintf(out, "set lmargin at screen %.4f\nset rmargin at screen %.4f\n", from / width,
                (from + panel_width) / width);
        panel(out, f, m);
    }
    fputs("unset multiplot\n", out);
    nl_gnuplot_tail(out);
    if (nl_script_save(&script, dir, name, ".gp")) nl_gnuplot_start(dir, name, true);
}

bool nl_has_effects(const nl_figures *figures) {
    return figures->factors.n_effects > 0 && figures->factors.n_seeds > 1;
}
