/* `normlab verify`: runs the table of cases and prints what came out. See normlab/verify.h. */
#include <stdio.h>  // printf
#include <string.h> // strcmp

#include "cases.h"

/* ---- results by operation and output -----------------------------------------------------------
 */

typedef struct line {
    char operation[NL_V_OPERATION];
    const char *output;
    int cases, failed;
    double ulp, allowed, ratio; /* of the worst case: error and bound in ulp of the largest value */
} line;

typedef struct table {
    line lines[(NL_NORMS + NL_V_OPS) * NL_V_OUTPUTS];
    int n_lines, cases;
    nl_verify_run run;
    void *context;
} table;

static line *line_of(table *t, const char *operation, const char *output) {
    for (int i = 0; i < t->n_lines; i++) {
        line *l = &t->lines[i];
        if (!strcmp(l->operation, operation) && !strcmp(l->output, output)) return l;
    }
    NL_ASSERT(t->n_lines < (int)(sizeof t->lines / sizeof *t->lines));
    line *l = &t->lines[t->n_lines++];
    *l = (line){.output = output, .ratio = -1};
    snprintf(l->operation, sizeof l->operation, "%s", operation);
    return l;
}

/* ---- one case ----------------------------------------------------------------------------------
 */

static void add(line *l, nl_verify_finding f) {
    l->cases++;
    if (!f.right) l->failed++;
    if (f.error / f.allowed <= l->ratio) return;
    const double ulp = nl_verify_ulp(f.largest);
    l->ratio = f.error / f.allowed;
    l->ulp = f.error / ulp;
    l->allowed = f.allowed / ulp;
}

static int check(void *context, const char *operation, const nl_verify_case *c, nl_error *err) {
    table *t = context;
    nl_verify_finding findings[NL_V_OUTPUTS];
    const int code = nl_verify_one(findings, c, t->run, t->context, err);
    for (int i = 0; i < NL_V_OUTPUTS && !code; i++)
        if (c->out_count[i] > 0)
            add(line_of(t, operation, nl_verify_output(c->op, i)), findings[i]);
    t->cases++;
    return code;
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static int print(const table *t, const char *name) {
    int failed = 0;
    printf("%s against double precision; errors in ulp of an output's largest value\n\n", name);
    printf("%-14s %-9s %6s %12s %12s\n", "operation", "output", "cases", "worst error", "allowed");
    for (int i = 0; i < t->n_lines; i++) {
        const line *l = &t->lines[i];
        printf("%-14s %-9s %6d %12.3g %12.3g  %s\n", l->operation, l->output, l->cases, l->ulp,
               l->allowed, l->failed ? "FAILED" : "ok");
        failed += l->failed;
    }
    printf("\n%d cases, %d outputs compared by operation, %d failed: %s\n", t->cases, t->n_lines,
           failed, failed ? "NOT as it should be" : "all as they should be");
    return failed;
}

int nl_verify(const char *name, nl_verify_run run, void *context, nl_error *err) {
    table t = {.run = run, .context = context};
    const int code = nl_verify_each(check, &t, err);
    if (code) return code;
    const int failed = print(&t, name);
    if (!failed) return NL_OK;
    nl_fail(err, NL_EINTERNAL, "verify", "%d comparisons failed", failed);
    return nl_hint(err, "results of this device are not to be trusted; please report the table");
}
