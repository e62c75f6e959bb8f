/* See known_set.h. */
#include "known_set.h"

#include <string.h> // strcmp

#include "normlab/config.h" // nl_picture_of_set

/* SHA-256 of MNIST's unpacked images, as scripts/data-sets.txt has them, and how many there are. */
static const struct {
    enum nl_file file;
    uint32_t count;
    const char *sha256;
} mnist[] = {
    {NL_TRAIN_IMAGES, 60000, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
    {NL_TEST_IMAGES, 10000, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
};

static const nl_read_file *find(const nl_dataset *data, const char *name) {
    for (int i = 0; i < data->n_files; i++)
        if (!strcmp(data->files[i].name, name)) return &data->files[i];
    return NULL;
}

int nl_known_set_check(const nl_dataset *data, const char *dir, nl_error *err) {
    const char *set = data->picture.set;
    const bool named = strcmp(set, "mnist") == 0;
    nl_picture known;
    for (size_t i = 0; i < sizeof mnist / sizeof *mnist; i++) {
        const nl_read_file *file = find(data, nl_file_name(mnist[i].file));
        const nl_split *split = mnist[i].file == NL_TRAIN_IMAGES ? &data->train : &data->test;
        const bool same = file && strcmp(file->sha256, mnist[i].sha256) == 0;
        if (same && !named && nl_picture_of_set(&known, set)) {
            nl_fail(err, NL_EDATA, dir, "these are MNIST's files, and data.set is %s", set);
            return nl_hint(err,
                           "scripts/fetch-data.sh %s DIR gets the right ones, --data DIR "
                           "names them; or train a config of MNIST's",
                           set);
        }
        if (file && !same && named && split->count == mnist[i].count)
            nl_warn(dir,
                    "%s is not MNIST's by SHA-256, though data.set is mnist: for another set "
                    "of this format, name it (--set data.set=fashion-mnist, kmnist ...)",
                    file->name);
    }
    return NL_OK;
}
