/* Draws networks; see normlab/random_net.h. Every draw is valid: shapes are followed from layer to
 * layer, and a norm that would see one value is left out.
 */
#include "normlab/random_net.h"

#include <stdio.h>  // snprintf
#include <stdlib.h> // atoi
#include <string.h> // strcmp

#include "normlab/ops.h" // nl_conv_out
#include "random_dice.h"
#include "random_keys.h"    // nl_random_values
#include "random_picture.h" // nl_random_picture

/* Multiply-adds of networks whose images are few too. */
enum { CHEAP = 10000 };

/* ---- the keys ----------------------------------------------------------------------------------
 */

static void set_value(nl_random_net *net, const char *key, const char *value) {
    snprintf(net->values[nl_random_row(key)], sizeof *net->values, "%s", value);
}

static const char *value_of(const nl_random_net *net, const char *key) {
    return net->values[nl_random_row(key)];
}

static void draw_keys(nl_random_net *net, nl_dice *d) {
    for (int i = nl_random_row("data.rotate"); nl_random_key(i); i++) { /* behind the picture's */
        const char *key = nl_random_key(i), *const *values = nl_random_values(i);
        int count = 0;
        while (count < NL_RANDOM_VALUES && values[count]) count++;
        net->by_set[i] = nl_chance(d, 30);
        if (count > 0) set_value(net, key, values[nl_roll(d, count)]);
        /* a default is as good as a value, where nothing else here depends on it */
        const bool needed = !strncmp(key, "model.", 6);
        if (!needed && nl_chance(d, 20)) set_value(net, key, "");
    }
    if (!strcmp(value_of(net, "train.momentum"), "0")) set_value(net, "train.nesterov", "false");
}

/* From dice of its own, so that it moves no other draw. */
static void draw_vary(nl_random_net *net) {
    static const char *const values[] = {"all", "[init]", "[order, augment]", "[dropout]"};
    nl_dice d = {net->seed, 900000};
    if (!nl_chance(&d, 50)) return;
    set_value(net, "train.vary", values[nl_roll(&d, sizeof values / sizeof *values)]);
    net->by_set[nl_random_row("train.vary")] = nl_chance(&d, 30);
}

/* Batch, images and steps: a last batch that is full, of one image, or in between; at times one
 * batch that the data does not fill, or a last batch that is never trained on. */
static void draw_sizes(nl_random_net *net, nl_dice *d, int most) {
    const int batch = nl_between(d, 1, most), kind = nl_roll(d, 10);
    const int full = nl_between(d, 1, nl_smaller(3, 2 * most / batch));
    const int rest = batch == 1 || kind < 3 ? 0 : kind < 6 ? 1 : nl_between(d, 1, batch - 1);
    const bool alone = rest > 0 && nl_chance(d, 10); /* one batch, not full */
    const bool unused = rest > 0 && !alone && nl_chance(d, 20);
    char text[16];
    snprintf(text, sizeof text, "%d", batch);
    set_value(net, "data.batch", text);
    net->images = (uint32_t)(alone ? rest : full * batch + rest);
    net->steps = (uint32_t)(alone ? 1 : full + (rest > 0 && !unused));
    net->tests = (uint32_t)nl_between(d, 1, 40);
    net->threads = nl_between(d, 1, 3);
}

/* ---- the layers --------------------------------------------------------------------------------
 */

typedef struct shape {
    int c, h, w;
    int64_t macs; /* left */
    int smallest; /* batch that is trained on */
    int classes;  /* of the picture */
} shape;

/* The shorter side of the map. */
static int side_of(const shape *s) {
    return nl_smaller(s->h, s->w);
}

/* Pixels of a convolution's output. */
static int map_of(const shape *s, const nl_layer_spec *l) {
    return nl_conv_out(s->h, l->kernel, l->pad) * nl_conv_out(s->w, l->kernel, l->pad);
}

/* The largest number of channels that the budget allows; at least 1. */
static int most_channels(const shape *s, const nl_layer_spec *l) {
    const int64_t each = (int64_t)s->c * l->kernel * l->kernel * map_of(s, l);
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
    int values = s->smallest;
    if (row->groups) {
        const int groups = row->groups(l->out, atoi(value_of(net, "model.group_size")));
        if (groups == 0) return false;
        values = l->out / groups;
    }
    return !row->centres || values * map_of(s, l) > 1;
}

/* Some layers get a norm of their own. */
static void mix_norms(nl_layer_spec *l, const nl_random_net *net, nl_dice *mix, const shape *s) {
    const nl_norm own = (nl_norm)nl_between(mix, NL_NORM_NONE + 1, NL_NORMS - 1);
    if (nl_chance(mix, 20) && may_norm(own, net, s, l)) l->norm = own;
}

static nl_layer_spec draw_conv(const nl_random_net *net, nl_dice *d, const shape *s, bool last) {
    nl_layer_spec l = {.kind = NL_LAYER_CONV, .kernel = nl_between(d, 1, 7)};
    if (nl_chance(d, 60)) l.pad = nl_roll(d, l.kernel);
    if (side_of(s) + 2 * l.pad < l.kernel) l.pad = l.kernel - 1;
    const bool norm = nl_chance(d, last ? 50 : 65);
    const int wanted = nl_chance(d, 10) ? nl_between(d, 1, 40) : nl_between(d, 1, 12);
    while (l.kernel > 1 && most_channels(s, &l) < (last ? s->classes : 2)) {
        l.kernel--;
        l.pad = nl_smaller(l.pad, l.kernel - 1);
        if (side_of(s) + 2 * l.pad < l.kernel) l.pad = l.kernel - 1;
    }
    l.out = last ? s->classes : nl_smaller(wanted, most_channels(s, &l));
    const int group = atoi(value_of(net, "model.group_size"));
    if (norm && !last && !strcmp(value_of(net, "model.norm"), "group"))
        l.out = group * ((l.out + group - 1) / group);
    const nl_norm of_model = norm_named(value_of(net, "model.norm"));
    l.norm = norm && may_norm(of_model, net, s, &l) ? NL_NORM_OF_MODEL : NL_NORM_NONE;
    l.relu = nl_chance(d, last ? 30 : 70);
    return l;
}

static void add_layer(nl_random_net *net, shape *s, nl_layer_spec l) {
    net->layers[net->n_layers++] = l;
    if (l.kind == NL_LAYER_MAX_POOL) s->h /= l.size, s->w /= l.size;
    if (l.kind != NL_LAYER_CONV) return;
    s->macs -= (int64_t)l.out * s->c * l.kernel * l.kernel * map_of(s, &l);
    s->h = nl_conv_out(s->h, l.kernel, l.pad);
    s->w = nl_conv_out(s->w, l.kernel, l.pad);
    s->c = l.out;
}

static void draw_layers(nl_random_net *net, nl_dice *d, nl_dice *mix, const nl_picture *picture,
                        int64_t macs) {
    const int count = nl_between(d, 1, NL_RANDOM_LAYERS - 1),
              batch = atoi(value_of(net, "data.batch"));
    const int left = (int)net->images % batch;
    shape s = {.c = picture->shape.channels,
               .h = picture->shape.height,
               .w = picture->shape.width,
               .macs = macs,
               .classes = picture->classes,
               .smallest = left && net->steps * (uint32_t)batch > net->images ? left : batch};
    int last =
        nl_between(d, 0, count - 1); /* the last convolution: at least half of them at the end */
    if (nl_chance(d, 60)) last = count - 1;
    for (int i = 0; i < count; i++) {
        const bool conv = i == last || (i < last && !nl_chance(d, i == 0 ? 25 : 35));
        const int most = nl_smaller(side_of(&s), 4);
        nl_layer_spec l = {.kind = NL_LAYER_MAX_POOL};
        if (conv) {
            l = draw_conv(net, d, &s, i == last);
            mix_norms(&l, net, mix, &s);
        } else if (most >= 2) {
            l.size = nl_between(d, 2, most);
            l.dropout = nl_chance(d, 50);
        }
        if (conv || most >= 2) add_layer(net, &s, l);
    }
    add_layer(net, &s, (nl_layer_spec){.kind = NL_LAYER_AVG_POOL});
}

void nl_random_net_draw(nl_random_net *net, uint32_t seed, int64_t macs) {
    nl_dice d = {seed, 0}, mix = {seed, 500000}; /* apart from each other and from the images' */
    nl_picture picture;
    *net = (nl_random_net){.seed = seed};
    nl_random_picture(net, &picture, macs);
    draw_keys(net, &d);
    draw_vary(net);
    draw_sizes(net, &d, macs < CHEAP ? 12 : 33);
    if (nl_chance(&mix, 15)) set_value(net, "model.norm", "rms");
    draw_layers(net, &d, &mix, &picture, macs);
}
