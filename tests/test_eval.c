/* normlab eval as a user runs it: its numbers against a recount from the logits it writes and
 * against PyTorch, its JSON, and what it says to wrong input. */
#include <criterion/criterion.h>
#include <jansson.h> // json_loads
#include <math.h>    // exp, log
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free
#include <string.h>  // memcpy, strstr
#include <unistd.h>  // unlink

#include "normlab/checkpoint.h"
#include "normlab/dataset.h" // nl_file_name
#include "normlab/philox.h"  // nl_philox4x32
#include "support/idx_set.h"
#include "support/program.h"
#include "support/slurp.h"

enum { TRAIN = 60, TEST = 143 }; /* no multiple of a batch */

typedef struct fixture {
    char *dir;
    char checkpoint[512], logits[512];
} fixture;

/* A checkpoint of a config with initial weights; gamma, beta and running values are moved off
 * their 1 and 0, so that nothing hides. */
static void write_checkpoint(const char *path, const char *name, float poison) {
    nl_config *config = nl_alloc(1, sizeof *config, "test");
    nl_model *model = nl_alloc(1, sizeof *model, "test");
    nl_error err = {0};
    char file[512];
    snprintf(file, sizeof file, NL_SOURCE_DIR "/configs/%s.yaml", name);
    cr_assert(nl_config_load(config, file, &err) == NL_OK, "%s", err.what);
    cr_assert(nl_model_build(model, config, 0, &err) == NL_OK, "%s", err.what);
    float *params = nl_alloc((size_t)model->params_size, sizeof *params, "test");
    float *buffers = nl_alloc((size_t)model->buffers_size, sizeof *buffers, "test");
    nl_model_init(model, params, buffers, 3);
    for (int i = 0; i < model->n_tensors; i++) {
        const nl_tensor *tensor = &model->tensors[i];
        if (strncmp(tensor->name, "norm", 4) != 0) continue;
        float *values = (tensor->buffer ? buffers : params) + tensor->offset;
        for (int64_t k = 0; k < tensor->count; k++) {
            const uint32_t word = nl_philox4x32((uint32_t)k, (uint32_t)i, 0, 0, 4, 4).v[0];
            values[k] += 0.5f * (float)word / 4294967296.0f;
        }
    }
    params[0] += poison;
    cr_assert(nl_checkpoint_write(path, config, model, params, buffers, &err) == NL_OK);
    free(params), free(buffers), free(model), free(config);
}

static void set_up(fixture *f, const char *config) {
    f->dir = temp_dir_make();
    snprintf(f->checkpoint, sizeof f->checkpoint, "%s/c.safetensors", f->dir);
    snprintf(f->logits, sizeof f->logits, "%s/logits.safetensors", f->dir);
    idx_set_write(f->dir, TRAIN, TEST, false);
    write_checkpoint(f->checkpoint, config, 0);
}

static json_t *parse_result(const program_result *r) {
    cr_assert(r->code == 0, "exit code %d: %s", r->code, r->err);
    json_t *json = json_loads(r->out, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(json, "not JSON: %s", r->out);
    return json;
}

/* ---- numbers -------------------------------------------------------------------------------- */

typedef struct recount {
    double loss, accuracy;
    int confusion[10][10];
} recount;

/* Everything again from the logits file. */
static recount count_again(const char *path, uint32_t images) {
    nl_archive archive;
    nl_error err = {0};
    cr_assert(nl_archive_read(&archive, path, &err) == NL_OK, "%s", err.what);
    const nl_blob *logits = nl_archive_find(&archive, "logits");
    const nl_blob *labels = nl_archive_find(&archive, "labels");
    cr_assert(logits && logits->shape[0] == images && logits->shape[1] == 10);
    cr_assert(labels && labels->shape[0] == images);
    recount c = {0};
    for (uint32_t i = 0; i < images; i++) {
        const float *z = (const float *)logits->data + 10 * i;
        const int label = ((const uint8_t *)labels->data)[i];
        int best = 0;
        double sum = 0;
        for (int k = 0; k < 10; k++) {
            if (z[k] > z[best]) best = k;
            sum += exp((double)z[k] - (double)z[label]);
        }
        c.loss += log(sum) / images;
        c.accuracy += best == label ? 100.0 / images : 0;
        c.confusion[label][best]++;
    }
    nl_archive_free(&archive);
    return c;
}

static void check_against_recount(const fixture *f, const char *split, uint32_t images) {
    program_result r = RUN_NORMLAB("eval", f->checkpoint, "--data", f->dir, "--device", "cpu64",
                                   "--json", "--split", split, "--logits", f->logits);
    json_t *json = parse_result(&r);
    const recount want = count_again(f->logits, images);
    const char *got_split;
    int got_images;
    double loss, accuracy;
    json_t *per_class, *confusion;
    cr_assert(json_object_size(json) == 6);
    cr_assert(json_unpack(json, "{s:s, s:i, s:F, s:F, s:o, s:o}", "split", &got_split, "images",
                          &got_images, "loss", &loss, "accuracy", &accuracy, "per_class",
                          &per_class, "confusion", &confusion) == 0);
    cr_assert_str_eq(got_split, split);
    cr_assert(got_images == (int)images);
    cr_assert(fabs(loss - want.loss) < 1e-6 * want.loss, "%.12g, recounted %.12g", loss, want.loss);
    cr_assert(fabs(accuracy - want.accuracy) < 1e-6, "%g, recounted %g", accuracy, want.accuracy);
    cr_assert(json_array_size(per_class) == 10 && json_array_size(confusion) == 10);
    for (size_t label = 0; label < 10; label++) {
        const json_t *row = json_array_get(confusion, label);
        int count = 0;
        for (size_t k = 0; k < 10; k++) {
            const int cell = want.confusion[label][k];
            cr_assert(json_integer_value(json_array_get(row, k)) == cell, "%zu as %zu", label, k);
            count += cell;
        }
        const double share = json_number_value(json_array_get(per_class, label));
        cr_assert(fabs(share - 100.0 * want.confusion[label][label] / count) < 1e-6);
    }
    json_decref(json);
    program_free(&r);
}

Test(eval, counts_loss_accuracy_and_confusion) {
    fixture f;
    set_up(&f, "gn");
    check_against_recount(&f, "test", TEST);
    check_against_recount(&f, "train", TRAIN);
    temp_dir_remove(f.dir);
}

/* A machine that only scores has no training files; either split is evaluated from its own two. */
Test(eval, needs_the_files_of_its_split_alone) {
    static const char *const splits[] = {"test", "train"}, *const devices[] = {"cpu", "cpu64"};
    fixture f;
    set_up(&f, "bn");
    for (int split = 0; split < 2; split++)
        for (int d = 0; d < 2; d++) {
            char all[1024];
            const char *const argv[] = {NL_PROGRAM,    "eval",   f.checkpoint, "--split",
                                        splits[split], "--data", f.dir,        "--device",
                                        devices[d],    "--json", NULL};
            idx_set_write(f.dir, TRAIN, TEST, false);
            program_result r = program_run(argv, 300);
            cr_assert(r.code == 0, "%s", r.err);
            snprintf(all, sizeof all, "%s", r.out);
            program_free(&r);
            for (int file = 0; file < NL_FILES; file++) {
                char path[600];
                snprintf(path, sizeof path, "%s/%s", f.dir, nl_file_name((enum nl_file)file));
                if ((file < NL_TEST_IMAGES) == (split == 0)) cr_assert(unlink(path) == 0);
            }
            r = program_run(argv, 300);
            cr_assert(r.code == 0, "%s", r.err);
            cr_assert_str_eq(r.out, all);
            program_free(&r);
        }
    temp_dir_remove(f.dir);
}

/* The logits of a device into a new array. */
static float *logits_of(const fixture *f, const char *device) {
    program_result r = RUN_NORMLAB("eval", f->checkpoint, "--data", f->dir, "--device", device,
                                   "--logits", f->logits);
    cr_assert(r.code == 0, "%s", r.err);
    program_free(&r);
    nl_archive archive;
    cr_assert(nl_archive_read(&archive, f->logits, NULL) == NL_OK);
    float *logits = nl_alloc(TEST * 10, sizeof *logits, "test");
    memcpy(logits, nl_archive_find(&archive, "logits")->data, TEST * 10 * sizeof *logits);
    nl_archive_free(&archive);
    return logits;
}

/* The table holds the same floats as the tensors, read back from their text. */
Test(eval, writes_logits_as_a_table) {
    fixture f;
    set_up(&f, "bn");
    float *tensors = logits_of(&f, "cpu");
    char table[600];
    snprintf(table, sizeof table, "%s/l.csv", f.dir);
    program_result r =
        RUN_NORMLAB("eval", f.checkpoint, "--data", f.dir, "--device", "cpu", "--logits", table);
    cr_assert(r.code == 0, "%s", r.err);
    program_free(&r);
    size_t size = 0;
    char *text = slurp(table, &size), *rest = text;
    cr_assert_str_eq(strsep(&rest, "\n"), "image,label,logit_0,logit_1,logit_2,logit_3,logit_4,"
                                          "logit_5,logit_6,logit_7,logit_8,logit_9");
    for (long i = 0; i < TEST; i++) {
        char *line = strsep(&rest, "\n");
        cr_assert(line && strtol(strsep(&line, ","), NULL, 10) == i);
        cr_assert(line && strtol(strsep(&line, ","), NULL, 10) == i % 10, "label of %ld", i);
        for (int k = 0; k < 10; k++) {
            const char *cell = strsep(&line, ",");
            cr_assert(cell && strtof(cell, NULL) == tensors[10 * i + k], "image %ld: %s", i, cell);
        }
        cr_assert(!line, "image %ld has more columns", i);
    }
    cr_assert(rest && !*rest);
    free(tensors), free(text);
    temp_dir_remove(f.dir);
}

Test(eval, gives_the_same_logits_in_float_and_double) {
    static const char *const names[] = {"bn", "ln", "gn", "none"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        fixture f;
        set_up(&f, names[n]);
        float *narrow = logits_of(&f, "cpu"), *wide = logits_of(&f, "cpu64");
        for (int i = 0; i < TEST * 10; i++) {
            const double off = fabs((double)narrow[i] - (double)wide[i]);
            cr_assert(off <= 1e-5, "%s: logit %d: %g, %g", names[n], i, narrow[i], wide[i]);
        }
        free(narrow), free(wide);
        temp_dir_remove(f.dir);
    }
}

Test(eval, agrees_with_pytorch) {
    static const char *const names[] = {"bn_l1", "ln", "gn", "none"};
    const char *const find[] = {"/bin/bash", NL_SOURCE_DIR "/tests/support/torch_python.sh", NULL};
    program_result r = program_run(find, 60);
    const bool there = r.code == 0;
    char python[512];
    snprintf(python, sizeof python, "%.*s", (int)strcspn(r.out, "\n"), r.out);
    program_free(&r);
    if (!there) cr_skip_test("%s", python);
    fixture f;
    set_up(&f, "gn");
    char paths[4][512];
    for (size_t n = 0; n < 4; n++) {
        snprintf(paths[n], sizeof paths[n], "%s/%s", f.dir, names[n]);
        write_checkpoint(paths[n], names[n], 0);
    }
    const char *script = NL_SOURCE_DIR "/tests/golden/torch_net.py";
    const char *const argv[] = {python,   script,   NL_PROGRAM, f.dir, paths[0],
                                paths[1], paths[2], paths[3],   NULL};
    r = program_run(argv, 600);
    cr_assert(r.code == 0, "%s%s", r.out, r.err);
    program_free(&r);
    temp_dir_remove(f.dir);
}

/* ---- output --------------------------------------------------------------------------------- */

Test(eval, writes_null_for_what_is_not_finite) {
    fixture f;
    set_up(&f, "gn");
    write_checkpoint(f.checkpoint, "gn", NAN);
    program_result r = RUN_NORMLAB("eval", f.checkpoint, "--data", f.dir, "--json");
    json_t *json = parse_result(&r);
    cr_assert(json_is_null(json_object_get(json, "loss")), "%s", r.out);
    json_decref(json);
    program_free(&r);
    temp_dir_remove(f.dir);
}

Test(eval, prints_a_table) {
    fixture f;
    set_up(&f, "gn");
    program_result r = RUN_NORMLAB("eval", f.checkpoint, "--data", f.dir, "--device", "cpu");
    cr_assert(r.code == 0 && r.err[0] == '\0', "%s", r.err);
    cr_assert(strstr(r.out, "loss      ") && strstr(r.out, "accuracy  "), "%s", r.out);
    size_t width = 0; /* the header of the matrix and its ten rows are of one length */
    int rows = 0;
    for (char *line = strstr(r.out, "       0"); line && *line; line = strchr(line, '\n') + 1) {
        while (line > r.out && line[-1] != '\n') line--;
        const size_t length = strcspn(line, "\n");
        if (rows == 0) width = length;
        cr_assert(length == width, "row %d: %.*s", rows, (int)length, line);
        rows++;
    }
    cr_assert(rows == 11, "%d rows: %s", rows, r.out);
    program_free(&r);
    temp_dir_remove(f.dir);
}

/* ---- wrong input ---------------------------------------------------------------------------- */

/* Runs eval with these arguments; the exit code, and what standard error must hold. */
#define EXPECT_ERROR(want, text, ...)                                                              \
    do {                                                                                           \
        program_result result_ = RUN_NORMLAB("eval", __VA_ARGS__);                                 \
        cr_assert(result_.code == (want), "exit code %d: %s", result_.code, result_.err);          \
        cr_assert(strstr(result_.err, text), "%s is not in: %s", text, result_.err);               \
        cr_assert(result_.out[0] == '\0', "nothing on standard output: %s", result_.out);          \
        program_free(&result_);                                                                    \
    } while (0)

Test(eval, refuses_wrong_arguments) {
    fixture f;
    set_up(&f, "gn");
    EXPECT_ERROR(2, "normlab: eval: needs a checkpoint", "--json");
    EXPECT_ERROR(2, "one argument too many", f.checkpoint, f.checkpoint);
    EXPECT_ERROR(2, "--split: 'valid': must be test or train", f.checkpoint, "--split", "valid");
    EXPECT_ERROR(2, "--device: 'gpu'", f.checkpoint, "--device", "gpu", "--data", f.dir);
    EXPECT_ERROR(2, "did you mean --split", f.checkpoint, "--spilt", "test");
    EXPECT_ERROR(2, "needs a value", f.checkpoint, "--data");
    temp_dir_remove(f.dir);
}

Test(eval, refuses_bad_checkpoints_and_data) {
    fixture f;
    set_up(&f, "gn");
    EXPECT_ERROR(3, "no.safetensors: cannot open", "no.safetensors", "--data", f.dir);
    EXPECT_ERROR(3, "is a folder", f.dir, "--data", f.dir);
    EXPECT_ERROR(3, "no such folder", f.checkpoint, "--data", "/nonexistent");
    EXPECT_ERROR(3, "scripts/fetch-data.sh mnist", f.checkpoint, "--data", "/");
    const char *readme = NL_SOURCE_DIR "/LICENSE";
    EXPECT_ERROR(3, "header length", readme, "--data", f.dir);
    EXPECT_ERROR(6, "/nonexistent/l.csv: cannot write", f.checkpoint, "--data", f.dir, "--device",
                 "cpu", "--logits", "/nonexistent/l.csv");
    static const char *const endings[] = {"l", "l.txt", "l.csv.gz", "l.npy", "csv"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        EXPECT_ERROR(2, "ends neither in .csv nor in .safetensors", f.checkpoint, "--data", f.dir,
                     "--logits", endings[i]);

    /* Weights without their config, and a config that makes no network. */
    nl_archive archive;
    cr_assert(nl_archive_read(&archive, f.checkpoint, NULL) == NL_OK);
    json_object_del(archive.metadata, "config");
    nl_archive_write(f.checkpoint, archive.blobs, archive.n_blobs, archive.metadata, NULL);
    EXPECT_ERROR(3, "__metadata__: no config", f.checkpoint, "--data", f.dir);
    const char *wrong = "{\"model\":{\"norm\":\"none\",\"layers\":[{\"conv\":3,\"kernel\":99}]}}";
    json_object_set_new(archive.metadata, "config", json_string(wrong));
    nl_archive_write(f.checkpoint, archive.blobs, archive.n_blobs, archive.metadata, NULL);
    EXPECT_ERROR(3, "c.safetensors: ", f.checkpoint, "--data", f.dir);
    nl_archive_free(&archive);
    temp_dir_remove(f.dir);
}
