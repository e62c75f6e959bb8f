/* The backward pass of layer 1 and one step of SGD. With g = dy gamma, over each set:
 * dx = rstd (g - mean(g) - normalised * mean(g * normalised)); by channel: dgamma = sum(dy *
 * normalised), dbeta = sum(dy).
 */
#include <stdio.h> // snprintf

#include "workbook_parts.h"

static const int normalised_top = TOP + NEXT;

static void sets(nl_book *book, nl_example_norm norm, const nl_example_gradient *g) {
    static const char *const heads[] = {"over", "mean of g", "mean of g * normalised", NULL};
    nl_table_heads(book, TOP, heads);
    for (int s = 0; s < nl_example_sets(norm); s++) {
        char name[40];
        const nl_ref span = nl_set_span(norm, s, TOP);
        const nl_ref normalised = nl_set_span(norm, s, normalised_top);
        nl_set_name(name, norm, s);
        nl_cell_text(book, TOP + s, TABLE, name, LOOK_LABEL);
        nl_cell_formula(book, TOP + s, TABLE + 1, g->first[s], LOOK_FINE, 0, "=AVERAGE(%s)",
                        span.text);
        nl_cell_formula(book, TOP + s, TABLE + 2, g->second[s], LOOK_FINE, 0,
                        "=SUMPRODUCT(%s,%s!%s)/COUNT(%s)", span.text, nl_norm_sheets[norm],
                        normalised.text, span.text);
    }
}

/* A norm's output does not change when a constant is added to a set: its gradient there sums to 0.
 */
static void checks(nl_book *book, nl_example_norm norm, int top, const nl_example_gradient *g) {
    static const char *const heads[] = {"over", "sum of dx", "sum 0?", NULL};
    nl_table_heads(book, top, heads);
    for (int s = 0; s < nl_example_sets(norm); s++) {
        char name[40];
        double sum = 0;
        for (int i = 0; i < EX_SIZE; i++)
            if (nl_example_set(norm, i / (EX_C * EX_HW), i / EX_HW % EX_C) == s) sum += g->dx[i];
        nl_set_name(name, norm, s);
        nl_cell_text(book, top + s, TABLE, name, LOOK_LABEL);
        nl_cell_formula(book, top + s, TABLE + 1, sum, LOOK_FINE, 0, "=SUM(%s)",
                        nl_set_span(norm, s, top).text);
        nl_cell_check(book, top + s, TABLE + 2, "ABS(%s)<1E-12", nl_at(top + s, TABLE + 1).text);
    }
}

static void step(nl_book *book, nl_example_norm norm, int top, const nl_example_gradient *g) {
    static const char *const heads[] = {"channel",      "dgamma",      "dbeta",
                                        "gamma, after", "beta, after", NULL};
    const nl_ref rate = nl_fix(RATE, TABLE + 1);
    nl_cell_text(book, top - 2, TABLE, "One step of SGD, the first: w - rate * dw", LOOK_LABEL);
    nl_table_heads(book, top, heads);
    for (int c = 0; c < EX_C; c++) {
        const int row = top + c;
        const nl_ref dy = nl_set_span(EX_BN, c, GRADIENT);
        const nl_ref normalised = nl_set_span(EX_BN, c, normalised_top);
        nl_cell_number(book, row, TABLE, c + 1, LOOK_COUNT, 0);
        nl_cell_formula(book, row, TABLE + 1, g->dgamma[c], LOOK_FINE, 0,
                        "=SUMPRODUCT(Input!%s,%s!%s)", dy.text, nl_norm_sheets[norm],
                        normalised.text);
        nl_cell_formula(book, row, TABLE + 2, g->dbeta[c], LOOK_FINE, 0, "=SUM(Input!%s)", dy.text);
        nl_cell_formula(book, row, TABLE + 3, g->gamma[c], LOOK_FINE, 0, "=Input!%s-Input!%s*%s",
                        nl_fix(CHANNELS + c, TABLE + 1).text, rate.text,
                        nl_at(row, TABLE + 1).text);
        nl_cell_formula(book, row, TABLE + 4, g->beta[c], LOOK_FINE, 0, "=Input!%s-Input!%s*%s",
                        nl_fix(CHANNELS + c, TABLE + 2).text, rate.text,
                        nl_at(row, TABLE + 2).text);
    }
}

static void grids(nl_book *book, nl_example_norm norm, const nl_example_gradient *g) {
    const int to = TOP + NEXT;
    const char *sheet = nl_norm_sheets[norm];
    nl_grid_heads(book, TOP, "g = dy * gamma");
    nl_grid_heads(book, to,
                  "dx = (g - mean of g - normalised * mean of g * normalised) / sqrt(var + eps)");
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            const int s = nl_example_set(norm, r / 2, c / 2), i = nl_grid_index(r, c);
            const int form = nl_set_form(norm, r, c);
            nl_cell_formula(book, TOP + r, GRID + c, g->dy_gamma[i], LOOK_GRID, form,
                            "=Input!%s*Input!%s", nl_at(GRADIENT + r, GRID + c).text,
                            nl_fix(CHANNELS + c / 2, TABLE + 1).text);
            nl_cell_formula(
                book, to + r, GRID + c, g->dx[i], LOOK_GRID, form, "=%s!%s*(%s-%s-%s!%s*%s)", sheet,
                nl_fix(TOP + s, TABLE + SET_RSTD).text, nl_at(TOP + r, GRID + c).text,
                nl_fix(TOP + s, TABLE + 1).text, sheet, nl_at(normalised_top + r, GRID + c).text,
                nl_fix(TOP + s, TABLE + 2).text);
        }
}

void nl_sheet_gradient(nl_book *book, nl_example_norm norm, const nl_example *e) {
    static const char *const titles[EX_NORMS] = {"Batch norm, backward", "Layer norm, backward",
                                                 "Group norm, backward"};
    static const char *const names[EX_NORMS] = {"BN gradient", "LN gradient", "GN gradient"};
    nl_sheet_open(book, names[norm], titles[norm],
                  "From dy to dx, dgamma and dbeta, and one step of gamma and beta. gamma and beta "
                  "belong to channels in all three norms.");
    grids(book, norm, &e->gradient);
    sets(book, norm, &e->gradient);
    checks(book, norm, TOP + NEXT, &e->gradient);
    step(book, norm, TOP + 2 * NEXT, &e->gradient);
}
