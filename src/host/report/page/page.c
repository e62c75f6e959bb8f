/* The page: findings first, pictures beside the tables they belong to, origin last. */
#include "page.h"

#include <math.h>     // isnan
#include <stdlib.h>   // free
#include <sys/stat.h> // stat

#include "report/charts/charts.h"  // nl_chart_names
#include "report/charts/grids.h"   // nl_grid_path
#include "report/charts/gnuplot.h" // NL_COLOURS
#include "normlab/checkpoint.h"    // nl_file_write
#include "normlab/run_files.h"     // NL_REPORT_PAGE

typedef struct page {
    FILE *out;
    const nl_folder *folder;
    const nl_figures *figures;
    const nl_findings *findings;
    const char *dir;
} page;

enum { words_shown = 8 };

/* ---- parts ---- */

static void cards(const page *p) {
    fputs("<div class=\"cards\">\n", p->out);
    for (int i = 0; i < p->figures->n_rows; i++) {
        const nl_row *r = &p->figures->rows[i];
        fprintf(p->out, "<div class=\"card\" style=\"--c:var(--c%d)\">", i % NL_COLOURS + 1);
        nl_html(p->out, r->variant->name);
        if (r->accuracy.n == 0)
            fputs("<b>–</b><span class=\"soft\">no finished run</span>", p->out);
        else
            fprintf(p->out, "<b>%.2f %%</b><span class=\"soft\">", r->accuracy.mean);
        const int all = r->variant->n_runs;
        char of[24] = "";
        if (r->accuracy.n < all) snprintf(of, sizeof of, " of %d", all);
        if (r->accuracy.n > 1)
            fprintf(p->out, "± %.2f over %d%s seeds</span>", r->accuracy.sd, r->accuracy.n, of);
        else if (r->accuracy.n == 1)
            fprintf(p->out, "one%s seed%s</span>", of, all > 1 ? "s" : "");
        fputs("</div>\n", p->out);
    }
    fputs("</div>\n", p->out);
}

/* Of a study of many variants, larger charts stand beside the page. */
enum { MOST_INLINE = 256 * 1024 };

static void chart(const page *p, nl_chart number, const char *label) {
    char *path = NULL, prefix[16];
    NL_NEED(asprintf(&path, "%s/%s.svg", p->dir, nl_chart_names[number]) >= 0);
    snprintf(prefix, sizeof prefix, "g%d-", (int)number);
    struct stat info;
    const bool few = p->figures->n_shown == p->figures->n_rows; /* or all were asked for */
    fputs("<figure class=\"chart\">", p->out);
    if (!few && stat(path, &info) == 0 && info.st_size > MOST_INLINE) {
        fputs("<p class=\"note\">", p->out);
        nl_html(p->out, label);
        fprintf(
            p->out,
            ": too large for this page; beside it <a href=\"%s.png\">as PNG</a> and "
            "<a href=\"%s.svg\">as SVG</a>. <code>normlab report --all</code> puts it here.</p>",
            nl_chart_names[number], nl_chart_names[number]);
    } else if (!nl_page_svg(p->out, path, prefix, label)) {
        fputs("<p class=\"note\">", p->out);
        nl_html(p->out, label);
        fprintf(p->out, ": not drawn yet, for want of gnuplot or of figures. Data and script are "
                        "in " NL_REPORT_PLOTS "/; <code>normlab report</code> draws later.</p>");
    }
    fputs("</figure>\n", p->out);
    free(path);
}

static void part(const page *p, nl_findings_table which) {
    const nl_finding *f = &p->findings->parts[which];
    if (f->table.n_cells == 0) return;
    fprintf(p->out, "<h2>%s</h2>\n", f->title);
    nl_table_html(p->out, &f->table, f->id);
    fputs("<p class=\"note\">", p->out);
    nl_html(p->out, f->note);
    fputs("</p>\n", p->out);
}

/* The first sentences, and the rest behind a line to open; a rest of a line or two is no rest. */
static void words(const page *p) {
    const nl_lines *words = &p->findings->words;
    const int shown = words->n > words_shown + 2 ? words_shown : words->n;
    fputs("<h2 id=\"short\">In short</h2>\n<ul>\n", p->out);
    for (int i = 0; i < words->n; i++) {
        if (i == shown)
            fprintf(p->out, "</ul>\n<details><summary>%d more</summary>\n<ul>\n", words->n - shown);
        fputs("<li>", p->out);
        nl_html(p->out, words->text[i]);
        fputs("</li>\n", p->out);
    }
    fputs(shown < words->n ? "</ul>\n</details>\n" : "</ul>\n", p->out);
}

static void layers(const page *p) {
    if (!nl_has_layers(p->figures)) return;
    fputs("<h2 id=\"layers\">Layers</h2>\n", p->out);
    chart(p, NL_CHART_LAYERS, "Activations and gradients of each layer by epoch");
    fputs("<p class=\"note\">Measured on one training step with always the same batch, not rotated "
          "and without dropout; gradients are those of the mean cross-entropy. A norm divides z by "
          "its "
          "deviation, so what lies behind it does not see how large z is.</p>\n",
          p->out);
}

static void grids(const page *p) {
    fputs("<h2 id=\"errors\">Misclassified images</h2>\n", p->out);
    int shown = 0;
    if (p->figures->n_shown < p->figures->n_rows)
        fprintf(p->out,
                "<p class=\"note\">Of %d variants the %d best in test accuracy have pictures of "
                "their own, here, "
                "under confusion and in train against test; <code>normlab report --all</code> "
                "makes all.</p>\n",
                p->figures->n_rows, p->figures->n_shown);
    for (int i = 0; i < p->figures->n_shown; i++) {
        const nl_variant *variant = &p->folder->variants[p->figures->shown[i]];
        char *path = nl_grid_path(variant, p->dir, ".png"), label[400];
        snprintf(label, sizeof label, "Ten images misclassified by %s", variant->name);
        fputs("<figure class=\"grid\">", p->out);
        shown += nl_page_png(p->out, path, label);
        fputs("</figure>\n", p->out);
        free(path);
    }
    if (!shown)
        fputs("<p class=\"note\">None drawn: that takes gnuplot, the data set and a finished run."
              "</p>\n",
              p->out);
    fputs(
        "<h2>Confusion</h2>\n<p class=\"note\">Rows: true class; columns: what it was read as; the "
        "darker, the more common the mistake.</p>\n<div class=\"matrices\">\n",
        p->out);
    bool any = false;
    for (int i = 0; i < p->figures->n_shown; i++) {
        const int row = p->figures->shown[i];
        any |= nl_page_confusion(p->out, &p->folder->variants[row], row);
    }
    fputs("</div>\n", p->out);
    if (!any) fputs("<p class=\"note\">None: that takes a finished run.</p>\n", p->out);
}

static void mistakes(const page *p) {
    fputs("<h2>What the original gets wrong</h2>\n<ol>\n", p->out);
    for (int i = 0; p->findings->mistakes[i]; i++) {
        fputs("<li>", p->out);
        nl_html(p->out, p->findings->mistakes[i]);
        fputs("</li>\n", p->out);
    }
    fputs("</ol>\n", p->out);
}

/* ---- the whole ---- */

static void head(const page *p) {
    int runs = 0;
    for (int i = 0; i < p->folder->n_variants; i++) runs += p->folder->variants[i].n_runs;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<link rel=\"icon\" href=\"data:,\">\n<title>normlab report</title>\n<style>\n",
          p->out);
    fputs(nl_page_style, p->out);
    fprintf(
        p->out,
        "</style>\n</head>\n<body>\n<main>\n<h1>Normalisations compared</h1>\n"
        "<p class=\"soft\">Final test accuracy of one small network; %d variant%s, %d run%s.</p>\n",
        p->folder->n_variants, p->folder->n_variants == 1 ? "" : "s", runs, runs == 1 ? "" : "s");
    cards(p);
    fputs("<nav><a href=\"#short\">In short</a><a href=\"#curves\">Curves</a><a href=\"#results\">"
          "Results</a><a href=\"#errors\">Errors</a><a href=\"#network\">Network</a><a "
          "href=\"#origin\">Configs</a></nav>\n",
          p->out);
}

static void write_page(const page *p) {
    head(p);
    words(p);
    if (nl_has_verdicts(p->figures))
        chart(p, NL_CHART_VERDICTS, "Every pair and what it came to, in accuracy and in loss");
    fputs("<h2 id=\"curves\">Curves</h2>\n", p->out);
    chart(p, NL_CHART_ACCURACY, "Validation accuracy by epoch");
    chart(p, NL_CHART_LOSS, "Validation loss by epoch");
    part(p, NL_TABLE_RESULTS);
    chart(p, NL_CHART_SEEDS, "Final test accuracy, seed by seed");
    chart(p, NL_CHART_SEEDS_LOSS, "Final test loss, seed by seed");
    part(p, NL_TABLE_PAIRS);
    part(p, NL_TABLE_LOSS);
    part(p, NL_TABLE_SPREAD);
    part(p, NL_TABLE_FACTORS);
    if (nl_has_batches(p->figures)) chart(p, NL_CHART_BATCHES, "Test error against the batch");
    part(p, NL_TABLE_EFFECTS);
    if (nl_has_effects(p->figures))
        chart(p, NL_CHART_EFFECTS, "Effects of the factors, with their intervals");
    part(p, NL_TABLE_IMAGES);
    part(p, NL_TABLE_TIME);
    chart(p, NL_CHART_TRAIN, "Train against test loss by epoch");
    layers(p);
    grids(p);
    part(p, NL_TABLE_PARITY);
    mistakes(p);
    fputs("<h2 id=\"network\">The network</h2>\n", p->out);
    if (!nl_page_architecture(p->out, p->folder))
        fputs("<p class=\"note\">Not known: no run has its " NL_FILE_RUN ".</p>\n", p->out);
    part(p, NL_TABLE_RUNS);
    fputs("<h2 id=\"origin\">Configs and versions</h2>\n", p->out);
    nl_page_origin(p->out, p->folder);
    fputs("<p class=\"note\">Beside this page: <code>" NL_REPORT_WORKBOOK "</code>, the "
          "three norms by hand; <code>" NL_REPORT_FINDINGS "</code>; <code>" NL_REPORT_RESULTS
          "</code>, every run's "
          "figures; the charts as PNG and SVG; their data and "
          "scripts in <code>" NL_REPORT_PLOTS "/</code>.</p>\n</main>\n</body>\n</html>\n",
          p->out);
}

int nl_page_write(const nl_folder *folder, const nl_figures *figures, const nl_findings *findings,
                  const char *dir, nl_error *err) {
    char *text = NULL;
    size_t size = 0;
    const page p = {nl_text_open(&text, &size), folder, figures, findings, dir};
    write_page(&p);
    nl_text_close(p.out);
    char *path = nl_path(dir, NL_REPORT_PAGE);
    const int code = nl_file_write(path, text, size, err);
    free(path);
    free(text);
    return code;
}
