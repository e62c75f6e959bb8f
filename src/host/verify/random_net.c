/* Draws networks; see normlab/random_net.h. Every draw is valid: shapes are followed from layer to
 * layer, and a norm that would see one value is left out.
 */
#include "normlab/random_net.h"

#include <stdio.h>  // snprintf, open_memstream
#include <stdlib.h> // free
#include <string.h> // strcmp

#include "normlab/ops.h"    // nl_conv_out
#include "normlab/philox.h" // nl_philox4x32

/* ---- the table of keys -------------------------------------------------------------------------
 */

/* In the order of the file. Values of data.batch and model.group_size are drawn elsewhere. */
static const struct {
    const char *key, *values[8];
} choices[] = {
    {"data.mean", {"0.1307", "0", "0.5"}},
    {"data.std", {"0.3081", "0.5", "1"}},
    {"data.rotate", {"7", "0", "30", "180"}},
    {"data.shuffle", {"true", "false"}},
    {"data.batch", {NULL}},
    {"model.norm", {"batch", "layer", "group", "instance", "none", "batch", "group", "group"}},
    {"model.group_size", {"1", "2", "3", "4", "5", "8", "10"}},
    {"model.eps", {"1e-5", "1e-4", "1e-3", "0.1"}},
    {"model.dropout", {"0.05", "0", "0.3", "0.5"}},
    {"train.epochs", {"2", "3", "20"}},
    {"train.lr", {"0.01", "0.003", "0.001"}},
    {"train.momentum", {"0.9", "0.5", "0"}},
    {"train.nesterov", {"false", "true"}},
    {"train.l1", {"0", "0.001", "1e-4"}},
    {"train.weight_decay", {"0", "5e-4", "0.01"}},
    {"train.norm_momentum", {"0.1", "0", "0.5", "1"}},
    {"train.schedule.kind", {"step", "constant", "cosine"}},
    {"train.schedule.every", {"1", "2", "5"}},
    {"train.schedule.factor", {"0.1", "0.5", "2"}},
    {"train.seed", {"1", "0", "77", "4294967295"}},
    {"train.math", {"fp32", "tf32"}},
};

enum {
    CHOICES = sizeof choices / sizeof *choices,
    VALUES = sizeof choices->values / sizeof(char *)
};

const char *nl_random_key(int i) {
    return i < CHOICES ? choices[i].key : NULL;
}

int nl_random_row(const char *key) {
    int i = 0;
    while (i < CHOICES && strcmp(choices[i].key, key) != 0) i++;
    NL_ASSERT(i < CHOICES);
    return i;
}

/* ---- draws -------------------------------------------------------------------------------------
 */

typedef struct dice {
    uint32_t seed, at;
} dice;

enum { DICE_KEY = 101 };

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10 };

/* Multiply-adds of networks whose images are few too. */
enum { CHEAP = 10000 };

/* 0 to sides - 1 */
static int roll(dice *d, int sides) {
    const uint32_t word = nl_philox4x32(d->at++, 0, 0, 0, d->seed, DICE_KEY).v[0];
    return (int)((uint64_t)word * (uint64_t)sides >> 32);
}

static int between(dice *d, int low, int high) {
    return low + roll(d, high - low + 1);
}

static bool chance(dice *d, int percent) {
    return roll(d, 100) < percent;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* ---- the keys ----------------------------------------------------------------------------------
 */

static void set_value(nl_random_net *net, const char *key, const char *value) {
    snprintf(net->values[nl_random_row(key)], sizeof *net->values, "%s", value);
}

static const char *value_of(const nl_random_net *net, const char *key) {
    return net->values[nl_random_row(key)];
}

static void draw_keys(nl_random_net *net, dice *d) {
    for (int i = 0; i < CHOICES; i++) {
        int count = 0;
        while (count < VALUES && choices[i].values[count]) count++;
        net->by_set[i] = chance(d, 30);
        if (count > 0) set_value(net, choices[i].key, choices[i].values[roll(d, count)]);
        /* a default is as good as a value, where nothing else here depends on it */
        const bool needed = !strncmp(choices[i].key, "model.", 6);
        if (!needed && chance(d, 20)) set_value(net, choices[i].key, "");
    }
    if (!strcmp(value_of(net, "train.momentum"), "0")) set_value(net, "train.nesterov", "false");
}

/* Batch, images and steps: a last batch that is full, of one image, or in between; at times one
 * batch that the data does not fill, or a last batch that is never trained on. */
static void draw_sizes(nl_random_net *net, dice *d, int most) {
    const int batch = between(d, 1, most), kind = roll(d, 10);
    const int full = between(d, 1, smaller(3, 2 * most / batch));
    const int rest = batch == 1 || kind < 3 ? 0 : kind < 6 ? 1 : between(d, 1, batch - 1);
    const bool alone = rest > 0 && chance(d, 10); /* one batch, not full */
    const bool unused = rest > 0 && !alone && chance(d, 20);
    char text[16];
    snprintf(text, sizeof text, "%d", batch);
    set_value(net, "data.batch", text);
    net->images = (uint32_t)(alone ? rest : full * batch + rest);
    net->steps = (uint32_t)(alone ? 1 : full + (rest > 0 && !unused));
    net->tests = (uint32_t)between(d, 1, 40);
    net->threads = between(d, 1, 3);
}

/* ---- the layers --------------------------------------------------------------------------------
 */

typedef struct shape {
    int c, side;
    int64_t macs; /* left */
    int smallest; /* batch that is trained on */
} shape;

/* The largest number of channels that the budget allows; at least 1. */
static int most_channels(const shape *s, const nl_layer_spec *l) {
    const int out = nl_conv_out(s->side, l->kernel, l->pad);
    const int64_t each = (int64_t)s->c * l->kernel * l->kernel * out * out;
    const int64_t most = s->macs / each;
    return most < 1 ? 1 : most > 64 ? 64 : (int)most;
}

static nl_norm norm_named(const char *name) {
    int norm = NL_NORM_NONE + 1;
    while (norm < NL_NORMS && strcmp(nl_norm_words[norm], name) != 0) norm++;
    return norm < NL_NORMS ? (nl_norm)norm : NL_NORM_NONE;
}

static bool may_norm(nl_norm norm, const nl_random_net *net, const shape *s,
                     const nl_layer_spec *l) {
    const nl_norm_row *row = nl_norm_find(norm);
    if (!row) return true;
    const int side = nl_conv_out(s->side, l->kernel, l->pad);
    int values = s->smallest;
    if (row->groups) {
        const int groups = row->groups(l->out, atoi(value_of(net, "model.group_size")));
        if (groups == 0) return false;
        values = l->out / groups;
    }
    return !row->centres || values * side * side > 1;
}

/* Some layers get a norm of their own. */
static void mix_norms(nl_layer_spec *l, const nl_random_net *net, dice *mix, const shape *s) {
    const nl_norm own = (nl_norm)between(mix, NL_NORM_NONE + 1, NL_NORMS - 1);
    if (chance(mix, 20) && may_norm(own, net, s, l)) l->norm = own;
}

static nl_layer_spec draw_conv(const nl_random_net *net, dice *d, const shape *s, bool last) {
    nl_layer_spec l = {.kind = NL_LAYER_CONV, .kernel = between(d, 1, 7)};
    if (chance(d, 60)) l.pad = roll(d, l.kernel);
    if (s->side + 2 * l.pad < l.kernel) l.pad = l.kernel - 1;
    const bool norm = chance(d, last ? 50 : 65);
    const int wanted = chance(d, 10) ? between(d, 1, 40) : between(d, 1, 12);
    while (l.kernel > 1 && most_channels(s, &l) < (last ? 10 : 2)) {
        l.kernel--;
        l.pad = smaller(l.pad, l.kernel - 1);
        if (s->side + 2 * l.pad < l.kernel) l.pad = l.kernel - 1;
    }
    l.out = last ? 10 : smaller(wanted, most_channels(s, &l));
    const int group = atoi(value_of(net, "model.group_size"));
    if (norm && !last && !strcmp(value_of(net, "model.norm"), "group"))
        l.out = group * ((l.out + group - 1) / group);
    const nl_norm of_model = norm_named(value_of(net, "model.norm"));
    l.norm = norm && may_norm(of_model, net, s, &l) ? NL_NORM_OF_MODEL : NL_NORM_NONE;
    l.relu = chance(d, last ? 30 : 70);
    return l;
}

static void add_layer(nl_random_net *net, shape *s, nl_layer_spec l) {
    net->layers[net->n_layers++] = l;
    if (l.kind == NL_LAYER_MAX_POOL) s->side /= l.size;
    if (l.kind != NL_LAYER_CONV) return;
    s->side = nl_conv_out(s->side, l.kernel, l.pad);
    s->macs -= (int64_t)l.out * s->c * l.kernel * l.kernel * s->side * s->side;
    s->c = l.out;
}

static void draw_layers(nl_random_net *net, dice *d, dice *mix, int64_t macs) {
    const int count = between(d, 1, NL_RANDOM_LAYERS - 1),
              batch = atoi(value_of(net, "data.batch"));
    const int left = (int)net->images % batch;
    shape s = {.c = 1,
               .side = SIDE,
               .macs = macs,
               .smallest = left && net->steps * (uint32_t)batch > net->images ? left : batch};
    int last =
        between(d, 0, count - 1); /* the last convolution: at least half of them at the end */
    if (chance(d, 60)) last = count - 1;
    for (int i = 0; i < count; i++) {
        const bool conv = i == last || (i < last && !chance(d, i == 0 ? 25 : 35));
        const int most = smaller(s.side, 4);
        nl_layer_spec l = {.kind = NL_LAYER_MAX_POOL};
        if (conv) {
            l = draw_conv(net, d, &s, i == last);
            mix_norms(&l, net, mix, &s);
        } else if (most >= 2) {
            l.size = between(d, 2, most);
            l.dropout = chance(d, 50);
        }
        if (conv || most >= 2) add_layer(net, &s, l);
    }
    add_layer(net, &s, (nl_layer_spec){.kind = NL_LAYER_AVG_POOL});
}

void nl_random_net_draw(nl_random_net *net, uint32_t seed, int64_t macs) {
    dice d = {seed, 0}, mix = {seed, 500000}; /* apart from each other and from the images' */
    *net = (nl_random_net){.seed = seed};
    draw_keys(net, &d);
    draw_sizes(net, &d, macs < CHEAP ? 12 : 33);
    if (chance(&mix, 15)) set_value(net, "model.norm", "rms");
    draw_layers(net, &d, &mix, macs);
}

/* ---- the config --------------------------------------------------------------------------------
 */

static void write_layer(FILE *out, const nl_layer_spec *l) {
    if (l->kind == NL_LAYER_AVG_POOL) {
        fputs("    - {pool: average}\n", out);
    } else if (l->kind == NL_LAYER_MAX_POOL) {
        fprintf(out, "    - {pool: max, size: %d, dropout: %s}\n", l->size,
                l->dropout ? "true" : "false");
    } else {
        fprintf(out, "    - {conv: %d, kernel: %d", l->out, l->kernel);
        if (l->pad) fprintf(out, ", pad: %d", l->pad);
        if (l->norm == NL_NORM_OF_MODEL)
            fputs(", norm: true", out);
        else if (l->norm)
            fprintf(out, ", norm: %s", nl_norm_words[l->norm]);
        fprintf(out, ", relu: %s}\n", l->relu ? "true" : "false");
    }
}

static bool in_file(const nl_random_net *net, int row, const char *section) {
    return !strncmp(choices[row].key, section, strlen(section)) && net->values[row][0] &&
           !net->by_set[row];
}

/* The section's line, where anything of it stands in the file, and its keys; its name ends in a
 * dot. */
static void write_section(FILE *out, const nl_random_net *net, const char *section,
                          const char *line, const char *indent) {
    bool any = false;
    for (int i = 0; i < CHOICES; i++) any = any || in_file(net, i, section);
    if (any) fputs(line, out);
    for (int i = 0; i < CHOICES; i++) {
        const char *leaf = choices[i].key + strlen(section);
        if (in_file(net, i, section) && !strchr(leaf, '.'))
            fprintf(out, "%s%s: %s\n", indent, leaf, net->values[i]);
    }
}

char *nl_random_net_text(const nl_random_net *net, char **sets) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    NL_ASSERT(out);
    write_section(out, net, "data.", "data:\n", "  ");
    fputs("model:\n", out);
    write_section(out, net, "model.", "", "  ");
    fputs("  layers:\n", out);
    for (int i = 0; i < net->n_layers; i++) write_layer(out, &net->layers[i]);
    write_section(out, net, "train.", "train:\n", "  ");
    write_section(out, net, "train.schedule.", "  schedule:\n", "    ");
    NL_ASSERT(fclose(out) == 0);
    out = open_memstream(sets, &size);
    NL_ASSERT(out);
    for (int i = 0; i < CHOICES; i++)
        if (net->values[i][0] && net->by_set[i])
            fprintf(out, "%s=%s\n", choices[i].key, net->values[i]);
    NL_ASSERT(fclose(out) == 0);
    return text;
}

static int apply_sets(nl_config *config, char *sets, nl_error *err) {
    int code = NL_OK;
    char *rest = sets;
    for (char *line; !code && (line = strtok_r(rest, "\n", &rest));)
        code = nl_config_set(config, line, err);
    return code;
}

int nl_random_net_load(nl_config *config, nl_model *model, const nl_random_net *net,
                       nl_error *err) {
    char *sets, *text = nl_random_net_text(net, &sets), name[64];
    FILE *file = fmemopen(text, strlen(text), "r");
    NL_ASSERT(file);
    snprintf(name, sizeof name, "random-%u.yaml", net->seed);
    int code = nl_config_read(config, file, name, err);
    fclose(file);
    if (!code) code = apply_sets(config, sets, err);
    if (!code) code = nl_model_check(config, err);
    if (!code) {
        const uint32_t batch = (uint32_t)config->data.batch, left = net->images % batch;
        if ((uint64_t)(net->steps - 1) * batch >= net->images)
            code = nl_fail(err, NL_EUSAGE, name, "%u images have no %u steps", net->images,
                           net->steps);
        const bool used = net->images < batch || net->steps > net->images / batch;
        if (!code) code = nl_model_build(model, config, (int)(left && used ? left : batch), err);
    }
    free(text);
    free(sets);
    return code;
}

/* ---- the data ----------------------------------------------------------------------------------
 */

static void draw_image(uint8_t *image, uint32_t seed, uint32_t number) {
    dice d = {seed, 1000000 + number * 10000};
    const int kind = roll(&d, 8), level = roll(&d, 256);
    const int constant = kind == 1 ? level : 0;
    memset(image, kind == 0 ? 255 : constant, PIXELS);
    if (kind < 3) return; /* white, one grey, black */
    for (int i = 0; kind == 3 && i < PIXELS; i++) image[i] = (uint8_t)(255 * roll(&d, 2));
    for (int i = 0; kind == 4 && i < PIXELS; i++) image[i] = (uint8_t)roll(&d, 256);
    for (int bar = 0; kind > 4 && bar < 4; bar++) {
        const int left = roll(&d, 22), top = roll(&d, 22), ink = between(&d, 100, 300);
        const int width = between(&d, 1, 14), height = between(&d, 1, 14);
        for (int y = top; y < smaller(top + height, SIDE); y++)
            for (int x = left; x < smaller(left + width, SIDE); x++)
                image[y * SIDE + x] = (uint8_t)smaller(ink + roll(&d, 20), 255);
    }
}

static void draw_split(nl_split *split, uint32_t seed, uint32_t first, uint32_t count) {
    split->count = count;
    split->images = nl_alloc(count, PIXELS, "images");
    split->labels = nl_alloc(count, 1, "labels");
    for (uint32_t i = 0; i < count; i++) {
        draw_image(split->images + i * PIXELS, seed, first + i);
        split->labels[i] = (uint8_t)((first + i) * 7 % CLASSES);
    }
}

void nl_random_net_data(nl_dataset *data, const nl_random_net *net) {
    memset(data, 0, sizeof *data);
    NL_ASSERT(nl_picture_of_set(&data->picture, "mnist"));
    draw_split(&data->train, net->seed, 0, net->images);
    draw_split(&data->test, net->seed, 100, net->tests);
}
