/* Weights that another program wrote: any order of names and data, any or no metadata, the types
 * that other programs keep weights in, the counters of a state dict. The files are written here by
 * the format's text, not by normlab's writer. */
#include <criterion/criterion.h>
#include <jansson.h> // json_pack
#include <math.h>    // isnan
#include <stdio.h>   // snprintf
#include <stdlib.h>  // free, qsort
#include <string.h>  // memcmp

#include "normlab/checkpoint.h"
#include "support/config_text.h"
#include "support/idx_set.h"
#include "support/program.h"

enum { DATA_SIZE = 1 << 20 };

/* A file under construction. */
typedef struct foreign {
    char *dir, path[512];
    nl_config config;
    nl_model model;
    json_t *header;
    unsigned char *data; /* (DATA_SIZE) */
    size_t size;
} foreign;

static void begin(foreign *f, const char *name) {
    nl_error err = {0};
    memset(f, 0, sizeof *f);
    f->dir = temp_dir_make();
    snprintf(f->path, sizeof f->path, "%s/w.safetensors", f->dir);
    config_text_variant(&f->config, NL_SOURCE_DIR, name, (const char *const[]){NULL});
    cr_assert(nl_model_build(&f->model, &f->config, 0, &err) == NL_OK, "%s", err.what);
    f->header = json_object();
    f->data = nl_alloc(DATA_SIZE, 1, "test");
}

static void end(foreign *f) {
    json_decref(f->header);
    free(f->data);
    temp_dir_remove(f->dir);
}

static void add(foreign *f, const char *name, const char *dtype, const int64_t *shape, int rank,
                const void *bytes, size_t size) {
    json_t *sizes = json_array();
    for (int i = 0; i < rank; i++) json_array_append_new(sizes, json_integer(shape[i]));
    json_object_set_new(f->header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", sizes,
                                  "data_offsets", (json_int_t)f->size,
                                  (json_int_t)(f->size + size)));
    cr_assert(f->size + size <= DATA_SIZE);
    memcpy(f->data + f->size, bytes, size);
    f->size += size;
}

/* Names sorted, as Python's writer has them; no padding of the header. */
static void save(const foreign *f) {
    char *text = json_dumps(f->header, JSON_COMPACT | JSON_SORT_KEYS);
    const uint64_t length = strlen(text);
    FILE *file = fopen(f->path, "wb");
    cr_assert(file && fwrite(&length, sizeof length, 1, file) == 1);
    cr_assert(fwrite(text, 1, length, file) == length);
    cr_assert(fwrite(f->data, 1, f->size, file) == f->size && fclose(file) == 0);
    free(text);
}

/* Value `k` of tensor `i`: exact in every type. */
static float value(int i, int64_t k) {
    return (float)((k * 7 + i * 5) % 33 - 16) / 8;
}

/* A float whose lower half is 0, as BF16; and as F16 where it is a multiple of 1/8 below 4. */
static uint16_t to_brain(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static uint16_t to_half(float x) {
    int exponent;
    if (x == 0) return 0;
    const float fraction = frexpf(fabsf(x), &exponent); /* 0.5 to 1 */
    return (uint16_t)((x < 0) << 15 | (exponent + 14) << 10 | ((int)(fraction * 2048) - 1024));
}

/* All tensors of the model, the last first, as elements of this type. */
static void add_model(foreign *f, const char *dtype) {
    for (int i = f->model.n_tensors - 1; i >= 0; i--) {
        const nl_tensor *tensor = &f->model.tensors[i];
        const size_t count = (size_t)tensor->count;
        const size_t size = strcmp(dtype, "F64") == 0 ? 8 : strcmp(dtype, "F32") == 0 ? 4 : 2;
        unsigned char *bytes = nl_alloc(count, size, "test");
        for (size_t k = 0; k < count; k++) {
            const float x = value(i, (int64_t)k);
            const double wide = (double)x;
            const uint16_t narrow = strcmp(dtype, "F16") == 0 ? to_half(x) : to_brain(x);
            memcpy(bytes + k * size,
                   size == 8   ? (const void *)&wide
                   : size == 4 ? (const void *)&x
                               : (const void *)&narrow,
                   size);
        }
        add(f, tensor->name, dtype, tensor->shape, tensor->rank, bytes, count * size);
        free(bytes);
    }
}

typedef struct arenas {
    float *params, *buffers;
    bool sealed;
    nl_error err;
} arenas;

static int read_file(arenas *a, const foreign *f) {
    *a = (arenas){.params = nl_alloc((size_t)f->model.params_size, sizeof(float), "test"),
                  .buffers = nl_alloc((size_t)f->model.buffers_size, sizeof(float), "test")};
    return nl_checkpoint_read(f->path, &f->model, a->params, a->buffers, &a->sealed, &a->err);
}

static void release(arenas *a) {
    free(a->params);
    free(a->buffers);
}

static void expect_values(const foreign *f, const char *what) {
    arenas a;
    cr_assert(read_file(&a, f) == NL_OK, "%s: %s", what, a.err.what);
    cr_expect_not(a.sealed, "%s", what);
    for (int i = 0; i < f->model.n_tensors; i++) {
        const nl_tensor *tensor = &f->model.tensors[i];
        const float *got = (tensor->buffer ? a.buffers : a.params) + tensor->offset;
        for (int64_t k = 0; k < tensor->count; k++)
            cr_assert(got[k] == value(i, k), "%s: %s[%lld]: %g, not %g", what, tensor->name,
                      (long long)k, got[k], value(i, k));
    }
    release(&a);
}

Test(foreign_weights, of_every_floating_type) {
    static const char *const types[] = {"F32", "F64", "F16", "BF16"};
    for (int i = 0; i < 4; i++) {
        foreign f;
        begin(&f, "bn");
        add(&f, "norm3.num_batches_tracked", "I64", NULL, 0, "\1\2\3\4\5\6\7", 8);
        add_model(&f, types[i]);
        save(&f);
        expect_values(&f, types[i]);
        end(&f);
    }
}

Test(foreign_weights, with_any_metadata) {
    static const char *const texts[] = {"{}", "{\"format\":\"pt\"}",
                                        "{\"config\":\"x\",\"a\":\"\"}"};
    foreign f;
    begin(&f, "gn");
    add_model(&f, "F32");
    for (int i = 0; i < 3; i++) {
        json_object_set_new(f.header, "__metadata__", json_loads(texts[i], 0, NULL));
        save(&f);
        expect_values(&f, texts[i]);
    }
    /* A checksum that is there counts. */
    json_object_set_new(f.header, "__metadata__", json_pack("{s:s}", "sha256", "0123"));
    save(&f);
    arenas a;
    cr_expect(read_file(&a, &f) == NL_EDATA);
    cr_expect(strstr(a.err.what, "corrupt") && strstr(a.err.hint, "sha256"), "%s", a.err.what);
    release(&a);
    end(&f);
}

/* Edges of the narrow types. */
Test(foreign_weights, every_kind_of_narrow_number) {
    static const struct {
        uint16_t bits;
        float half, brain;
    } numbers[] = {
        {0x0000, 0, 0},
        {0x8000, -0.0f, -0.0f},
        {0x0001, 0x1p-24f, 0x1p-133f},
        {0x83ff, -0x1.ff8p-15f, -0x1.fep-120f},
        {0x0400, 0x1p-14f, 0x1p-119f},
        {0x3c00, 1, 0x1p-7f},
        {0x3555, 0x1.554p-2f, 0x1.aap-21f},
        {0x7bff, 65504, 0x1.fep120f},
        {0x7c00, INFINITY, 0x1p121f},
        {0xfc00, -INFINITY, -0x1p121f},
        {0x7f80, NAN, INFINITY},
        {0xff80, NAN, -INFINITY},
        {0x7fc1, NAN, NAN},
    };
    enum { COUNT = sizeof numbers / sizeof *numbers };
    uint16_t bits[COUNT];
    const int64_t shape[] = {COUNT};
    for (int i = 0; i < COUNT; i++) bits[i] = numbers[i].bits;
    for (int brain = 0; brain < 2; brain++) {
        foreign f;
        begin(&f, "gn");
        snprintf(f.model.tensors[0].name, sizeof f.model.tensors[0].name, "x");
        memcpy(f.model.tensors[0].shape, shape, sizeof shape);
        f.model.tensors[0].rank = 1;
        f.model.tensors[0].count = COUNT;
        f.model.n_tensors = 1;
        add(&f, "x", brain ? "BF16" : "F16", shape, 1, bits, sizeof bits);
        save(&f);
        arenas a;
        cr_assert(read_file(&a, &f) == NL_OK, "%s", a.err.what);
        for (int i = 0; i < COUNT; i++) {
            const float want = brain ? numbers[i].brain : numbers[i].half;
            const float got = a.params[f.model.tensors[0].offset + i];
            cr_expect(isnan(want) ? isnan(got) : memcmp(&got, &want, sizeof got) == 0,
                      "0x%04x as %s: %a, not %a", bits[i], brain ? "BF16" : "F16", got, want);
        }
        release(&a);
        end(&f);
    }
}

/* ---- what is refused, and why --------------------------------------------------------------- */

static void expect_refusal(const foreign *f, const char *what, const char *hint) {
    arenas a;
    save(f);
    cr_assert(read_file(&a, f) == NL_EDATA, "%s", what);
    cr_expect(strstr(a.err.what, what), "'%s' is not in: %s", what, a.err.what);
    cr_expect(strstr(a.err.hint, hint), "'%s' is not in: %s", hint, a.err.hint);
    cr_expect_not(strstr(a.err.what, "corrupt"), "%s", a.err.what);
    release(&a);
}

static void spoil(foreign *f, const char *name, const char *dtype, const void *bytes, size_t size) {
    const nl_tensor *tensor = &f->model.tensors[0];
    unsigned char *filled = nl_alloc((size_t)tensor->count, size, "test");
    memcpy(filled, bytes, size);
    json_object_del(f->header, tensor->name);
    add(f, name, dtype, tensor->shape, tensor->rank, filled, (size_t)tensor->count * size);
    free(filled);
}

Test(foreign_weights, refuses_what_is_no_weight) {
    static const double large = 1e300, infinite = INFINITY;
    static const int32_t whole = 3;
    foreign f;
    begin(&f, "gn");
    for (int i = 1; i < f.model.n_tensors; i++) {
        const nl_tensor *tensor = &f.model.tensors[i];
        float *zeros = nl_alloc((size_t)tensor->count, sizeof *zeros, "test");
        add(&f, tensor->name, "F32", tensor->shape, tensor->rank, zeros,
            (size_t)tensor->count * sizeof *zeros);
        free(zeros);
    }
    const size_t rest = f.size;
    const char *name = f.model.tensors[0].name;
    spoil(&f, name, "F64", &large, sizeof large);
    expect_refusal(&f, "1e+300 at index 0 is too large", "");
    f.size = rest;
    spoil(&f, name, "I32", &whole, sizeof whole);
    expect_refusal(&f, "dtype is I32", "F16 or BF16");
    f.size = rest;
    spoil(&f, name, "F8_E4M3", &whole, 1);
    expect_refusal(&f, "dtype F8_E4M3 cannot be read", "F16 or BF16");
    f.size = rest;
    spoil(&f, "module.conv1.weight", "F32", &whole, sizeof whole);
    json_object_del(f.header, name);
    expect_refusal(&f, "tensor conv1.weight: missing", "take 'module.' off its names");
    json_object_del(f.header, "module.conv1.weight");
    f.size = rest;
    spoil(&f, name, "F64", &infinite, sizeof infinite);
    save(&f);
    arenas a;
    cr_assert(read_file(&a, &f) == NL_OK, "%s", a.err.what);
    cr_expect(isinf(a.params[f.model.tensors[0].offset]), "what is not finite stays so");
    release(&a);
    /* A network without running values has no counters. */
    add(&f, "norm1.num_batches_tracked", "I64", NULL, 0, "\0\0\0\0\0\0\0", 8);
    expect_refusal(&f, "tensor norm1.num_batches_tracked", "");
    end(&f);
}

/* ---- the program ---------------------------------------------------------------------------- */

static void check_run(const char *const argv[], int code, const char *said) {
    program_result r = program_run(argv, 300);
    cr_expect(r.code == code, "exit %d: %s", r.code, r.err);
    cr_expect(strstr(r.err, said), "'%s' is not in: %s", said, r.err);
    program_free(&r);
}

Test(foreign_weights, start_training_and_are_evaluated) {
    static const char gn[] = NL_SOURCE_DIR "/configs/gn.yaml";
    char data[600], out[600], start[700];
    foreign f;
    begin(&f, "gn");
    add_model(&f, "F16");
    save(&f);
    snprintf(data, sizeof data, "%s/data", f.dir);
    snprintf(out, sizeof out, "%s/out", f.dir);
    snprintf(start, sizeof start, "%s/gn/seed-1/init.safetensors", out);
    idx_set_write(data, 20, 20, false);
    const char *const train[] = {NL_PROGRAM, "train",    gn,     "--data",  data,  "--out",
                                 out,        "--init",   f.path, "--seeds", "1,2", "--epochs",
                                 "0",        "--device", "cpu",  NULL};
    program_result r = program_run(train, 300);
    cr_assert(r.code == 0, "%s", r.err);
    const char *first = strstr(r.err, "warning: it has no checksum");
    cr_expect(first && !strstr(first + 1, "warning"), "told once: %s", r.err);
    program_free(&r);
    snprintf(f.path, sizeof f.path, "%.500s", start);
    arenas a;
    cr_assert(read_file(&a, &f) == NL_OK, "%s", a.err.what);
    cr_expect(a.sealed && a.params[f.model.tensors[0].offset + 1] == value(0, 1));
    release(&a);

    snprintf(f.path, sizeof f.path, "%s/w.safetensors", f.dir);
    const char *const alone[] = {NL_PROGRAM, "eval",     f.path, "--data",
                                 data,       "--device", "cpu",  NULL};
    check_run(alone, 3, "hint: --config CONFIG");
    const char *const with[] = {NL_PROGRAM, "eval", f.path,     "--data", data,
                                "--device", "cpu",  "--config", gn,       NULL};
    check_run(with, 0, "warning: it has no checksum");
    const char *const other[] = {NL_PROGRAM, "eval",     f.path,
                                 "--data",   data,       "--device",
                                 "cpu",      "--config", NL_SOURCE_DIR "/configs/bn.yaml",
                                 NULL};
    check_run(other, 3, "norm1.running_mean: missing");
    end(&f);
}
