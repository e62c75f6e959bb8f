/* index.html: one self-contained file. */
#pragma once

#include "report/text/findings.h" // nl_findings

/* Errors: NL_EWRITE. The pictures are taken from dir; one that is not there is named instead. */
int nl_page_write(const nl_folder *folder, const nl_figures *figures, const nl_findings *findings,
                  const char *dir, nl_error *err);

/* ---- parts, each in a file of its own ---- */

extern const char nl_page_style[]; /* the style sheet */

/* A chart, from its SVG: colours become the page's variables, so that it follows light and dark;
 * ids get a prefix, so that several charts fit in one document. False: there is no such file. */
bool nl_page_svg(FILE *out, const char *path, const char *prefix, const char *label);

/* A picture as a data URI. False: there is no such file. */
bool nl_page_png(FILE *out, const char *path, const char *label);

/* Matrices and tables; false: no run has what they show. */
bool nl_page_confusion(FILE *out, const nl_variant *variant, int number);
bool nl_page_architecture(FILE *out, const nl_folder *folder);
void nl_page_origin(FILE *out, const nl_folder *folder); /* configs, devices, versions */
