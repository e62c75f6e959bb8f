/* The numbers of the notebook that this project started from, what counts as the same result, and
 * what it got wrong. Its two runs are single runs; parity is a range for the mean over seeds.
 */
#include <stdio.h>  // snprintf
#include <string.h> // strcmp

#include "findings.h"
#include "report/runs/runs.h"

typedef struct nl_published {
    const char *name;  /* of the config */
    const char *final; /* test per cent, its runs */
    const char *first; /* the same after the first epoch */
    int epochs;
    double low, high; /* parity: final test per cent, mean over 10 seeds */
} nl_published;

static const nl_published published[] = {
    {"bn_l1", "99.23, 99.25", "97.66, 96.88", 20, 99.15, 99.30},
    {"ln", "99.34, 99.17", "98.04, 97.61", 20, 99.10, 99.40},
    {"gn", "99.17, 99.32", "97.97, 97.94", 20, 99.10, 99.40},
    {"bn", "99.40", "–", 15, 99.30, 99.45},
};

const char *const nl_original_mistakes[] = {
    "The group norm panel of both plots shows the batch norm data, and three panels with different "
    "scales stand where one figure with all variants would do. Here: one figure, one scale.",
    "The final losses of layer norm and group norm are copies of batch norm's. Here: each "
    "variant's "
    "own, from its last weights.",
    "All batch norm variances of the workbook are wrong (the ranges are shifted by a row), and "
    "nothing in it is ever normalised. Here: live formulas, checked against the code that trains.",
    "Its findings compare batch norm with L1 against layer and group norm without, from one run "
    "each, chosen on the test set. Here: several seeds, the last weights, paired tests, and a note "
    "where two configs differ in more than the norm.",
    "The rotation of the training images is not mentioned, and the seed is set once, so that each "
    "variant starts from other weights and sees another order. Here: variants with one seed share "
    "initial convolution weights and data order.",
    NULL};

static const nl_published *find(const nl_variant *variant) {
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        if (strcmp(published[i].name, variant->name) == 0) return &published[i];
    return NULL;
}

bool nl_parity_range(const nl_variant *variant, double *low, double *high) {
    const nl_published *p = find(variant);
    if (!p || !variant->has_config || variant->config.train.epochs < p->epochs ||
        nl_variant_limited(variant))
        return false;
    *low = p->low;
    *high = p->high;
    return true;
}

void nl_findings_parity(nl_table *table, const nl_figures *figures) {
    static const char *const head[] = {
        "variant", "original, final %",   ">here, mean %",   ">range of parity",
        "verdict", "original, epoch 1 %", ">here, epoch 1 %"};
    *table = (nl_table){.head = head, .columns = 7};
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_row *row = &figures->rows[i];
        const nl_published *p = find(row->variant);
        if (!p) continue;
        double low, high;
        char verdict[64] = "no run to its end yet";
        if (!nl_parity_range(row->variant, &low, &high))
            snprintf(verdict, sizeof verdict,
                     "not comparable: the original trained %d whole epochs", p->epochs);
        else if (row->accuracy.n > 0)
            snprintf(verdict, sizeof verdict, "%s (%d of 10 seeds)",
                     row->accuracy.mean < low    ? "below"
                     : row->accuracy.mean > high ? "above"
                                                 : "inside",
                     row->accuracy.n);
        nl_table_add(table, "%s", row->variant->name);
        nl_table_add(table, "%s", p->final);
        nl_table_add(table, "%s", nl_fixed(row->accuracy.mean, 2).text);
        nl_table_add(table, "%s", nl_range(p->low, p->high, 2).text);
        nl_table_add(table, "%s", verdict);
        nl_table_add(table, "%s", p->first);
        nl_table_add(table, "%s", nl_fixed(row->first.mean, 2).text);
    }
}
