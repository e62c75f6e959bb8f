/* The data sets that a config may name with no more words, and what a config without those words
 * takes from them. Mean and deviation are those of the training images' bytes / 255.
 */
#include <string.h> // strcmp

#include "config_keys.h"
#include "config_read.h"

static const char *const fashion[] = {"T-shirt", "trousers", "pullover", "dress", "coat",
                                      "sandal",  "shirt",    "sneaker",  "bag",   "ankle boot"};
static const char *const kuzushiji[] = {"o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"};
static const char *const letters[] = {"A", "B", "C", "D", "E", "F", "G", "H", "I",
                                      "J", "K", "L", "M", "N", "O", "P", "Q", "R",
                                      "S", "T", "U", "V", "W", "X", "Y", "Z"};
static const char *const balanced[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B",
                                       "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N",
                                       "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z",
                                       "a", "b", "d", "e", "f", "g", "h", "n", "q", "r", "t"};
static const char *const cifar10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};

/* names NULL: digits, which are their own names */
static const struct row {
    const char *set;
    nl_image_shape shape;
    int classes;
    const char *const *names;
    nl_by_channel mean, std;
} rows[] = {
#define ONE(x)                                                                                     \
    { {x, x, x, x}, 1 }
    {"mnist", {1, 28, 28}, 10, NULL, ONE(0.1307), ONE(0.3081)},
    {"fashion-mnist", {1, 28, 28}, 10, fashion, ONE(0.2860), ONE(0.3530)},
    {"kmnist", {1, 28, 28}, 10, kuzushiji, ONE(0.1918), ONE(0.3483)},
    {"emnist-letters", {1, 28, 28}, 26, letters, ONE(0.1722), ONE(0.3309)},
    {"emnist-balanced", {1, 28, 28}, 47, balanced, ONE(0.1751), ONE(0.3332)},
    {"cifar10",
     {3, 32, 32},
     10,
     cifar10,
     {{0.4914, 0.4822, 0.4465, 0.4465}, 3},
     {{0.2470, 0.2435, 0.2616, 0.2616}, 3}},
#undef ONE
};

static const struct row *find(const char *set) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].set, set)) return &rows[i];
    return NULL;
}

static void take_names(nl_picture *picture, const struct row *row) {
    memset(picture->names, 0, sizeof picture->names);
    for (int i = 0; row && row->names && i < row->classes && row->classes == picture->classes; i++)
        strcpy(picture->names[i], row->names[i]);
}

bool nl_picture_of_set(nl_picture *picture, const char *set) {
    const struct row *row = find(set);
    if (!row) return false;
    *picture = (nl_picture){
        .shape = row->shape, .classes = row->classes, .mean = row->mean, .std = row->std};
    strcpy(picture->set, row->set);
    take_names(picture, row);
    return true;
}

/* ---- in a config ---- */

static bool given(const nl_config *config, const char *key) {
    return config->lines[nl_key_find(nl_config_keys, nl_config_key_count, key)] != NL_FROM_DEFAULT;
}

void nl_config_take_set(nl_config *config) {
    static const struct row unknown = {0};
    nl_picture *picture = &config->data.picture;
    const struct row *row = find(config->data.picture.set);
    const struct row *known = row ? row : &unknown;
    if (!given(config, "data.shape")) picture->shape = known->shape;
    if (!given(config, "data.classes")) picture->classes = known->classes;
    if (!given(config, "data.mean")) picture->mean = known->mean;
    if (!given(config, "data.std")) picture->std = known->std;
    if (!given(config, "data.class_names")) take_names(picture, row);
}

static int fail_unknown(const nl_config *config, const char *missing, const char *where,
                        nl_error *err) {
    char place[512];
    nl_key_place(place, sizeof place, config, "data.set", where);
    nl_fail(err, NL_EUSAGE, place, "data.set: '%s' is no set with defaults, and %s is missing",
            config->data.picture.set, missing);
    return nl_hint(err, "give data.shape, data.classes, data.mean and data.std, or one of mnist, "
                        "fashion-mnist, kmnist, emnist-letters, emnist-balanced, cifar10");
}

static int check_channels(const nl_config *config, const char *key, const nl_by_channel *numbers,
                          const char *where, nl_error *err) {
    char place[512];
    const int channels = config->data.picture.shape.channels;
    if (numbers->count == 1 || numbers->count == channels) return NL_OK;
    nl_key_place(place, sizeof place, config, key, where);
    nl_fail(err, NL_EUSAGE, place, "%s: %d numbers, but data.shape has %d channel%s", key,
            numbers->count, channels, channels == 1 ? "" : "s");
    return nl_hint(err, "one number stands for all channels");
}

int nl_config_check_picture(const nl_config *config, const char *where, nl_error *err) {
    const nl_picture *picture = &config->data.picture;
    char place[512];
    if (!picture->shape.channels) return fail_unknown(config, "data.shape", where, err);
    if (!picture->classes) return fail_unknown(config, "data.classes", where, err);
    if (!picture->mean.count) return fail_unknown(config, "data.mean", where, err);
    if (!picture->std.count) return fail_unknown(config, "data.std", where, err);
    int code = check_channels(config, "data.mean", &picture->mean, where, err);
    if (!code) code = check_channels(config, "data.std", &picture->std, where, err);
    const int names = nl_picture_names(picture);
    if (code || names == 0 || names == picture->classes) return code;
    nl_key_place(place, sizeof place, config, "data.class_names", where);
    nl_fail(err, NL_EUSAGE, place, "data.class_names: %d names, but data.classes is %d", names,
            picture->classes);
    return nl_hint(err, "a name for each class, or [] for none");
}
