/* What a report and an evaluation show of other pictures than MNIST's: their shape, colours, classes
 * and names. */
#include <criterion/criterion.h>
#include <jansson.h> // json_loads
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // strlen

#include "normlab/confusion.h" // nl_mistakes_text
#include "normlab/config.h"    // nl_picture_of_set
#include "support/idx_set.h"   // temp_dir_make
#include "support/picture_sets.h"
#include "support/program.h" // RUN_NORMLAB
#include "support/slurp.h"

enum { LETTERS = 1, CIFAR10, CIFAR100, SIGNS };

static char *dir, data[256], out[256];

/* Trains a set, with its report, and evaluates it. */
static program_result train_and_evaluate(int number, const char *json) {
    const picture_set *set = &picture_sets[number];
    char yaml[256], weights[512], *text = picture_set_config(set);
    dir = temp_dir_make();
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(yaml, sizeof yaml, "%s/x.yaml", dir);
    snprintf(weights, sizeof weights, "%s/x/seed-1/last.safetensors", out);
    idx_set_save(yaml, text, strlen(text), false);
    free(text);
    cr_assert(picture_set_write(set, data));
    program_result r =
        RUN_NORMLAB("train", yaml, "--data", data, "--out", out, "--device", "cpu", "--quiet");
    cr_assert_eq(r.code, 0, "%s", r.err);
    program_free(&r);
    r = RUN_NORMLAB("eval", weights, "--data", data, "--device", "cpu", json);
    cr_assert_eq(r.code, 0, "%s", r.err);
    return r;
}

/* A file of the report holds these words. */
static void shows(const char *file, const char *words) {
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "%s/report/%s", out, file);
    char *text = slurp(path, &size);
    cr_expect(strstr(text, words), "no '%s' in %s", words, file);
    free(text);
}

Test(picture_report, colours_and_names) {
    program_result r = train_and_evaluate(CIFAR10, "--json");
    json_t *json = json_loads(r.out, 0, NULL), *names = json_object_get(json, "class_names");
    cr_expect_eq(json_array_size(names), 10);
    cr_expect_str_eq(json_string_value(json_array_get(names, 9)), "truck");
    json_decref(json);
    program_free(&r);
    shows("index.html", "<table class=\"matrix named\" id=\"confusion0\">");
    shows("index.html", "<th scope=\"row\"><span>automobile</span></th>");
    shows("plots/misclassified_x.gp", "using 1:2:3:4:5 with rgbimage pixels");
    shows("plots/misclassified_x.gp", "set xrange [-0.5:31.5]\nset yrange [31.5:-0.5]");
    shows("plots/misclassified_x.gp", "'true ");
    shows("plots/misclassified_x.gp", "'read as ");
    shows("plots/misclassified_x.dat", "\n31 31 ");
    temp_dir_remove(dir);
}

Test(picture_report, letters_are_a_matrix_on_the_page_and_a_list_on_the_terminal) {
    program_result r = train_and_evaluate(LETTERS, "--split=test");
    cr_expect(strstr(r.out, "label  name  images  right %  most often read as\n    0  A "), "%s",
              r.out);
    cr_expect(strstr(r.out, "\n   25  Z "), "%s", r.out);
    program_free(&r);
    shows("index.html", "<div class=\"wide\">");
    shows("index.html", "<th scope=\"col\"><span>Z</span></th>");
    shows("plots/misclassified_x.gp", "matrix with image pixels");
    temp_dir_remove(dir);
}

Test(picture_report, many_classes_are_a_list) {
    program_result r = train_and_evaluate(SIGNS, "--split=test");
    cr_expect(strstr(r.out, "\n  255  sign 255"), "%s", r.out);
    program_free(&r);
    shows("index.html", "<div class=\"tall\">");
    shows("index.html", "most often read as");
    shows("index.html", "sign 255");
    shows("plots/misclassified_x.gp", "set xrange [-0.5:19.5]\nset yrange [11.5:-0.5]");
    temp_dir_remove(dir);
}

Test(picture_report, classes_without_names) {
    program_result r = train_and_evaluate(CIFAR100, "--split=test");
    cr_expect(strstr(r.out, "label  images  right %  most often read as\n    0 "), "%s", r.out);
    program_free(&r);
    shows("index.html", "most often read as");
    temp_dir_remove(dir);
}

Test(picture_report, commonest_mistakes) {
    static nl_picture picture;
    char text[NL_MISTAKES_TEXT];
    cr_assert(nl_picture_of_set(&picture, "cifar10"));
    const uint32_t row[10] = {2, 7, 9, 0, 3, 7, 100, 1, 0, 1};
    nl_mistakes_text(text, &picture, row, 6);
    cr_expect_str_eq(text, "bird (9), automobile (7), dog (7), 7 more");
    nl_mistakes_text(text, &picture, (uint32_t[10]){0, 5}, 1);
    cr_expect_str_eq(text, "");
    nl_mistakes_text(text, &picture, (uint32_t[10]){0, 5}, 0);
    cr_expect_str_eq(text, "automobile (5)");
}
