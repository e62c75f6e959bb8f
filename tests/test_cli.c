/* The command line: dispatch, summary, options and their errors. Commands with work of their own
 * have tests of their own. */
#include <criterion/criterion.h>
#include <errno.h>  // errno
#include <stdio.h>  // snprintf
#include <stdlib.h> // free, setenv
#include <string.h> // strstr
#include <unistd.h> // chdir, rmdir

#include "cli/options.h"
#include "normlab/backend.h" // nl_backend_select
#include "support/idx_set.h" // temp_dir_make
#include "support/program.h"

#define CONFIG(name) NL_SOURCE_DIR "/configs/" name ".yaml"

static nl_error err;

static void expect(program_result r, int code, const char *out, const char *error) {
    cr_expect_eq(r.code, code, "exit %d, not %d: %s%s", r.code, code, r.out, r.err);
    cr_expect(strstr(r.out, out), "'%s' is not in standard output:\n%s", out, r.out);
    cr_expect(strstr(r.err, error), "'%s' is not in standard error:\n%s", error, r.err);
    if (code == 0) cr_expect_str_empty(r.err);
    if (code != 0) cr_expect_str_empty(r.out);
    program_free(&r);
}

/* --- Dispatch -------------------------------------------------------------------------------- */

Test(cli, help_and_version) {
    expect(RUN_NORMLAB("--help"), 0, "summary", "");
    expect(RUN_NORMLAB("--version"), 0, "normlab 0.", "");
    expect(RUN_NORMLAB("--version"), 0, "cpu64", "");
    expect(RUN_NORMLAB("-h"), 0, "Usage: normlab COMMAND", "");
    expect(RUN_NORMLAB("--help"), 0, "Exit codes: 0 done; 1 ", "");
    static const char *const commands[] = {"train",  "eval", "summary",
                                           "report", "plan", "worksheet"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        expect(RUN_NORMLAB("--help"), 0, commands[i], "");
        expect(RUN_NORMLAB(commands[i], "--help"), 0, "Usage: normlab", "");
        expect(RUN_NORMLAB(commands[i], "--help"), 0, commands[i], "");
        expect(RUN_NORMLAB(commands[i], "-h"), 0, "Usage: normlab", "");
        expect(RUN_NORMLAB(commands[i], "-h"), 0, "--help", "");
    }
}

Test(cli, version_tells_what_a_report_of_a_fault_needs) {
    program_result r = RUN_NORMLAB("--version", "--verbose");
    cr_assert_eq(r.code, 0, "%s", r.err);
    static const char *const rows[] = {"normlab ",  "\ncompiler ",  "\nlibraries ",
                                       "\nsystem ", "\nprocessor ", "\nCUDA "};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect(strstr(r.out, rows[i]), "no '%s' in:\n%s", rows[i], r.out);
#ifdef NORMLAB_WITH_CUDA
    static const char *const cuda[] = {"\ndriver ", "\ndevice ", "\ncuDNN ", "\ncuBLAS "};
    for (size_t i = 0; i < sizeof cuda / sizeof *cuda; i++)
        cr_expect(strstr(r.out, cuda[i]), "no '%s' in:\n%s", cuda[i], r.out);
#else
    cr_expect(strstr(r.out, "CUDA       not built in"), "%s", r.out);
#endif
    program_free(&r);
    expect(RUN_NORMLAB("--version", "--verbos"), 2, "", "'--verbos' is no argument of it");
}

Test(cli, unknown_commands) {
    expect(RUN_NORMLAB("sumary"), 2, "", "normlab: sumary: unknown command");
    expect(RUN_NORMLAB("sumary"), 2, "", "did you mean summary?");
    expect(RUN_NORMLAB("fly"), 2, "", "normlab --help");
    expect(RUN_NORMLAB("--fly"), 2, "", "normlab: --fly: unknown option");
    expect(program_run((const char *const[]){NL_PROGRAM, NULL}, 60), 2, "",
           "Usage: normlab COMMAND");
}

Test(cli, what_cannot_be_written) {
    const char *const argv[] = {"/bin/sh",  "-c",      "exec \"$0\" \"$@\" >/dev/full",
                                NL_PROGRAM, "summary", CONFIG("gn"),
                                NULL};
    program_result r = program_run(argv, 300);
    cr_expect_eq(r.code, 6);
    cr_expect(strstr(r.err, "normlab: standard output: No space left"), "%s", r.err);
    program_free(&r);
}

/* --- Options --------------------------------------------------------------------------------- */

Test(cli, wrong_options) {
    expect(RUN_NORMLAB("summary"), 2, "", "normlab: summary: needs a config");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--bach", "3"), 2, "",
           "normlab: --bach: unknown option");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--bach", "3"), 2, "", "did you mean --batch?");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "-q"), 2, "", "normlab: -q: unknown option");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--batch"), 2, "", "--batch: needs a value");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "-b"), 2, "", "-b: needs a value");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--batch", "3x"), 2, "",
           "normlab: --batch: '3x': wants a whole number, 1 or more");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--batch", "0"), 2, "", "--batch: '0'");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), "--batch="), 2, "", "--batch: ''");
    expect(RUN_NORMLAB("summary", CONFIG("gn"), CONFIG("ln")), 2, "", "one argument too many");
    expect(RUN_NORMLAB("summary", "/nowhere/gn.yaml"), 2, "", "normlab: /nowhere/gn.yaml: cannot");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--resume=yes"), 2, "", "takes no value");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--l", "3"), 2, "",
           "several begin so: --limit-batches, --log-every, --layer-stats");
}

/* getopt takes -epochs for the letters e, p, o ...; what stands before it is not at fault. */
Test(cli, long_options_with_one_dash) {
    expect(RUN_NORMLAB("train", CONFIG("gn"), "-epochs", "3"), 2, "",
           "normlab: -epochs: unknown option\n         hint: did you mean --epochs?");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--quiet", "-epochs=3"), 2, "", "lab: -epochs=3: ");
    expect(RUN_NORMLAB("train", "--init", "-1", "-out", "x"), 2, "", "did you mean --out?");
    expect(RUN_NORMLAB("train", "-out", "x", CONFIG("gn")), 2, "", "did you mean --out?");
    expect(RUN_NORMLAB("train", "--sees", "-10"), 2, "", "normlab: --sees: unknown option");
    expect(RUN_NORMLAB("train", "--quiet=1", "-x"), 2, "", "--quiet=1: takes no value");
}

/* As a variable that is not set leaves them. */
Test(cli, empty_words) {
    expect(RUN_NORMLAB("train", ""), 2, "", "normlab: train: '': the word is empty");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--data", ""), 2, "", "normlab: --data: '': ");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--init="), 2, "", "normlab: --init: '': ");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--init="), 2, "", "is a variable not set?");
    expect(RUN_NORMLAB("eval", "x", "--config", ""), 2, "", "normlab: --config: '': ");
    expect(RUN_NORMLAB("report", ""), 2, "", "normlab: report: '': ");
}

Test(cli, names_of_configs_that_are_nearly_right) {
    expect(RUN_NORMLAB("summary", CONFIG("lnn")), 2, "", "did you mean " CONFIG("ln") "?");
    expect(RUN_NORMLAB("summary", NL_SOURCE_DIR "/configs/bn_l"), 2, "",
           "did you mean " CONFIG("bn_l1") "?");
    cr_assert(chdir(NL_SOURCE_DIR) == 0);
    expect(RUN_NORMLAB("summary", "gn"), 2, "", "did you mean configs/gn.yaml?");
    expect(RUN_NORMLAB("summary", "none.yml"), 2, "", "looked here and in");
    expect(RUN_NORMLAB("summary", "nnoe.yaml"), 2, "", "did you mean configs/none.yaml?");
    expect(RUN_NORMLAB("summary", "gx.yaml"), 2, "", "did you mean configs/gn.yaml?");
    expect(RUN_NORMLAB("summary", "mine.yaml"), 2, "", "looked here and in");
    expect(RUN_NORMLAB("summary", "elsewhere.yaml"), 2, "", "looked here and in");
    expect(RUN_NORMLAB("summary", "no/such.yaml"), 2, "", "is named without a folder: bn_l1");
    expect(RUN_NORMLAB("summary", "configs"), 2, "", "its configs are configs/*.yaml");
}

Test(cli, a_workbook_ends_in_xlsx) {
    char *dir = temp_dir_make();
    cr_assert(chdir(dir) == 0);
    expect(RUN_NORMLAB("worksheet", "w.xls"), 2, "",
           "normlab: worksheet: 'w.xls' does not end in .xlsx");
    expect(RUN_NORMLAB("worksheet", ".xlsx"), 2, "", "does not end in .xlsx");
    cr_expect(access("w.xls", F_OK) != 0);
    expect(RUN_NORMLAB("worksheet", "none/w.xlsx"), 6, "", "its folder is not there");
    temp_dir_remove(dir);
}

/* A shell expands ~/ at the beginning of a word alone. */
Test(cli, paths_that_no_shell_expanded) {
    char *dir = temp_dir_make();
    cr_assert(chdir(dir) == 0 && setenv("HOME", dir, 1) == 0);
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--out=~/x"), 2, "",
           "hint: a space instead of the =: --out ~/x\n");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--data=~/x"), 2, "", "normlab: --data=~/x: ");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--init=~/x", "--epochs", "0"), 2, "", "--init ~/x");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--out", "~/x"), 2, "", "\"$HOME/x\"");
    expect(RUN_NORMLAB("train", "~/gn.yaml"), 2, "", "leave the quotes off");
    expect(RUN_NORMLAB("train", CONFIG("gn"), "--out=~"), 2, "", "--out ~\n");
    expect(RUN_NORMLAB("eval", "x", "--logits=~/l.csv"), 2, "", "--logits ~/l.csv");
    expect(RUN_NORMLAB("report", "~/runs"), 2, "", "the ~ is not expanded");
    expect(RUN_NORMLAB("worksheet", "~/w.xlsx"), 2, "", "the ~ is not expanded");
    cr_expect(rmdir("~") != 0 && errno == ENOENT, "nothing is called ~");
    expect(RUN_NORMLAB("worksheet", "./~w.xlsx"), 0, "", "");
    expect(RUN_NORMLAB("summary", "~gn.yaml"), 2, "", "normlab: ~gn.yaml: cannot");
    temp_dir_remove(dir);
}

Test(cli, numbers) {
    int value = -1;
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "-1", "1.0", "0x1", "x", "1e1", "11", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(nl_option_int(&value, "--n", bad[i], 0, 10, &err), NL_EUSAGE, "%s", bad[i]);
        cr_expect_str_eq(err.where, "--n");
        cr_expect(strstr(err.what, "0 to 10"), "%s", err.what);
    }
    cr_expect_eq(value, -1);
    cr_expect_eq(nl_option_int(&value, "--n", "10", 0, 10, &err), NL_OK);
    cr_expect_eq(value, 10);
}

Test(cli, seed_lists) {
    static const struct {
        const char *text;
        int count;
        uint32_t first, last;
    } good[] = {{"1", 1, 1, 1},     {"1-10", 10, 1, 10},
                {"1,3,5", 3, 1, 5}, {"7,1-3", 4, 7, 3},
                {"0", 1, 0, 0},     {"4294967295", 1, UINT32_MAX, UINT32_MAX},
                {"5-5", 1, 5, 5},   {"1-10000", 10000, 1, 10000}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nl_seeds seeds;
        cr_assert_eq(nl_option_seeds(&seeds, "--seeds", good[i].text, &err), NL_OK, "%s",
                     good[i].text);
        cr_expect_eq(seeds.count, good[i].count, "%s", good[i].text);
        cr_expect_eq(seeds.list[0], good[i].first, "%s", good[i].text);
        cr_expect_eq(seeds.list[seeds.count - 1], good[i].last, "%s", good[i].text);
        free(seeds.list);
    }
    static const char *const bad[][2] = {{"", "wants seeds"},
                                         {",", "wants seeds"},
                                         {"1,", "wants seeds"},
                                         {",1", "wants seeds"},
                                         {"1-", "wants seeds"},
                                         {"-1", "wants seeds"},
                                         {"1x", "wants seeds"},
                                         {"1-3x", "wants seeds"},
                                         {"1--3", "wants seeds"},
                                         {"1;2", "wants seeds"},
                                         {"4294967296", "wants seeds"},
                                         {"3-1", "reversed"},
                                         {"1,2,1", "twice"},
                                         {"1-5,3", "twice"},
                                         {"1-10001", "more than 10000"},
                                         {"1-9999,20000-30000", "more than 10000"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nl_seeds seeds;
        cr_expect_eq(nl_option_seeds(&seeds, "--seeds", bad[i][0], &err), NL_EUSAGE, "%s",
                     bad[i][0]);
        cr_expect(strstr(err.what, bad[i][1]), "%s: %s", bad[i][0], err.what);
        cr_expect_null(seeds.list);
    }
}

/* --- Devices --------------------------------------------------------------------------------- */

Test(cli, devices) {
    const nl_backend *backend = NULL;
    int device = -1;
    cr_expect_eq(nl_backend_select(&backend, &device, "cpu", &err), NL_OK);
    cr_expect_eq(backend, &nl_backend_cpu);
    cr_expect_eq(nl_backend_select(&backend, &device, "cpu64", &err), NL_OK);
    cr_expect_eq(backend, &nl_backend_cpu64);
    cr_expect_eq(nl_backend_select(&backend, &device, "auto", &err), NL_OK);
    const int cuda = nl_backend_select(&backend, &device, "cuda:0", &err);
    cr_expect(cuda == NL_OK || cuda == NL_EDEVICE, "%d", cuda);
    cr_expect_eq(nl_backend_select(&backend, &device, "cuda:999", &err), NL_EDEVICE);
    static const char *const bad[] = {
        "", "gpu", "cpu32", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "cuda0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(nl_backend_select(&backend, &device, bad[i], &err), NL_EUSAGE, "%s", bad[i]);
        cr_expect(strstr(err.where, "--device"), "%s", err.where);
    }
}

/* --- Summary --------------------------------------------------------------------------------- */

/* The rows without their spaces between columns. */
static char *squeeze(char *text) {
    char *to = text;
    for (const char *at = text; *at; at++)
        if (*at != ' ' || (to > text && to[-1] != ' ' && to[-1] != '\n')) *to++ = *at;
    *to = '\0';
    return text;
}

Test(cli, summary_of_the_network) {
    static const char *const rows[] = {
        "1 conv1 5x5 pad 2 norm, ReLU 1 x 28 x 28 96 x 28 x 28 5 1 2,400 96 192 1,881,600\n",
        "2 conv2 1x1 norm, ReLU 96 x 28 x 28 16 x 28 x 28 5 1 1,536 16 32 1,204,224\n",
        "3 pool3 2x2 / 2 max, dropout 16 x 28 x 28 16 x 14 x 14 6 2\n",
        "4 conv3 3x3 norm, ReLU 16 x 14 x 14 16 x 12 x 12 10 2 2,304 16 32 331,776\n",
        "5 conv4 1x1 norm, ReLU 16 x 12 x 12 8 x 12 x 12 10 2 128 8 16 18,432\n",
        "6 pool6 2x2 / 2 max, dropout 8 x 12 x 12 8 x 6 x 6 12 4\n",
        "7 conv5 3x3 norm, ReLU 8 x 6 x 6 16 x 4 x 4 20 4 1,152 16 32 18,432\n",
        "8 conv6 3x3 16 x 4 x 4 10 x 2 x 2 28 4 1,440 10 5,760\n",
        "9 pool9 2x2 average 10 x 2 x 2 10 32 4\n",
        "10 softmax in the loss 10 10\n",
        "9,426 parameters, 3,460,224 multiply-adds",
        "\nData: mnist, images of 1 x 28 x 28 in 10 classes, 0 to 9\n",
        "norm1 1,536 pairs of mean and variance, each over 3,136 values\n",
    };
    program_result r = RUN_NORMLAB("summary", CONFIG("gn"));
    cr_assert_eq(r.code, 0, "%s", r.err);
    for (const char *line = r.out, *end; (end = strchr(line, '\n')); line = end + 1) {
        cr_expect(end - line <= 100, "wider than 100: %.*s", (int)(end - line), line);
        cr_expect(end == line || end[-1] != ' ', "space at the end: %.*s", (int)(end - line), line);
    }
    squeeze(r.out);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect(strstr(r.out, rows[i]), "%s is missing in\n%s", rows[i], r.out);
    program_free(&r);
}

Test(cli, summary_at_a_batch) {
    static const struct {
        const char *config, *batch, *text;
    } cases[] = {
        {CONFIG("bn"), "64", "norm1 96 pairs of mean and variance, each over 50,176 values\n"},
        {CONFIG("bn"), "16", "norm1 96 pairs of mean and variance, each over 12,544 values\n"},
        {CONFIG("ln"), "64", "norm1 64 pairs of mean and variance, each over 75,264 values\n"},
        {CONFIG("gn"), "1", "norm1 24 pairs of mean and variance, each over 3,136 values\n"},
        {CONFIG("none"), "64", "9,122 parameters, 3,460,224"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        program_result r =
            RUN_NORMLAB("summary", "--batch", "5", cases[i].config, "--batch", cases[i].batch);
        cr_assert_eq(r.code, 0, "%s", r.err);
        cr_expect(strstr(squeeze(r.out), cases[i].text), "%s", r.out);
        program_free(&r);
    }
}

/* Those that are here for another set than MNIST. */
Test(cli, summary_of_other_pictures) {
    static const struct {
        const char *name, *says[3];
    } cases[] = {
        {"fashion",
         {"9,426 parameters",
          "fashion-mnist, images of 1 x 28 x 28 in 10 classes, T-shirt to ankle",
          "10 softmax in the loss 10 10\n"}},
        {"cifar10",
         {"77,898 parameters", "cifar10, images of 3 x 32 x 32 in 10 classes, airplane to truck",
          "11 softmax in the loss 10 10\n"}},
    };
    static const char *const norms[] = {"bn", "ln", "gn"};
    for (int i = 0; i < 6; i++) {
        char path[512];
        snprintf(path, sizeof path, CONFIG("%s_%s"), cases[i / 3].name, norms[i % 3]);
        program_result r = RUN_NORMLAB("summary", path);
        cr_assert_eq(r.code, 0, "%s", r.err);
        squeeze(r.out);
        for (int k = 0; k < 3; k++)
            cr_expect(strstr(r.out, cases[i / 3].says[k]), "%s: %s", path, r.out);
        program_free(&r);
    }
}

Test(cli, summary_of_a_wrong_config) {
    char *dir = temp_dir_make(), path[512], place[600];
    static const char text[] = "data:\n  batch: 6x4\n";
    snprintf(path, sizeof path, "%s/bad.yaml", dir);
    idx_set_save(path, text, sizeof text - 1, false);
    snprintf(place, sizeof place, "normlab: %s:2: data.batch: '6x4'", path);
    expect(RUN_NORMLAB("summary", path), 2, "", place);
    expect(RUN_NORMLAB("summary", dir), 2, "", "is a folder");
    temp_dir_remove(dir);
}
