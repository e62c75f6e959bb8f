/* Normalization_Calculations.xlsx: the three norms on a tensor small enough to check by hand, every
 * number a live formula whose stored value is what the training code computes.
 */
#include <errno.h>    // errno
#include <fcntl.h>    // open
#include <stdio.h>    // fprintf
#include <stdlib.h>   // free
#include <string.h>   // strerror
#include <sys/mman.h> // mmap
#include <sys/stat.h> // stat
#include <unistd.h>   // unlink

#include "base/folder.h"        // nl_cannot_write
#include "base/regular.h"       // nl_regular_read
#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/report.h"     // nl_worksheet
#include "workbook_parts.h"

/* ---- the input ---- */

static void input_grid(nl_book *book, int top, const double *values) {
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            /* Outlined by image and channel, which no norm's sets are. */
            const int form = (r % 2 ? EDGE_BOTTOM : EDGE_TOP) | (c % 2 ? EDGE_RIGHT : EDGE_LEFT);
            nl_cell_number(book, top + r, GRID + c, values[nl_grid_index(r, c)], LOOK_GRID_INPUT,
                           form);
        }
}

static void parameter(nl_book *book, int row, const char *name, double value) {
    nl_cell_text(book, row, TABLE, name, LOOK_LABEL);
    nl_cell_number(book, row, TABLE + 1, value, LOOK_INPUT, 0);
}

void nl_sheet_input(nl_book *book) {
    static const char *const channel_heads[] = {"channel", "gamma", "beta", "bias", NULL};
    static const char *const weight_heads[] = {"weight, to / from", "1", "2", "3", "4", NULL};
    nl_sheet_open(book, "Input", "Batch, layer and group norm by hand",
                  "4 images of 4 channels of 2 x 2; group norm with 2 groups of 2 channels. Blue "
                  "numbers may be changed: everything else is a formula.");
    nl_grid_heads(book, TOP, "x, the input of layer 1");
    input_grid(book, TOP, nl_example_x);
    parameter(book, EPS, "eps", EX_EPS);
    parameter(book, MOMENTUM, "momentum", EX_MOMENTUM);
    parameter(book, RATE, "learning rate", EX_RATE);
    nl_table_heads(book, CHANNELS, channel_heads);
    for (int c = 0; c < EX_C; c++) {
        nl_cell_number(book, CHANNELS + c, TABLE, c + 1, LOOK_COUNT, 0);
        nl_cell_number(book, CHANNELS + c, TABLE + 1, nl_example_gamma[c], LOOK_INPUT, 0);
        nl_cell_number(book, CHANNELS + c, TABLE + 2, nl_example_beta[c], LOOK_INPUT, 0);
        nl_cell_number(book, CHANNELS + c, TABLE + 3, nl_example_bias[c], LOOK_INPUT, 0);
    }
    nl_grid_heads(book, GRADIENT, "dy, the gradient that arrives at y of layer 1");
    input_grid(book, GRADIENT, nl_example_dy);
    nl_table_heads(book, WEIGHT, weight_heads);
    for (int o = 0; o < EX_C; o++) {
        nl_cell_number(book, WEIGHT + o, TABLE, o + 1, LOOK_COUNT, 0);
        for (int c = 0; c < EX_C; c++)
            nl_cell_number(book, WEIGHT + o, TABLE + 1 + c, nl_example_weight[o * EX_C + c],
                           LOOK_INPUT, 0);
    }
    nl_cell_text(book, WEIGHT + EX_C + 1, TABLE,
                 "Layer 2 is a 1 x 1 convolution with these weights of ReLU(y), and a norm.",
                 LOOK_NOTE);
}

/* ---- how many statistics ---- */

void nl_sheet_counts(nl_book *book) {
    static const char *const heads[] = {"N",         "C",           "H x W",     "groups",
                                        "BN: pairs", "values each", "LN: pairs", "values each",
                                        "GN: pairs", "values each"};
    static const struct {
        const char *name;
        int n, c, hw, groups;
    } rows[] = {{"here", EX_N, EX_C, EX_HW, EX_GROUPS},
                {"norm1", 64, 96, 784, 24},
                {"norm2", 64, 16, 784, 4},
                {"norm3", 64, 16, 144, 4},
                {"norm4", 64, 8, 144, 2},
                {"norm5", 64, 16, 16, 4}};
    nl_sheet_open(
        book, "Counts", "How many pairs of mean and variance",
        "BN takes one pair a channel (C), LN one an image (N), GN one a group of an image "
        "(N x groups). Below 'here': the network at a batch of 64.");
    worksheet_set_column(book->sheet, 1, 10, 12, NULL);
    for (int i = 0; i < 10; i++) nl_cell_text(book, 3, 1 + i, heads[i], LOOK_HEAD);
    for (int i = 0; i < (int)(sizeof rows / sizeof *rows); i++) {
        const int row = 4 + i, n = rows[i].n, c = rows[i].c, hw = rows[i].hw, g = rows[i].groups;
        nl_ref at[5];
        for (int k = 1; k < 5; k++) at[k] = nl_at(row, k);
        nl_cell_text(book, row, 0, rows[i].name, LOOK_LABEL);
        const int inputs[] = {n, c, hw, g};
        for (int k = 0; k < 4; k++) nl_cell_number(book, row, 1 + k, inputs[k], LOOK_INPUT, 0);
        nl_cell_formula(book, row, 5, c, LOOK_COUNT, 0, "=%s", at[2].text);
        nl_cell_formula(book, row, 6, n * hw, LOOK_COUNT, 0, "=%s*%s", at[1].text, at[3].text);
        nl_cell_formula(book, row, 7, n, LOOK_COUNT, 0, "=%s", at[1].text);
        nl_cell_formula(book, row, 8, c * hw, LOOK_COUNT, 0, "=%s*%s", at[2].text, at[3].text);
        nl_cell_formula(book, row, 9, n * g, LOOK_COUNT, 0, "=%s*%s", at[1].text, at[4].text);
        nl_cell_formula(book, row, 10, c / g * hw, LOOK_COUNT, 0, "=%s/%s*%s", at[2].text,
                        at[4].text, at[3].text);
    }
}

/* ---- the file ---- */

static void fill(nl_book *book) {
    /* A fixed date: the same workbook is the same file. */
    lxw_doc_properties properties = {.title = "Normalization calculations", .created = 1577836800};
    workbook_set_properties(book->book, &properties);
    nl_sheet_input(book);
    for (int norm = 0; norm < EX_NORMS; norm++) {
        nl_example example;
        nl_example_make(&example, (nl_example_norm)norm);
        nl_sheet_norm(book, (nl_example_norm)norm, &example);
    }
    for (int norm = 0; norm < EX_NORMS; norm++) {
        nl_example example;
        nl_example_make(&example, (nl_example_norm)norm);
        nl_sheet_gradient(book, (nl_example_norm)norm, &example);
    }
    nl_sheet_counts(book);
}

/* The file, under a name of its own, put where it belongs. */
static int put(const char *path, const char *temporary, nl_error *err) {
    size_t size;
    char reason[NL_REASON], *text = nl_regular_read(temporary, &size, reason);
    const int code =
        text ? nl_file_write(path, text, size, err)
             : nl_fail(err, NL_EWRITE, path, "cannot read what was written: %s", reason);
    free(text);
    return code;
}

/* Beside the file, or where it is a device or a pipe, in the folder for such things. */
static char *temporary_path(const char *path) {
    char *temporary = NULL;
    struct stat info;
    const char *folder = getenv("TMPDIR");
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
        NL_NEED(asprintf(&temporary, "%s/normlab-%ld.xlsx", folder && *folder ? folder : "/tmp",
                         (long)getpid()) >= 0);
    else
        NL_NEED(asprintf(&temporary, "%s.%ld.xlsx.tmp", path, (long)getpid()) >= 0);
    return temporary;
}

/* The library follows a NULL that it got instead of memory, or leaves a cell out without a word, and
 * takes no allocator from outside. So there has to be room, before it asks for any of it: eight
 * times as much as it takes. */
static void need_room(void) {
    const size_t room = 16 << 20;
    void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) nl_out_of_memory("workbook", room);
    munmap(memory, room);
}

int nl_worksheet(const char *path, nl_error *err) {
    need_room();
    char *temporary = temporary_path(path);
    /* Tried first, because the library writes its own words about a failure. */
    const int file = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) {
        free(temporary);
        return nl_cannot_write(path, err);
    }
    close(file);
    nl_book book = {.book = workbook_new(temporary)};
    NL_NEED(book.book);
    fill(&book);
    int code = NL_OK;
    errno = 0;
    const lxw_error failed = workbook_close(book.book);
    if (failed)
        code = nl_fail(err, NL_EWRITE, path, "cannot write: %s",
                       errno ? strerror(errno) : lxw_strerror(failed));
    else
        code = put(path, temporary, err);
    if (unlink(temporary) != 0)
        nl_warn(temporary, "this temporary file cannot be removed: %s", strerror(errno));
    free(temporary);
    return code;
}
