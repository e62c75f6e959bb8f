/* Bad configs and options, through the built program: each is refused with exit code 2 (a device 4)
 * before anything is written. */
#include <criterion/criterion.h>
#include <stdio.h>  // snprintf
#include <stdlib.h> // free
#include <string.h> // strstr
#include <unistd.h> // access

#include "support/idx_set.h"
#include "support/refusal.h"
#include "support/slurp.h"

#include "normlab/error.h"

enum { N_TRAIN = 96, N_TEST = 32, PATH_SIZE = REFUSAL_PATH };
#define GN NL_SOURCE_DIR "/configs/gn.yaml"

static char *top; /* all that a test makes */
static char data[PATH_SIZE], out[PATH_SIZE];

static void begin(void) {
    top = temp_dir_make();
    idx_set_write(join(data, top, "data"), N_TRAIN, N_TEST, false);
    join(out, top, "out");
}

static void end(void) {
    temp_dir_remove(top);
}

TestSuite(faults, .init = begin, .fini = end);

static void save(const char *path, const char *bytes, size_t size) {
    idx_set_save(path, bytes, size, false);
}

/* ---- configs -------------------------------------------------------------------------------- */

/* gn.yaml with one text replaced becomes TOP/bad.yaml. */
static char *bad_config(char path[PATH_SIZE], const char *from, const char *to) {
    size_t size;
    char *text = slurp(GN, &size), *at = strstr(text, from);
    cr_assert(at, "'%s' is not in gn.yaml", from);
    const size_t head = (size_t)(at - text), tail = head + strlen(from);
    char *changed = calloc(1, size + strlen(to) + 1);
    cr_assert(changed);
    memcpy(changed, text, head);
    memcpy(changed + head, to, strlen(to));
    memcpy(changed + head + strlen(to), text + tail, size - tail);
    save(join(path, top, "bad.yaml"), changed, size - strlen(from) + strlen(to));
    free(text);
    free(changed);
    return path;
}

Test(faults, config) {
    static const struct {
        const char *what, *from, *to, *says;
    } faults[] = {
        {"unknown key", "rotate: 7", "rotat: 7", "bad.yaml:6: data.rotat"},
        {"a suggestion", "rotate: 7", "rotat: 7", "rotate?"},
        {"trailing characters", "batch: 64", "batch: 64x", "bad.yaml:8: data.batch"},
        {"out of range", "dropout: 0.05", "dropout: 1", "model.dropout"},
        {"the range", "rotate: 7", "rotate: 181", "180"},
        {"not a number", "lr: 0.01", "lr: nan", "train.lr"},
        {"infinite", "lr: 0.01", "lr: inf", "train.lr"},
        {"momentum", "momentum: 0.9", "momentum: 1", "train.momentum"},
        {"negative", "l1: 0", "l1: -1", "train.l1"},
        {"no such norm", "norm: group", "norm: grup", "model.norm"},
        {"no switch", "shuffle: true", "shuffle: maybe", "data.shuffle"},
        {"channels", "group_size: 4", "group_size: 3", "model.group_size"},
        {"twice", "  batch: 64", "  batch: 64\n  batch: 32", "data.batch"},
        {"no YAML", "data:", "data: [", "bad.yaml:"},
        {"tabs", "  batch: 64", "\tbatch: 64", "bad.yaml:8"},
        {"a number too large", "seed: 1", "seed: 99999999999999999999", "train.seed"},
        {"a layer's key", "kernel: 5", "kernal: 5", "kernal"},
        {"a kernel larger than its input", "{conv: 10, kernel: 3}", "{conv: 10, kernel: 30}", "30"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char path[PATH_SIZE];
        bad_config(path, faults[i].from, faults[i].to);
        REFUSE_TRAIN(faults[i].what, NL_EUSAGE, faults[i].says, path);
        REFUSE(faults[i].what, NL_EUSAGE, faults[i].says, "summary", path);
    }
    char path[PATH_SIZE];
    REFUSE_TRAIN("missing", NL_EUSAGE, "none.such.yaml", join(path, top, "none.such.yaml"));
    REFUSE_TRAIN("a folder", NL_EUSAGE, "is a folder", NL_SOURCE_DIR "/configs");
    save(join(path, top, "empty.yaml"), "", 0);
    REFUSE_TRAIN("empty", NL_EUSAGE, "empty", path);
    save(path, "\xff\xfe\0\1", 4);
    REFUSE_TRAIN("binary", NL_EUSAGE, "empty.yaml", path);
    save(join(path, top, "gn.yaml"), "", 0);
    REFUSE_TRAIN("none at all", NL_EUSAGE, "config", "--quiet");
    REFUSE_TRAIN("one name twice", NL_EUSAGE, "gn", GN, GN);
}

/* ---- options -------------------------------------------------------------------------------- */

Test(faults, options) {
    static const struct {
        const char *says, *option, *value;
    } faults[] = {
        {"--frobnicate", "--frobnicate", NULL},
        {"--epochs", "--epochs", "-1"},
        {"--epochs", "--epochs", "3x"},
        {"--epochs", "--epochs", ""},
        {"--threads", "--threads", "0"},
        {"--threads", "--threads", "two"},
        {"--seeds", "--seeds", "3-1"},
        {"--seeds", "--seeds", "1,,2"},
        {"--seeds", "--seeds", "1-"},
        {"--seeds", "--seeds", "1,1"},
        {"--limit-batches", "--limit-batches", "-3"},
        {"--log-every", "--log-every", "1.5"},
        {"--set", "--set", "train.lr"},
        {"train.lr", "--set", "train.lr=0.1x"},
        {"train.lr", "--set", "train.lr=0"},
        {"model.group_size", "--set", "model.group_size=5"},
        {"train.momentun", "--set", "train.momentun=0.5"},
        {"--device", "--device", "tpu"},
        {"--device", "--device", "cuda:x"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *what = faults[i].value ? faults[i].value : faults[i].option;
        REFUSE_TRAIN(what, NL_EUSAGE, faults[i].says, GN, faults[i].option, faults[i].value);
    }
    REFUSE_TRAIN("no value", NL_EUSAGE, "out", GN, "--out");
    REFUSE_TRAIN("no such GPU", NL_EDEVICE, "--device", GN, "--device", "cuda:99");
    REFUSE("no such command", NL_EUSAGE, "trian", "trian");
    REFUSE("eval of nothing", NL_EUSAGE, "checkpoint", "eval");
    REFUSE("summary of nothing", NL_EUSAGE, "config", "summary");
    REFUSE("a batch of none", NL_EUSAGE, "--batch", "summary", GN, "--batch", "0");
    REFUSE("no such split", NL_EUSAGE, "--split", "eval", "x", "--split", "dev");
}

/* Of commands that take run folders, and of `train` with one that is there already. */
Test(faults, options_of_run_folders) {
    static const char *const commands[] = {"plan", "report"};
    for (int i = 0; i < 2; i++) {
        REFUSE("no folder", NL_EUSAGE, "needs a run folder", commands[i]);
        REFUSE("a margin of none", NL_EUSAGE, "--margin", commands[i], top, "--margin", "0");
        REFUSE("no number", NL_EUSAGE, "--margin", commands[i], top, "--margin", "nan");
        REFUSE("a margin below", NL_EUSAGE, "--loss-margin", commands[i], top, "--loss-margin=-1");
    }
    REFUSE("less than a coin", NL_EUSAGE, "--power", "plan", top, "--power", "0.4");
    REFUSE("certainty", NL_EUSAGE, "--power", "plan", top, "--power", "1");
    REFUSE("no power", NL_EUSAGE, "--power", "plan", top, "--power", "0.8x");
    REFUSE("joins nothing", NL_EUSAGE, "--out", "train", GN, "--join");
    REFUSE("resumes nothing", NL_EUSAGE, "--out", "train", GN, "--resume");
    REFUSE_TRAIN("joins what it overwrites", NL_EUSAGE, "--join", GN, "--join", "--overwrite");
    REFUSE_TRAIN("resumes what it overwrites", NL_EUSAGE, "--resume", GN, "--resume",
                 "--overwrite");
}

/* One value a channel in batch norm's training, here in the last batch of a network of one pixel:
 * refused before anything runs. */
Test(faults, one_value_a_channel) {
    static const char text[] = "model:\n  norm: batch\n  layers:\n"
                               "    - {conv: 4, kernel: 28, norm: true}\n"
                               "    - {conv: 10, kernel: 1}\n    - {pool: average}\n"
                               "data:\n  batch: 95\n";
    char path[PATH_SIZE];
    save(join(path, top, "pixel.yaml"), text, sizeof text - 1);
    REFUSE_TRAIN("one value", NL_EUSAGE, "conv1", path); /* 96 = 95 + 1 */
}

/* ---- a loss that is no longer finite -------------------------------------------------------- */

Test(faults, loss_not_finite) {
    char path[PATH_SIZE];
    program_result r =
        RUN_NORMLAB("train", NL_SOURCE_DIR "/configs/none.yaml", "--data", data, "--out", out,
                    "--epochs", "20", "--set", "train.lr=1e30", "--device", "cpu", "--no-report");
    cr_expect_eq(r.code, NL_ENONFINITE, "exit %d: %s", r.code, r.err);
    cr_expect(one_clear_line(r.err), "%s", r.err);
    cr_expect(strstr(r.err, "step"), "does not name the step: %s", r.err);
    cr_expect(strstr(r.err, "conv"), "does not name the layer: %s", r.err);
    program_free(&r);
    cr_expect_eq(access(join(path, out, "none/seed-1/init.safetensors"), F_OK), 0);
}
