/* One norm, forward, in two layers: x, its statistics, the normalised values, y = gamma *
 * normalised
 * + beta, and for batch norm the running values; then ReLU, a 1 x 1 convolution and the same again.
 */
#include <stdio.h> // snprintf

#include "workbook_parts.h"

static nl_ref set_cell(int top, int set, int what) {
    return nl_fix(top + set, TABLE + what);
}

static int set_of(nl_example_norm norm, int r, int c) {
    return nl_example_set(norm, r / 2, c / 2);
}

/* ---- tables beside the grids ---- */

static void statistics(nl_book *book, nl_example_norm norm, int top, const nl_example_layer *l) {
    static const char *const heads[] = {"over", "values", "mean", "variance", "1 / sqrt(var + eps)",
                                        NULL};
    const nl_ref eps = nl_fix(EPS, TABLE + 1);
    nl_table_heads(book, top, heads);
    for (int s = 0; s < nl_example_sets(norm); s++) {
        char name[40];
        const nl_ref span = nl_set_span(norm, s, top);
        nl_set_name(name, norm, s);
        nl_cell_text(book, top + s, TABLE + SET_NAME, name, LOOK_LABEL);
        nl_cell_formula(book, top + s, TABLE + SET_COUNT, EX_SIZE / nl_example_sets(norm),
                        LOOK_COUNT, 0, "=COUNT(%s)", span.text);
        nl_cell_formula(book, top + s, TABLE + SET_MEAN, l->mean[s], LOOK_FINE, 0, "=AVERAGE(%s)",
                        span.text);
        nl_cell_formula(book, top + s, TABLE + SET_VARIANCE, l->variance[s], LOOK_FINE, 0,
                        "=_xlfn.VAR.P(%s)", span.text);
        nl_cell_formula(book, top + s, TABLE + SET_RSTD, l->rstd[s], LOOK_FINE, 0,
                        "=1/SQRT(%s+Input!%s)", set_cell(top, s, SET_VARIANCE).text, eps.text);
    }
}

/* The mean is 0; the variance is var / (var + eps), which is 1 but for eps. */
static void checks(nl_book *book, nl_example_norm norm, int top, int x_top,
                   const nl_example_layer *l) {
    static const char *const heads[] = {"over",     "mean",    "variance", "var / (var + eps)",
                                        "mean 0 ?", "var 1 ?", NULL};
    const nl_ref eps = nl_fix(EPS, TABLE + 1);
    nl_table_heads(book, top, heads);
    for (int s = 0; s < nl_example_sets(norm); s++) {
        char name[40];
        double mean = 0, variance = 0;
        const int count = EX_SIZE / nl_example_sets(norm);
        for (int i = 0; i < EX_SIZE; i++)
            if (nl_example_set(norm, i / (EX_C * EX_HW), i / EX_HW % EX_C) == s) {
                mean += l->normalised[i] / count;
                variance += l->normalised[i] * l->normalised[i] / count;
            }
        const nl_ref span = nl_set_span(norm, s, top), var = set_cell(x_top, s, SET_VARIANCE);
        const int row = top + s;
        nl_set_name(name, norm, s);
        nl_cell_text(book, row, TABLE, name, LOOK_LABEL);
        nl_cell_formula(book, row, TABLE + 1, mean, LOOK_FINE, 0, "=AVERAGE(%s)", span.text);
        nl_cell_formula(book, row, TABLE + 2, variance, LOOK_FINE, 0, "=_xlfn.VAR.P(%s)",
                        span.text);
        nl_cell_formula(book, row, TABLE + 3, l->variance[s] / (l->variance[s] + EX_EPS), LOOK_FINE,
                        0, "=%s/(%s+Input!%s)", var.text, var.text, eps.text);
        nl_cell_check(book, row, TABLE + 4, "ABS(%s)<1E-12", nl_at(row, TABLE + 1).text);
        nl_cell_check(book, row, TABLE + 5, "ABS(%s-%s)<1E-12", nl_at(row, TABLE + 2).text,
                      nl_at(row, TABLE + 3).text);
    }
}

/* r = (1 - momentum) r + momentum * batch's; the running variance takes the unbiased one. */
static void running(nl_book *book, int top, int x_top, const nl_example_layer *l) {
    static const char *const heads[] = {"channel",     "mean, before", "mean, after",
                                        "var, before", "unbiased var", "var, after",
                                        NULL};
    const nl_ref momentum = nl_fix(MOMENTUM, TABLE + 1);
    const double n = EX_N * EX_HW;
    nl_cell_text(book, top - 2, TABLE, "Running values, after this batch", LOOK_LABEL);
    nl_table_heads(book, top, heads);
    for (int c = 0; c < EX_C; c++) {
        const int row = top + c;
        const nl_ref count = set_cell(x_top, c, SET_COUNT);
        nl_cell_number(book, row, TABLE, c + 1, LOOK_COUNT, 0);
        nl_cell_number(book, row, TABLE + 1, 0, LOOK_INPUT, 0);
        nl_cell_formula(book, row, TABLE + 2, l->running_mean[c], LOOK_FINE, 0,
                        "=(1-Input!%s)*%s+Input!%s*%s", momentum.text, nl_at(row, TABLE + 1).text,
                        momentum.text, set_cell(x_top, c, SET_MEAN).text);
        nl_cell_number(book, row, TABLE + 3, 1, LOOK_INPUT, 0);
        nl_cell_formula(book, row, TABLE + 4, l->variance[c] * n / (n - 1), LOOK_FINE, 0,
                        "=%s*%s/(%s-1)", set_cell(x_top, c, SET_VARIANCE).text, count.text,
                        count.text);
        nl_cell_formula(book, row, TABLE + 5, l->running_var[c], LOOK_FINE, 0,
                        "=(1-Input!%s)*%s+Input!%s*%s", momentum.text, nl_at(row, TABLE + 3).text,
                        momentum.text, nl_at(row, TABLE + 4).text);
    }
}

/* ---- grids ---- */

static void normalised(nl_book *book, nl_example_norm norm, int top, const nl_example_layer *l) {
    const int to = top + NEXT;
    nl_grid_heads(book, to, "Normalised: (x - mean) / sqrt(var + eps)");
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            const int s = set_of(norm, r, c);
            nl_cell_formula(book, to + r, GRID + c, l->normalised[nl_grid_index(r, c)], LOOK_GRID,
                            nl_set_form(norm, r, c), "=(%s-%s)*%s", nl_at(top + r, GRID + c).text,
                            set_cell(top, s, SET_MEAN).text, set_cell(top, s, SET_RSTD).text);
        }
    checks(book, norm, to, top, l);
}

static void affine(nl_book *book, nl_example_norm norm, int top, const nl_example_layer *l) {
    const int from = top + NEXT, to = top + 2 * NEXT;
    nl_grid_heads(book, to, "y = gamma * normalised + beta, gamma and beta by channel");
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++)
            nl_cell_formula(book, to + r, GRID + c, l->y[nl_grid_index(r, c)], LOOK_GRID,
                            nl_set_form(norm, r, c), "=Input!%s*%s+Input!%s",
                            nl_fix(CHANNELS + c / 2, TABLE + 1).text,
                            nl_at(from + r, GRID + c).text,
                            nl_fix(CHANNELS + c / 2, TABLE + 2).text);
}

static void layer(nl_book *book, nl_example_norm norm, int top, const nl_example_layer *l) {
    statistics(book, norm, top, l);
    normalised(book, norm, top, l);
    affine(book, norm, top, l);
}

static void second_input(nl_book *book, nl_example_norm norm, const nl_example *e) {
    const int y = TOP + 2 * NEXT, relu = SECOND - NEXT;
    nl_grid_heads(book, relu, "ReLU(y)");
    nl_grid_heads(book, SECOND, "x of layer 2: bias + sum over channels of weight * ReLU(y)");
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            const int form = nl_set_form(norm, r, c), i = nl_grid_index(r, c);
            char sum[400];
            int used =
                snprintf(sum, sizeof sum, "Input!%s", nl_fix(CHANNELS + c / 2, TABLE + 3).text);
            for (int k = 0; k < EX_C; k++)
                used += snprintf(sum + used, sizeof sum - (size_t)used, "+Input!%s*%s",
                                 nl_fix(WEIGHT + c / 2, TABLE + 1 + k).text,
                                 nl_at(relu + r, GRID + 2 * k + c % 2).text);
            nl_cell_formula(book, relu + r, GRID + c, e->relu[i], LOOK_GRID, form, "=MAX(0,%s)",
                            nl_at(y + r, GRID + c).text);
            nl_cell_formula(book, SECOND + r, GRID + c, e->two.x[i], LOOK_GRID, form, "=%s", sum);
        }
}

void nl_sheet_norm(nl_book *book, nl_example_norm norm, const nl_example *e) {
    static const char *const titles[EX_NORMS] = {"Batch norm", "Layer norm", "Group norm"};
    static const char *const notes[EX_NORMS] = {
        "One mean and variance a channel, over all images and pixels: 4 pairs. Outlined: what is "
        "reduced together.",
        "One mean and variance an image, over all channels and pixels: 4 pairs. Outlined: what is "
        "reduced together.",
        "One mean and variance for each group of 2 channels of an image: 8 pairs. Outlined: what "
        "is reduced together."};
    nl_sheet_open(book, nl_norm_sheets[norm], titles[norm], notes[norm]);
    nl_grid_heads(book, TOP, "x");
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++)
            nl_cell_formula(book, TOP + r, GRID + c, e->one.x[nl_grid_index(r, c)], LOOK_GRID_PLAIN,
                            nl_set_form(norm, r, c), "=Input!%s", nl_at(TOP + r, GRID + c).text);
    layer(book, norm, TOP, &e->one);
    if (norm == EX_BN) running(book, TOP + 2 * NEXT, TOP, &e->one);
    lxw_row_t page_break[] = {SECOND - NEXT - 3, 0};
    worksheet_set_h_pagebreaks(book->sheet, page_break);
    second_input(book, norm, e);
    layer(book, norm, SECOND, &e->two);
}
