/* Ten misclassified test images a variant, two rows of five: those that the network was surest of,
 * because they tell most (a wrong label in the set, an odd way of writing, a real blind spot); with
 * the variants that, trained with the same seed, err on the same image.
 */
#include "grids.h"

#include <jansson.h> // json_object_get
#include <stdio.h>   // getline
#include <stdlib.h>  // qsort
#include <string.h>  // strcmp
#include <unistd.h>  // unlink

#include "gnuplot.h"
#include "report/text/text.h"   // nl_thousands
#include "normlab/checkpoint.h" // nl_path
#include "normlab/dataset.h"    // nl_dataset_load
#include "normlab/run_files.h"  // NL_REPORT_GRID
#include "report/runs/labels.h" // nl_text_width

enum { COLUMNS = 5, SHOWN = 10, width = 920, height = 600, head_height = 74, cell_height = 258 };

static char *path_of(const char *name, const char *dir, const char *suffix) {
    char *path = NULL;
    NL_NEED(asprintf(&path, "%s/" NL_REPORT_GRID "%s%s", dir, name, suffix) >= 0);
    return path;
}

char *nl_grid_path(const nl_variant *variant, const char *dir, const char *suffix) {
    return path_of(variant->name, dir, suffix);
}

const nl_seed_run *nl_grid_run(const nl_variant *variant) {
    for (int i = 0; i < variant->n_runs; i++)
        if (variant->runs[i].n_guesses > 0) return &variant->runs[i];
    return NULL;
}

/* ---- the data set ---- */

/* Are these files the ones that the run read? What it noted no checksum of may be. */
static bool are_those_of(const nl_dataset *data, const nl_seed_run *run) {
    const json_t *sums = json_object_get(json_object_get(run->info, "data"), "sha256");
    for (int i = 0; i < data->n_files; i++) {
        const char *sum = json_string_value(json_object_get(sums, data->files[i].name));
        if (sum && strcmp(sum, data->files[i].sha256) != 0) return false;
    }
    return true;
}

/* The set that the run saw: its folder, and checksums that still agree. */
static bool load_images(nl_dataset *data, const nl_seed_run *run) {
    char dir[4096];
    const nl_picture *picture = &run->config.data.picture;
    nl_dataset_default_dir(dir, sizeof dir, picture->set);
    const json_t *options = json_object_get(run->info, "options");
    const char *noted = json_string_value(json_object_get(options, "data"));
    nl_error err = {0};
    if (nl_dataset_load_part(data, noted ? noted : dir, picture, false, true, &err) != NL_OK &&
        nl_dataset_load_part(data, dir, picture, false, true, &err) != NL_OK) {
        nl_warn(err.where, "%s: no grids of misclassified images", err.what);
        return false;
    }
    if (are_those_of(data, run)) return true;
    nl_warn(data->dir, "not the images that the runs saw: no grids of misclassified images");
    nl_dataset_free(data);
    return false;
}

/* ---- the errors ---- */

static int by_certainty(const void *a, const void *b) {
    const nl_guess *x = a, *y = b;
    if (x->probability != y->probability) return x->probability < y->probability ? 1 : -1;
    return x->image < y->image ? -1 : 1;
}

/* All errors of a run, the surest first. The caller frees. */
static nl_guess *find_errors(const nl_seed_run *run, int *n) {
    nl_guess *errors = nl_alloc(run->n_guesses, sizeof *errors, "errors");
    *n = 0;
    for (uint32_t i = 0; i < run->n_guesses; i++)
        if (run->guesses[i].prediction != run->guesses[i].label) errors[(*n)++] = run->guesses[i];
    qsort(errors, (size_t)*n, sizeof *errors, by_certainty);
    return errors;
}

static int by_image(const void *key, const void *element) {
    const uint32_t image = *(const uint32_t *)key, other = ((const nl_guess *)element)->image;
    return (image > other) - (image < other);
}

/* "also: ln, gn"; how many more where they would not fit. */
static void name_others(char *text, size_t size, const nl_figures *figures, const nl_row *self,
                        uint32_t seed, uint32_t image) {
    int wrong = 0, asked = 0, left_out = 0;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < figures->n_rows; i++) {
        const nl_row *row = &figures->rows[i];
        const nl_seed_run *run = row == self ? NULL : nl_variant_run(row->variant, seed);
        if (!run || run->n_guesses == 0) continue;
        asked++;
        const nl_guess *guess =
            bsearch(&image, run->guesses, run->n_guesses, sizeof *guess, by_image);
        if (!guess || guess->prediction == guess->label) continue;
        const bool fits = used + (size_t)nl_text_width(row->variant->label.text) < 20;
        if (fits || wrong == 0)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     wrong ? ", " : "also: ", row->variant->label.text);
        else
            left_out++;
        wrong++;
    }
    if (left_out > 0)
        snprintf(text + used, size - used, " +%d", left_out);
    else if (asked > 0 && wrong == 0)
        snprintf(text, size, "no other variant");
}

/* ---- drawing ---- */

static void write_pixels(const nl_variant *variant, const nl_guess *errors, int n,
                         const nl_dataset *data, const char *dir) {
    const nl_image_shape shape = data->picture.shape;
    nl_script pixels;
    nl_script_open(&pixels);
    for (int i = 0; i < n; i++) {
        const uint8_t *image =
            data->test.images + (size_t)errors[i].image * (size_t)nl_image_bytes(shape);
        fprintf(pixels.out, "%s# test image %u\n", i ? "\n\n" : "", errors[i].image);
        const int size = nl_image_pixels(shape);
        for (int p = 0; p < size; p++)
            if (shape.channels == 1)
                fprintf(pixels.out, "%d%c", image[p], (p + 1) % shape.width ? ' ' : '\n');
            else /* red, green and, where there is one, blue; of four channels the first three */
                fprintf(pixels.out, "%d %d %d %d %d\n", p % shape.width, p / shape.width, image[p],
                        image[size + p], shape.channels > 2 ? image[2 * size + p] : 0);
    }
    /* below dir/plots: cut the folder off */
    char *name = nl_grid_path(variant, NL_REPORT_PLOTS, ".dat");
    nl_script_save(&pixels, dir, name + strlen(NL_REPORT_PLOTS "/"), "");
    free(name);
}

/* "read as ankle boot": a name is cut where it would reach into the next cell. */
static void write_class(FILE *out, int label_number, double x, double y, const char *before,
                        const nl_picture *picture, int label) {
    enum { MOST = 16 };
    char number[12], text[80];
    const char *name = nl_class_name(picture, label, number);
    size_t end = 0;
    for (int n = 0; name[end] && n < MOST; n++) /* a character is a byte and those that go on */
        for (end++; ((unsigned char)name[end] & 0xC0) == 0x80;) end++;
    snprintf(text, sizeof text, "%s%.*s%s", before, (int)end, name, name[end] ? "…" : "");
    fprintf(out, "set label %d ", label_number);
    nl_gnuplot_quote(out, text);
    fprintf(out, " at screen %.4f, screen %.4f tc rgb '" NL_INK "'\n", x / width, y / height);
}

static void write_cell(FILE *out, const char *pixels, const nl_guess *guess, const char *others,
                       const nl_picture *picture, int i) {
    const nl_image_shape shape = picture->shape;
    const bool named = picture->names[0][0];
    const double side = 158, left = 20 + (i % COLUMNS) * 178,
                 top = height - head_height - (named ? 38 : 28) - (i / COLUMNS) * cell_height;
    const double scale = side / nl_image_side(shape); /* in the middle of the cell's square */
    const double w = scale * shape.width, h = scale * shape.height;
    const double x = left + (side - w) / 2, y = top - (side - h) / 2;
    fprintf(out,
            "set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
            "set tmargin at screen %.4f\nset bmargin at screen %.4f\n",
            x / width, (x + w) / width, y / height, (y - h) / height);
    if (named) {
        write_class(out, 3, left, top + 0.19 * side, "true ", picture, guess->label);
        write_class(out, 6, left, top + 0.07 * side, "read as ", picture, guess->prediction);
    } else {
        fprintf(out,
                "set label 3 'true %d, read as %d' at screen %.4f, screen %.4f tc rgb '" NL_INK
                "'\n",
                guess->label, guess->prediction, left / width, (top + 0.08 * side) / height);
    }
    fprintf(out,
            "set label 4 '%.1f %% sure' at screen %.4f, screen %.4f tc rgb '" NL_INK "'\n"
            "set label 5 ",
            100 * guess->probability, left / width, (top - 1.09 * side) / height);
    nl_gnuplot_quote(out, others);
    fprintf(out, " at screen %.4f, screen %.4f tc rgb '" NL_SOFT "'\nplot ", left / width,
            (top - 1.22 * side) / height);
    nl_gnuplot_quote(out, pixels);
    fprintf(out,
            shape.channels == 1 ? " index %d matrix with image pixels\n"
                                : " index %d using 1:2:3:4:5 with rgbimage pixels\n",
            i);
    if (i == 0) fputs("unset label 1\nunset label 2\n", out);
}

static void draw(const nl_figures *figures, const nl_row *row, const nl_seed_run *run,
                 const nl_dataset *data, const char *dir) {
    const nl_variant *variant = row->variant;
    int n;
    nl_guess *errors = find_errors(run, &n);
    const int shown = n < SHOWN ? n : SHOWN;
    char *pixels = nl_grid_path(variant, NL_REPORT_PLOTS, ".dat");
    char *name = nl_grid_path(variant, NL_REPORT_PLOTS, "");
    char title[400], subtitle[200];
    snprintf(title, sizeof title, "Misclassified by %s", row->variant->label.text);
    snprintf(subtitle, sizeof subtitle,
             "seed %u: %d of %s test images; the %d it was surest of, and who errs on them too",
             run->seed, n, nl_thousands(run->n_guesses).text, shown);
    write_pixels(variant, errors, shown, data, dir);
    nl_script script;
    nl_script_open(&script);
    nl_gnuplot_head(script.out, name + strlen(NL_REPORT_PLOTS "/"), "png", width, height);
    nl_gnuplot_title(script.out, height, title, subtitle);
    fputs("unset tics\nset border 15 lc rgb '" NL_GRID "'\nunset colorbox\n"
          "set palette defined (0 '#ffffff', 1 '#222222')\nset cbrange [0:255]\n",
          script.out);
    fprintf(script.out, "set xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\nset multiplot\n",
            data->picture.shape.width - 1, data->picture.shape.height - 1);
    if (shown == 0) fputs("set label 3 'none' at screen 0.02, screen 0.8\nplot NaN\n", script.out);
    for (int i = 0; i < shown; i++) {
        char others[200];
        name_others(others, sizeof others, figures, row, run->seed, errors[i].image);
        write_cell(script.out, pixels, &errors[i], others, &run->config.data.picture, i);
    }
    fputs("unset multiplot\n", script.out);
    nl_gnuplot_tail(script.out);
    if (nl_script_save(&script, dir, name + strlen(NL_REPORT_PLOTS "/"), ".gp"))
        nl_gnuplot_start(dir, name + strlen(NL_REPORT_PLOTS "/"), false);
    free(pixels);
    free(name);
    free(errors);
}

void nl_grids_draw(const nl_figures *figures, const char *dir) {
    nl_dataset data = {0};
    bool loaded = false, tried = false;
    for (int i = 0; i < figures->n_shown; i++) {
        const nl_row *row = &figures->rows[figures->shown[i]];
        const nl_variant *variant = row->variant;
        const nl_seed_run *run = nl_grid_run(variant);
        if (!run) continue;
        if (!tried) loaded = load_images(&data, run);
        tried = true;
        /* Images come in rising order: the last has the largest number. */
        if (!loaded) continue;
        if (run->guesses[run->n_guesses - 1].image < data.test.count)
            draw(figures, row, run, &data, dir);
        else
            nl_warn(variant->name, "predictions of images that the data set does not have");
    }
    if (loaded) nl_dataset_free(&data);
}
