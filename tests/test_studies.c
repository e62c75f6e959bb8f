/* The ready studies: every config loads, and is the published variant of its norm but for what its
 * name says. */
#include <criterion/criterion.h>

#include <dirent.h> // opendir
#include <stdio.h>  // snprintf
#include <stdlib.h> // atoi
#include <string.h> // strstr

#include "normlab/config.h"
#include "normlab/model.h" // nl_model_build

static void load(nl_config *config, const char *folder, const char *file) {
    char path[500];
    nl_error err = {0};
    snprintf(path, sizeof path, NL_SOURCE_DIR "/configs/%s%s", folder, file);
    cr_assert_eq(nl_config_load(config, path, &err), NL_OK, "%s: %s: %s", path, err.where,
                 err.what);
    nl_model *model = nl_alloc(1, sizeof *model, "model");
    const int last = 60000 % config->data.batch ? 60000 % config->data.batch : config->data.batch;
    cr_assert_eq(nl_model_build(model, config, last, &err), NL_OK, "%s: %s", path, err.what);
    free(model);
}

static const char *norm_of(const char *file) {
    if (strncmp(file, "vary_", 5) == 0) return "bn.yaml";
    return strstr(file, "bn") ? "bn.yaml" : strstr(file, "ln") ? "ln.yaml" : "gn.yaml";
}

/* What the name of a study's config says, put into the published config, must give that config. */
static int check_folder(const char *folder) {
    char path[500];
    snprintf(path, sizeof path, NL_SOURCE_DIR "/configs/%s", folder);
    DIR *dir = opendir(path);
    cr_assert(dir, "%s", path);
    int count = 0;
    nl_config *got = nl_alloc(2, sizeof *got, "configs"), *want = got + 1;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *file = entry->d_name;
        if (file[0] == '.') continue;
        load(got, folder, file);
        load(want, "", norm_of(file));
        memcpy(want->name, got->name, sizeof want->name);
        if (strstr(file, "_l1")) want->train.l1 = 0.001;
        if (strstr(file, "_l2")) want->train.weight_decay = 0.0005;
        for (unsigned i = 0; i < 4 && strncmp(file, "vary_", 5) == 0; i++)
            if (strstr(file + 5, nl_stream_words[i])) want->train.vary = 1u << i;
        if (strncmp(file, "batch", 5) == 0) {
            want->data.batch = atoi(file + 5);
            want->train.lr = 0.01 * want->data.batch / 64;
        }
        const char *keys[NL_MAX_KEYS + 1] = {0};
        cr_expect_eq(nl_config_differences(keys, got, want), 0, "%s: %s", file,
                     keys[0] ? keys[0] : "");
        count++;
    }
    closedir(dir);
    free(got);
    return count;
}

Test(studies, fair) {
    cr_expect_eq(check_folder("study/fair/"), 12);
}

Test(studies, vary) {
    cr_expect_eq(check_folder("study/vary/"), 5);
}

Test(studies, small_batch) {
    cr_expect_eq(check_folder("study/small_batch/"), 15);
}
