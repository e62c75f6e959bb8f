/* Prints what an evaluation found; see eval_results.h. */
#include "eval_results.h"

#include <jansson.h> // json_t
#include <math.h>    // NAN
#include <stdio.h>   // printf
#include <string.h>  // strlen

#include "base/number.h"       // nl_json_number
#include "normlab/confusion.h" // nl_mistakes_text
#include "normlab/error.h"     // NL_NEED

enum { MATRIX_CLASSES = 12 }; /* of so many a confusion matrix is printed */

static uint32_t count_label(const eval_results *e, int label) {
    uint32_t count = 0;
    for (int k = 0; k < e->picture->classes; k++) count += e->confusion[label][k];
    return count;
}

static uint32_t count_right(const eval_results *e) {
    uint32_t count = 0;
    for (int k = 0; k < e->picture->classes; k++) count += e->confusion[k][k];
    return count;
}

/* Per cent; NaN where there is nothing to count. */
static double percent(uint32_t part, uint32_t whole) {
    return whole ? 100.0 * part / whole : NAN;
}

void eval_print_json(const eval_results *e) {
    json_t *per_class = json_array(), *confusion = json_array();
    for (int label = 0; label < e->picture->classes; label++) {
        const double accuracy = percent(e->confusion[label][label], count_label(e, label));
        json_t *row = json_array();
        for (int k = 0; k < e->picture->classes; k++) {
            json_array_append_new(row, json_integer(e->confusion[label][k]));
        }
        json_array_append_new(per_class, nl_json_number(accuracy));
        json_array_append_new(confusion, row);
    }
    json_t *object =
        json_pack("{s:s, s:I, s:o, s:o, s:o, s:o}", "split", e->train ? "train" : "test", "images",
                  (json_int_t)e->images, "loss", nl_json_number(e->loss), "accuracy",
                  nl_json_number(percent(count_right(e), e->images)), "per_class", per_class,
                  "confusion", confusion);
    NL_NEED(object);
    json_t *names = json_array();
    for (int k = 0; k < nl_picture_names(e->picture); k++)
        json_array_append_new(names, json_string(e->picture->names[k]));
    if (json_array_size(names) > 0)
        json_object_set_new(object, "class_names", names);
    else
        json_decref(names);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(object);
}

/* A line a class: a matrix of many would be wider than any terminal. */
static void print_list(const eval_results *e) {
    const nl_picture *picture = e->picture;
    int width = *picture->names[0] ? (int)sizeof "name " : 0; /* of the names */
    for (int label = 0; label < picture->classes; label++)
        if (*picture->names[label] && (int)strlen(picture->names[label]) + 2 > width)
            width = (int)strlen(picture->names[label]) + 2;
    printf("label  %-*simages  right %%  most often read as\n", width, width ? "name" : "");
    for (int label = 0; label < picture->classes; label++) {
        const uint32_t count = count_label(e, label);
        char mistakes[NL_MISTAKES_TEXT], share[16] = "-";
        nl_mistakes_text(mistakes, picture, e->confusion[label], label);
        if (count)
            snprintf(share, sizeof share, "%.2f", percent(e->confusion[label][label], count));
        printf("%5d  %-*s%6u%9s%s%s\n", label, width, picture->names[label], count, share,
               *mistakes ? "  " : "", mistakes);
    }
}

void eval_print_text(const eval_results *e, const char *checkpoint) {
    const uint32_t right = count_right(e), images = e->images;
    printf("%s on the %s images\n\n", checkpoint, e->train ? "training" : "test");
    printf("loss      %.6f\n", e->loss);
    printf("accuracy  %.2f %%  (%u of %u)\n\n", percent(right, images), right, images);
    if (e->picture->classes > MATRIX_CLASSES) {
        print_list(e);
        return;
    }
    printf("label   predicted as\n       ");
    for (int k = 0; k < e->picture->classes; k++) printf("%7d", k);
    printf("%9s%9s\n", "images", "right %");
    for (int label = 0; label < e->picture->classes; label++) {
        const uint32_t count = count_label(e, label);
        printf("%5d  ", label);
        for (int k = 0; k < e->picture->classes; k++) printf("%7u", e->confusion[label][k]);
        printf("%9u", count);
        if (count)
            printf("%9.2f", percent(e->confusion[label][label], count));
        else
            printf("%9s", "-");
        const char *name = e->picture->names[label];
        printf("%s%s\n", *name ? "  " : "", name);
    }
}
