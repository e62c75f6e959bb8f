/* Bad files and folders, through the built program: data, checkpoints, output folders. Each is
 * refused with the exit code of its kind, and nothing is written. */
#include <criterion/criterion.h>
#include <signal.h>   // kill
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/stat.h> // stat
#include <unistd.h>   // access

#include "support/idx_set.h"
#include "support/refusal.h"
#include "support/slurp.h"

#include "normlab/error.h"

enum { N_TRAIN = 96, N_TEST = 32, PATH_SIZE = REFUSAL_PATH };
#define GN NL_SOURCE_DIR "/configs/gn.yaml"
#define BN NL_SOURCE_DIR "/configs/bn.yaml"

static char *top;                                             /* all that a test makes */
static char data[PATH_SIZE], out[PATH_SIZE], good[PATH_SIZE]; /* good: a unit of 0 epochs */

static void begin(void) {
    top = temp_dir_make();
    idx_set_write(join(data, top, "data"), N_TRAIN, N_TEST, false);
    join(out, top, "out");
}

static void end(void) {
    temp_dir_remove(top);
}

TestSuite(fault_files, .init = begin, .fini = end);

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static void make_good(void) {
    program_result r = RUN_NORMLAB("train", GN, "--data", data, "--out", join(good, top, "good"),
                                   "--epochs", "0", "--device", "cpu");
    cr_assert_eq(r.code, 0, "%s", r.err);
    program_free(&r);
    join(good, top, "good/gn/seed-1/init.safetensors");
    cr_assert(exists(good));
}

/* ---- files ---------------------------------------------------------------------------------- */

static void put(const char *path, long offset, const char *bytes, size_t size) {
    FILE *file = fopen(path, "r+b");
    cr_assert(file, "%s", path);
    cr_assert_eq(fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET), 0);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static void save(const char *path, const char *bytes, size_t size) {
    idx_set_save(path, bytes, size, false);
}

static void cut(const char *path, long size) {
    cr_assert_eq(truncate(path, size), 0);
}

/* ---- data ----------------------------------------------------------------------------------- */

static void removed(const char *path) {
    cr_assert_eq(unlink(path), 0);
}
static void emptied(const char *path) {
    cut(path, 0);
}
static void ends_in_header(const char *path) {
    cut(path, 7);
}
static void truncated(const char *path) {
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    cut(path, info.st_size - 1);
}
static void too_long(const char *path) {
    put(path, -1, "ab", 2);
}
static void count_of_billions(const char *path) {
    put(path, 4, "\xff\xff\xff\xff", 4);
}
static void count_of_none(const char *path) {
    put(path, 4, "\0\0\0\0", 4);
}
static void other_magic(const char *path) {
    put(path, 0, "\0\0\x0d\3", 4);
}
static void wrong_width(const char *path) {
    put(path, 15, "\x1d", 1);
}
static void label_of_ten(const char *path) {
    put(path, 8 + 5, "\x0a", 1);
}
static void one_label_less(const char *path) {
    put(path, 4, "\0\0\0\x5f", 4); /* 95 of 96 */
    cut(path, 8 + 95);
}
static void images_as_labels(const char *path) {
    size_t size;
    uint8_t *images = idx_set_content(&size, 0, N_TRAIN, 3);
    idx_set_save(path, images, size, false);
    free(images);
}

/* The raw file gives way to a .gz, made of its content and `extra` zeros; cut to `keep` bytes. */
static void zip(const char *path, size_t extra, long keep) {
    size_t size;
    char *content = slurp(path, &size), zipped[PATH_SIZE];
    content = realloc(content, size + extra);
    cr_assert(content);
    memset(content + size, 0, extra);
    snprintf(zipped, sizeof zipped, "%s.gz", path);
    idx_set_save(zipped, content, size + extra, true);
    free(content);
    if (keep) cut(zipped, keep);
    cr_assert_eq(unlink(path), 0);
}
static void gz_truncated(const char *path) {
    zip(path, 0, 60);
}
static void gz_too_long(const char *path) {
    zip(path, 500000, 0);
}
static void gz_corrupt(const char *path) {
    char zipped[PATH_SIZE];
    zip(path, 0, 0);
    snprintf(zipped, sizeof zipped, "%s.gz", path);
    put(zipped, 20, "\x5a\xa5\x5a\xa5\x5a\xa5", 6);
}

Test(fault_files, data) {
    static const struct {
        const char *what, *file;
        void (*damage)(const char *path);
        const char *says;
    } faults[] = {
        {"missing", "train-images-idx3-ubyte", removed, "no train-images-idx3-ubyte"},
        {"missing labels", "t10k-labels-idx1-ubyte", removed, "no t10k-labels-idx1-ubyte"},
        {"empty", "train-images-idx3-ubyte", emptied, "truncated"},
        {"only a header", "t10k-images-idx3-ubyte", ends_in_header, "truncated"},
        {"truncated", "train-images-idx3-ubyte", truncated, "truncated"},
        {"truncated labels", "train-labels-idx1-ubyte", truncated, "truncated"},
        {"too long", "t10k-images-idx3-ubyte", too_long, "too long"},
        {"count", "train-images-idx3-ubyte", count_of_billions, "count 4294967295"},
        {"count of labels", "train-labels-idx1-ubyte", count_of_billions, "count 4294967295"},
        {"nothing in it", "train-labels-idx1-ubyte", count_of_none, "count 0"},
        {"magic", "t10k-labels-idx1-ubyte", other_magic, "magic number 0x00000d03"},
        {"size of images", "train-images-idx3-ubyte", wrong_width, "28 x 29"},
        {"label", "t10k-labels-idx1-ubyte", label_of_ten, "label 10 of image 5"},
        {"unequal counts", "train-labels-idx1-ubyte", one_label_less, "95 labels"},
        {"mislabelled", "train-labels-idx1-ubyte", images_as_labels, "magic number 0x00000803"},
        {"gz truncated", "train-images-idx3-ubyte", gz_truncated, ".gz: truncated gzip"},
        {"gz inflates too far", "t10k-labels-idx1-ubyte", gz_too_long, "goes on after"},
        {"gz corrupt", "t10k-images-idx3-ubyte", gz_corrupt, ".gz: corrupt"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char path[PATH_SIZE], name[40];
        snprintf(name, sizeof name, "data-%zu", i);
        idx_set_write(join(data, top, name), N_TRAIN, N_TEST, false);
        join(path, data, faults[i].file);
        faults[i].damage(path);
        REFUSE_TRAIN(faults[i].what, NL_EDATA, faults[i].says, GN);
        REFUSE_TRAIN(faults[i].what, NL_EDATA, faults[i].file, GN);
    }
    join(data, top, "no such folder");
    REFUSE_TRAIN("no folder", NL_EDATA, data, GN);
    join(data, top, "data/t10k-labels-idx1-ubyte");
    REFUSE_TRAIN("a file as folder", NL_EDATA, data, GN);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

Test(fault_files, checkpoint) {
    make_good();
    size_t size;
    char *bytes = slurp(good, &size), bad[PATH_SIZE];
    join(bad, top, "bad.safetensors");
    static const struct {
        const char *what;
        long cut, at; /* keep the first bytes; overwrite from here */
        const char *with, *says;
    } faults[] = {
        {"empty", 0, 0, "", "not a checkpoint"},
        {"truncated", -1, 0, "", "bad.safetensors"},
        {"ends in its header", 100, 0, "", "header length"},
        {"flipped bit", 1 << 20, -9, "\x55", "sha256"},
        {"header of exabytes", 1 << 20, 5, "\x7f\x7f", "header length"},
        {"header no JSON", 1 << 20, 8, "[[[[", "header"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const long keep = faults[i].cut < 0 ? (long)size + faults[i].cut : faults[i].cut;
        save(bad, bytes, keep < (long)size ? (size_t)keep : size);
        if (*faults[i].with) put(bad, faults[i].at, faults[i].with, strlen(faults[i].with));
        REFUSE_TRAIN(faults[i].what, NL_EDATA, faults[i].says, GN, "--init", bad);
        REFUSE(faults[i].what, NL_EDATA, faults[i].says, "eval", bad, "--data", data, "--device",
               "cpu");
    }
    free(bytes);
    REFUSE_TRAIN("of another network", NL_EDATA, "norm1.running_mean", BN, "--init", good);
    join(bad, top, "none.safetensors");
    REFUSE_TRAIN("missing", NL_EDATA, "none.safetensors", GN, "--init", bad);
    REFUSE("missing", NL_EDATA, "none.safetensors", "eval", bad, "--data", data, "--device", "cpu");
    REFUSE("a folder", NL_EDATA, top, "eval", top, "--data", data, "--device", "cpu");
    REFUSE("no data", NL_EDATA, "no such folder", "eval", good, "--data", "/no such folder",
           "--device", "cpu");
}

/* ---- output folders ------------------------------------------------------------------------- */

Test(fault_files, output_folder) {
    char path[PATH_SIZE], before[128], after[128];
    make_good();
    join(path, top, "good");
    struct stat info;
    cr_assert_eq(stat(good, &info), 0);
    snprintf(before, sizeof before, "%lld %lld", (long long)info.st_ino, (long long)info.st_size);
    REFUSE_TRAIN("a unit that is there", NL_EUSAGE, "gn/seed-1", GN, "--out", path);
    cr_assert_eq(stat(good, &info), 0);
    snprintf(after, sizeof after, "%lld %lld", (long long)info.st_ino, (long long)info.st_size);
    cr_expect_str_eq(before, after, "the earlier run was touched");

    REFUSE_TRAIN("nothing to resume", NL_EDATA, out, GN, "--resume");
    static const char *const impossible[] = {"data/t10k-labels-idx1-ubyte",
                                             "data/t10k-labels-idx1-ubyte/below", "/proc/normlab"};
    for (int i = 0; i < 3; i++) {
        if (*impossible[i] != '/') join(path, top, impossible[i]);
        const char *where = *impossible[i] == '/' ? impossible[i] : path;
        program_result r = RUN_NORMLAB("train", GN, "--data", data, "--out", where, "--epochs", "1",
                                       "--device", "cpu");
        cr_expect(r.code == NL_EWRITE, "%s: exit %d: %s", where, r.code, r.err);
        char named[PATH_SIZE]; /* what is in the way */
        snprintf(named, sizeof named, "%.*s", (int)strlen(where) - (i == 1 ? 6 : 0), where);
        cr_expect(one_clear_line(r.err) && strstr(r.err, named), "%s: %s", where, r.err);
        program_free(&r);
    }
}

static void wait_for(const char *path) {
    for (int i = 0; i < 6000 && !exists(path); i++) usleep(10000);
    cr_assert(exists(path), "%s does not appear", path);
}

/* The second process on one unit is refused; the first one, stopped, has kept its state. */
Test(fault_files, lock) {
    char path[PATH_SIZE];
    program first = program_start((const char *const[]){NL_PROGRAM, "train", GN, "--data", data,
                                                        "--out", out, "--epochs", "100000",
                                                        "--device", "cpu", "--no-report", NULL});
    wait_for(join(path, out, "gn/seed-1/last.safetensors"));
    const char *const modes[] = {"--overwrite", "--resume"};
    for (int i = 0; i < 2; i++) {
        REFUSE("locked", NL_EUSAGE, "gn/seed-1", "train", GN, "--data", data, "--out", out,
               "--epochs", "100000", "--device", "cpu", modes[i]);
    }
    kill(first.pid, SIGTERM);
    program_result r = program_wait(&first, 300);
    cr_expect_eq(r.code, NL_ESIGTERM, "exit %d: %s", r.code, r.err);
    program_free(&r);
    cr_expect(exists(join(path, out, "gn/seed-1/state.safetensors")));
}
