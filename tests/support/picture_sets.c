/* picture_sets.h */
#include "support/picture_sets.h"

#include <stdio.h>    // snprintf
#include <stdlib.h>   // system
#include <string.h>   // strstr
#include <sys/stat.h> // mkdir

#include "normlab/error.h"  // nl_alloc
#include "normlab/philox.h" // nl_philox4x32
#include "support/idx_set.h"

const picture_set picture_sets[PICTURE_SETS] = {
    {"fashion", SET_IDX, "set: fashion-mnist", {1, 28, 28}, 10},
    {"letters", SET_EMNIST, "set: emnist-letters", {1, 28, 28}, 26},
    {"cifar10", SET_CIFAR10, "set: cifar10", {3, 32, 32}, 10},
    {"cifar100",
     SET_CIFAR100,
     "set: cifar100, shape: [3, 32, 32], classes: 100, mean: 0.47, std: 0.27",
     {3, 32, 32},
     100},
    {"signs",
     SET_IDX,
     "set: signs, shape: [2, 12, 20], classes: 256, mean: [0.3, 0.5], std: 0.25",
     {2, 12, 20},
     256},
    {"digits", SET_DIGITS, NULL, {1, 8, 8}, 10}};

/* ---- pictures ------------------------------------------------------------------------------- */

int picture_set_label(const picture_set *set, uint32_t image) {
    return set->classes - 1 - (int)(image * 7 % (uint32_t)set->classes);
}

/* Where in eighths of a side: a bar at the top left, below it two rows of four blocks. */
static bool inked(int label, int x, int y) {
    if (y == 1) return x >= 1 && x < 4;
    const int bit = x / 2 + (y >= 5 ? 4 : 0);
    return y >= 3 && y < 7 && x % 2 == 0 && (label >> bit & 1);
}

static void draw(uint8_t *image, const picture_set *set, uint32_t number) {
    const nl_image_shape s = set->shape;
    const int label = picture_set_label(set, number);
    for (int c = 0; c < s.channels; c++)
        for (int y = 0; y < s.height; y++)
            for (int x = 0; x < s.width; x++) {
                const bool ink = inked(label, x * 8 / s.width, y * 8 / s.height);
                const uint32_t at = (uint32_t)((c * s.height + y) * s.width + x);
                const uint32_t noise = nl_philox4x32(number, at, 3, 0, 28, 28).v[0] >> 27;
                /* channel 0 is the ink, 1 falls and 2 rises from left to right */
                const int ground = c == 1 ? 200 - 150 * x / s.width : 50 + 150 * x / s.width;
                const int value = c == 0 ? (ink ? 220 : 0) : ground;
                image[at] = (uint8_t)(value + (int)noise);
            }
}

static void transpose(uint8_t *image, int side) {
    for (int y = 0; y < side; y++)
        for (int x = 0; x < y; x++) {
            const uint8_t pixel = image[y * side + x];
            image[y * side + x] = image[x * side + y];
            image[x * side + y] = pixel;
        }
}

/* ---- files ---------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) *to++ = (uint8_t)(value >> (24 - 8 * i));
    return to;
}

/* Images or labels of a split. */
static void write_idx(const picture_set *set, const char *path, bool images, uint32_t first,
                      uint32_t count) {
    const nl_image_shape s = set->shape;
    const size_t item = images ? (size_t)nl_image_bytes(s) : 1;
    const bool emnist = set->format == SET_EMNIST;
    uint8_t *bytes = nl_alloc(20 + count * item, 1, path), *at = bytes;
    at = put(at, images ? (s.channels > 1 ? 0x804 : 0x803) : 0x801);
    at = put(at, count);
    if (images && s.channels > 1) at = put(at, (uint32_t)s.channels);
    if (images) at = put(put(at, (uint32_t)s.height), (uint32_t)s.width);
    for (uint32_t i = first; i < first + count; i++, at += item) {
        if (images)
            draw(at, set, i);
        else
            *at = (uint8_t)(picture_set_label(set, i) + emnist);
        if (images && emnist) transpose(at, s.width);
    }
    idx_set_save(path, bytes, (size_t)(at - bytes), false);
    free(bytes);
}

static void write_cifar(const picture_set *set, const char *path, uint32_t first, uint32_t count) {
    const size_t label_bytes = set->format == SET_CIFAR100 ? 2 : 1;
    const size_t record = label_bytes + (size_t)nl_image_bytes(set->shape);
    uint8_t *bytes = nl_alloc(count, record, path);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = bytes + i * record;
        const int label = picture_set_label(set, first + i);
        at[0] = (uint8_t)(label / 5); /* the coarse one */
        at[label_bytes - 1] = (uint8_t)label;
        draw(at + label_bytes, set, first + i);
    }
    idx_set_save(path, bytes, count * record, false);
    free(bytes);
}

static const char *in(char path[512], const char *dir, const char *before, const char *name) {
    snprintf(path, 512, "%s/%s%s", dir, before, name);
    return path;
}

static bool write_digits(const char *dir) {
    char command[2048];
    snprintf(command, sizeof command,
             "for p in \"${XDG_CACHE_HOME:-${HOME-}/.cache}/normlab/venv-tests/bin/python3\" "
             "/usr/bin/python3; do \"$p\" '%s/tests/support/digits.py' '%s' 2>/dev/null && exit; "
             "done; exit 1",
             NL_SOURCE_DIR, dir);
    return system(command) == 0;
}

bool picture_set_write(const picture_set *set, const char *dir) {
    char path[512], name[32];
    mkdir(dir, 0777);
    if (set->format == SET_DIGITS) return write_digits(dir);
    if (set->format == SET_CIFAR10) {
        for (uint32_t i = 0; i < 5; i++) {
            snprintf(name, sizeof name, "data_batch_%u.bin", i + 1);
            write_cifar(set, in(path, dir, "", name), i * PICTURE_TRAIN / 5, PICTURE_TRAIN / 5);
        }
        write_cifar(set, in(path, dir, "", "test_batch.bin"), PICTURE_TRAIN, PICTURE_TEST);
        return true;
    }
    if (set->format == SET_CIFAR100) {
        write_cifar(set, in(path, dir, "", "train.bin"), 0, PICTURE_TRAIN);
        write_cifar(set, in(path, dir, "", "test.bin"), PICTURE_TRAIN, PICTURE_TEST);
        return true;
    }
    const bool emnist = set->format == SET_EMNIST;
    for (int test = 0; test < 2; test++) {
        const char *split = emnist ? test ? "emnist-letters-test" : "emnist-letters-train"
                            : test ? "t10k"
                                   : "train";
        const uint32_t first = test ? PICTURE_TRAIN : 0, n = test ? PICTURE_TEST : PICTURE_TRAIN;
        const char *images = set->shape.channels > 1 ? "-images-idx4-ubyte" : "-images-idx3-ubyte";
        write_idx(set, in(path, dir, split, images), true, first, n);
        write_idx(set, in(path, dir, split, "-labels-idx1-ubyte"), false, first, n);
    }
    return true;
}

/* ---- configs -------------------------------------------------------------------------------- */

/* The first indented block of CONTRIBUTING.md that begins with `data:`. */
static char *documented_config(void) {
    char line[512];
    char *text = NULL;
    size_t size;
    FILE *from = fopen(NL_SOURCE_DIR "/CONTRIBUTING.md", "r"), *to = open_memstream(&text, &size);
    NL_NEED(to);
    for (bool inside = false; from && fgets(line, sizeof line, from);) {
        inside = strncmp(line, inside ? "    " : "    data:", inside ? 4 : 9) == 0;
        if (inside) fputs(line + 4, to);
        if (!inside && ftell(to) > 0) break;
    }
    if (from) fclose(from);
    fclose(to);
    return text;
}

char *picture_set_config(const picture_set *set) {
    char *text = NULL;
    size_t size;
    if (set->format == SET_DIGITS) return documented_config();
    FILE *out = open_memstream(&text, &size);
    NL_NEED(out);
    fprintf(out, "data: {%s, batch: 8", set->data);
    for (int i = 0; set->classes == 256 && i < 256; i++)
        fprintf(out, "%ssign %d%s", i ? ", " : ", class_names: [", i, i < 255 ? "" : "]");
    fprintf(out,
            "}\nmodel:\n  norm: batch\n  layers:\n"
            "    - {conv: 6, kernel: 3, pad: 1, norm: true, relu: true}\n"
            "    - {pool: max, size: 2, dropout: true}\n"
            "    - {conv: %d, kernel: 1}\n    - {pool: average}\ntrain: {epochs: 1}\n",
            set->classes);
    fclose(out);
    return text;
}
