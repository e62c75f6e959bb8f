/* The page's own tables: confusion matrices, the architecture, where the runs come from. */
#include <jansson.h> // json_dumps
#include <stdlib.h>  // free
#include <string.h>  // strcmp

#include "base/number.h"       // nl_json_precision
#include "normlab/confusion.h" // nl_mistakes_text
#include "normlab/model.h"     // nl_model_build
#include "page.h"
#include "report/text/text.h" // nl_table

/* ---- confusion ---- */

static uint32_t counts[NL_MAX_CLASSES][NL_MAX_CLASSES]; /* [label][prediction] of one variant */

/* Fills counts; the number of images. */
static long count_guesses(const nl_variant *variant, int *runs) {
    long images = 0;
    memset(counts, 0, sizeof counts);
    *runs = 0;
    for (int i = 0; i < variant->n_runs; i++) {
        const nl_seed_run *run = &variant->runs[i];
        *runs += run->n_guesses > 0;
        images += run->n_guesses;
        for (uint32_t k = 0; k < run->n_guesses; k++)
            counts[run->guesses[k].label][run->guesses[k].prediction]++;
    }
    return images;
}

static void class_cell(FILE *out, const char *scope, const nl_picture *picture, int label) {
    char number[12];
    fprintf(out, "<th scope=\"%s\"><span>", scope);
    nl_html(out, nl_class_name(picture, label, number));
    fputs("</span></th>", out);
}

static void matrix(FILE *out, const nl_picture *picture, int number) {
    const int classes = picture->classes;
    uint32_t most = 1;
    for (int t = 0; t < classes; t++)
        for (int p = 0; p < classes; p++)
            if (t != p && counts[t][p] > most) most = counts[t][p];
    fprintf(out,
            "<div class=\"scroll\"><table class=\"matrix%s\" id=\"confusion%d\"><thead><tr><td>"
            "</td>",
            picture->names[0][0] ? " named" : "", number);
    for (int p = 0; p < classes; p++) class_cell(out, "col", picture, p);
    fputs("</tr></thead><tbody>\n", out);
    for (int t = 0; t < classes; t++) {
        fputs("<tr>", out);
        class_cell(out, "row", picture, t);
        for (int p = 0; p < classes; p++) {
            if (t == p)
                fprintf(out, "<td class=\"d\">%u</td>", counts[t][p]);
            else if (counts[t][p] == 0)
                fputs("<td></td>", out);
            else
                fprintf(out, "<td style=\"--v:%.2f\">%u</td>", (double)counts[t][p] / (double)most,
                        counts[t][p]);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>", out);
}

/* Where a matrix would be too large: a row a class, the one with the most mistakes first. */
typedef struct class_row {
    int label;
    uint32_t images, wrong;
} class_row;

static int by_mistakes(const void *a, const void *b) {
    const class_row *x = a, *y = b;
    if (x->wrong != y->wrong) return x->wrong < y->wrong ? 1 : -1;
    return x->label - y->label;
}

static void list(FILE *out, const nl_picture *picture, int number) {
    static const char *const head[] = {"class", ">images", ">right %", "most often read as"};
    nl_table table = {.head = head, .columns = 4};
    class_row rows[NL_MAX_CLASSES];
    char id[32], name[12], mistakes[NL_MISTAKES_TEXT];
    for (int t = 0; t < picture->classes; t++) {
        rows[t] = (class_row){.label = t};
        for (int p = 0; p < picture->classes; p++) rows[t].images += counts[t][p];
        rows[t].wrong = rows[t].images - counts[t][t];
    }
    qsort(rows, (size_t)picture->classes, sizeof *rows, by_mistakes);
    for (int i = 0; i < picture->classes; i++) {
        const class_row *r = &rows[i];
        nl_mistakes_text(mistakes, picture, counts[r->label], r->label);
        nl_table_add(&table, "%s", nl_class_name(picture, r->label, name));
        nl_table_add(&table, "%u", r->images);
        if (r->images)
            nl_table_add(&table, "%.1f", 100.0 * (r->images - r->wrong) / r->images);
        else
            nl_table_add(&table, "–");
        nl_table_add(&table, "%s", mistakes);
    }
    snprintf(id, sizeof id, "confusion%d", number);
    fputs("<div class=\"tall\">", out);
    nl_table_html(out, &table, id);
    fputs("</div>", out);
    nl_table_free(&table);
}

bool nl_page_confusion(FILE *out, const nl_variant *variant, int number) {
    const nl_picture *picture = &variant->runs[0].config.data.picture;
    int runs;
    const long images = count_guesses(variant, &runs);
    if (runs == 0) return false;
    fputs(picture->classes > 12 ? "<div class=\"wide\"><h3>" : "<div><h3>", out);
    nl_html(out, variant->name);
    fprintf(out, "</h3><p class=\"note\">%s test images of %d run%s</p>\n",
            nl_thousands(images).text, runs, runs == 1 ? "" : "s");
    if (picture->classes > NL_MATRIX_CLASSES)
        list(out, picture, number);
    else
        matrix(out, picture, number);
    fputs("</div>\n", out);
    return true;
}

/* ---- architecture ---- */

static void count_cell(nl_table *table, const nl_model *model, int tensor, int times) {
    if (tensor < 0)
        nl_table_add(table, "%s", "");
    else
        nl_table_add(table, "%s", nl_thousands(times * model->tensors[tensor].count).text);
}

static void layer_row(nl_table *table, const nl_model *model, int i) {
    const nl_layer *l = &model->layers[i];
    nl_table_add(table, "%d", i + 1);
    if (l->kind == NL_LAYER_CONV)
        nl_table_add(table, "conv %dx%d%s%s%s", l->kernel, l->kernel, l->pad ? ", padded" : "",
                     l->gamma >= 0 ? ", norm" : "", l->relu ? ", ReLU" : "");
    else if (l->kind == NL_LAYER_MAX_POOL)
        nl_table_add(table, "max pool %dx%d%s", l->kernel, l->kernel,
                     l->dropout ? ", dropout" : "");
    else
        nl_table_add(table, "average pool");
    if (l->out_h == 1 && l->out_w == 1)
        nl_table_add(table, "%d", l->out_c);
    else
        nl_table_add(table, "%d × %d × %d", l->out_c, l->out_h, l->out_w);
    nl_table_add(table, "%d", l->rf);
    nl_table_add(table, "%d", l->jump);
    count_cell(table, model, l->weight, 1);
    count_cell(table, model, l->bias, 1);
    count_cell(table, model, l->gamma, 2);
    nl_table_add(table, "%s", l->macs ? nl_thousands(l->macs).text : "");
}

static void one_architecture(FILE *out, const nl_model *model, const char *names, int number) {
    static const char *const head[] = {">#",       "layer", ">output", ">receptive field", ">jump",
                                       ">weights", ">bias", ">norm",   ">multiply-adds"};
    nl_table table = {.head = head, .columns = 9};
    char id[32];
    snprintf(id, sizeof id, "architecture%d", number);
    for (int i = 0; i < model->n_layers; i++) layer_row(&table, model, i);
    fputs("<h3>", out);
    nl_html(out, names);
    fputs("</h3>\n", out);
    nl_table_html(out, &table, id);
    fprintf(out, "<p class=\"note\">%s parameters, %s multiply-adds an image forward.</p>\n",
            nl_thousands(model->n_params).text, nl_thousands(model->macs).text);
    nl_table_free(&table);
}

static bool build(nl_model *model, const nl_variant *variant) {
    return variant->has_config && nl_model_build(model, &variant->config, 0, NULL) == NL_OK;
}

/* One table for all variants whose networks have the same layers, parameters and work. */
bool nl_page_architecture(FILE *out, const nl_folder *folder) {
    const int n = folder->n_variants;
    nl_model *models = nl_alloc((size_t)n, sizeof *models, "models");
    bool *done = nl_alloc((size_t)n, sizeof *done, "models");
    bool any = false;
    for (int i = 0; i < n; i++) {
        done[i] = !build(&models[i], &folder->variants[i]);
        any = any || !done[i];
    }
    for (int i = 0; i < n; i++) {
        if (done[i]) continue;
        char *names = NULL;
        size_t size;
        FILE *list = nl_text_open(&names, &size);
        for (int j = i; j < n; j++) {
            if (done[j] || models[j].n_layers != models[i].n_layers ||
                models[j].n_params != models[i].n_params || models[j].macs != models[i].macs)
                continue;
            fprintf(list, "%s%s", j > i ? ", " : "", folder->variants[j].name);
            done[j] = true;
        }
        nl_text_close(list);
        one_architecture(out, &models[i], names, i);
        free(names);
    }
    free(models);
    free(done);
    return any;
}

/* ---- origin ---- */

static const char *text_at(const json_t *json, const char *first, const char *second) {
    const json_t *value = json_object_get(json, first);
    if (second) value = json_object_get(value, second);
    const char *text = json_string_value(value);
    return text ? text : "–";
}

static void origins(FILE *out, const nl_folder *folder) {
    static const char *const head[] = {"variant", ">seed",   "status",
                                       "device",  "normlab", "started"};
    nl_table table = {.head = head, .columns = 6};
    for (int i = 0; i < folder->n_variants; i++) {
        for (int j = 0; j < folder->variants[i].n_runs; j++) {
            const nl_seed_run *run = &folder->variants[i].runs[j];
            nl_table_add(&table, "%s", folder->variants[i].name);
            nl_table_add(&table, "%u", run->seed);
            nl_table_add(&table, "%s", text_at(run->info, "status", NULL));
            nl_table_add(&table, "%s", text_at(run->info, "device", "description"));
            nl_table_add(&table, "%s", text_at(run->info, "versions", "normlab"));
            nl_table_add(&table, "%s", text_at(run->info, "started", NULL));
        }
    }
    fputs("<details><summary>Devices and versions, run by run</summary>\n", out);
    nl_table_html(out, &table, "origins");
    fputs("</details>\n", out);
    nl_table_free(&table);
}

void nl_page_origin(FILE *out, const nl_folder *folder) {
    for (int i = 0; i < folder->n_variants; i++) {
        const nl_variant *variant = &folder->variants[i];
        if (!variant->has_config) continue;
        json_t *json = nl_config_to_json(&variant->config);
        char *text = json_dumps(json, JSON_INDENT(2) | nl_json_precision(json));
        NL_NEED(text);
        fputs("<details><summary>Config of ", out);
        nl_html(out, variant->name);
        fputs(", resolved</summary><pre>", out);
        nl_html(out, text);
        fputs("</pre></details>\n", out);
        free(text);
        json_decref(json);
    }
    origins(out, folder);
}
