/* The report of a run folder: reads the runs, computes the figures once, writes every part. */
#include "normlab/checkpoint.h" // nl_path
#include "normlab/report.h"
#include "normlab/run_files.h" // NL_REPORT_FOLDER

#include <stdlib.h> // free

#include "report/charts/charts.h"
#include "report/charts/gnuplot.h" // nl_gnuplot_finish
#include "report/text/findings.h"
#include "report/charts/grids.h"
#include "report/page/page.h"
#include "report/runs/runs.h"
#include "swap.h"

static int write_workbook(const char *dir, nl_error *err) {
    char *path = nl_path(dir, NL_REPORT_WORKBOOK);
    const int code = nl_worksheet(path, err);
    free(path);
    return code;
}

static int write_results(const nl_folder *folder, const nl_figures *figures, const char *dir,
                         nl_error *err) {
    char *path = nl_path(dir, NL_REPORT_RESULTS);
    const int code = nl_results_write(folder, figures, path, err);
    free(path);
    return code;
}

static int write_findings(const nl_findings *findings, const char *dir, nl_error *err) {
    char *path = nl_path(dir, NL_REPORT_FINDINGS);
    const int code = nl_findings_write(findings, path, err);
    free(path);
    return code;
}

static int write_all(const nl_folder *folder, const nl_report_of *of, const char *dir,
                     nl_error *err) {
    nl_figures figures;
    nl_findings findings;
    nl_figures_make(&figures, folder, of->margins, of->all);
    nl_findings_make(&findings, &figures);
    int code = write_findings(&findings, dir, err);
    if (!code) code = write_results(folder, &figures, dir, err);
    if (!code) code = write_workbook(dir, err);
    if (!code) {
        nl_charts_draw(&figures, dir);
        nl_grids_draw(&figures, dir);
        nl_gnuplot_finish();
        code = nl_page_write(folder, &figures, &findings, dir, err);
    }
    nl_findings_free(&findings);
    nl_figures_free(&figures);
    return code;
}

int nl_report(const char *out, nl_error *err) {
    const nl_report_of of = {.folders = &out, .n_folders = 1};
    return nl_report_make(&of, err);
}

int nl_report_make(const nl_report_of *of, nl_error *err) {
    nl_folder folder = {0};
    nl_swap swap;
    int code = nl_folder_read(&folder, of->folders, of->n_folders, of->names, of->n_names, err);
    if (code) return code;
    char *place = nl_path(of->out ? of->out : of->folders[0], NL_REPORT_FOLDER);
    code = nl_swap_begin(&swap, place, err);
    if (code && !err->hint[0])
        nl_hint(err, "the report is written into the run folder: copy that to where you may write");
    if (!code) code = write_all(&folder, of, swap.fresh, err);
    code = nl_swap_end(&swap, code, err);
    free(place);
    nl_folder_free(&folder);
    return code;
}
