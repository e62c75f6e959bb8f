/* Puts the findings together and writes findings.md. */
#include "findings.h"

#include <stdlib.h> // free

#include "normlab/checkpoint.h" // nl_file_write

void nl_findings_make(nl_findings *findings, const nl_figures *figures) {
    *findings = (nl_findings){.mistakes = nl_original_mistakes};
    nl_findings_tables(findings, figures);
    nl_findings_words(&findings->words, figures);
}

void nl_findings_free(nl_findings *findings) {
    for (int i = 0; i < NL_TABLE_COUNT; i++) nl_table_free(&findings->parts[i].table);
    nl_lines_free(&findings->words);
}

static void write_markdown(const nl_findings *findings, FILE *out) {
    fputs("# Findings\n\n", out);
    for (int i = 0; i < findings->words.n; i++) {
        fputs("- ", out);
        nl_markdown(out, findings->words.text[i]);
        fputc('\n', out);
    }
    for (int i = 0; i < NL_TABLE_COUNT; i++) {
        const nl_finding *part = &findings->parts[i];
        if (part->table.n_cells == 0) continue;
        fprintf(out, "\n## %s\n\n", part->title);
        nl_table_markdown(out, &part->table);
        fprintf(out, "%s\n", part->note);
    }
    fputs("\n## What the original gets wrong\n\n", out);
    for (int i = 0; findings->mistakes[i]; i++)
        fprintf(out, "%d. %s\n", i + 1, findings->mistakes[i]);
}

int nl_findings_write(const nl_findings *findings, const char *path, nl_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    write_markdown(findings, out);
    nl_text_close(out);
    const int code = nl_file_write(path, text, size, err);
    free(text);
    return code;
}
