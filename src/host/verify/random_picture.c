/* Draws the keys from data.set to data.std; see random_picture.h. */
#include "random_picture.h"

#include <stdio.h> // snprintf

#include "random_dice.h"

/* Sets whose pictures are MNIST's but for mean, deviation and names. */
static const char *const like_mnist[] = {"mnist", "", "fashion-mnist", "kmnist"};

/* A number for all channels, or one for each; by the number of channels. */
static const char *const means[NL_MAX_CHANNELS][3] = {
    {"0.1307", "0", "[0.5]"},
    {"0.5", "[0.1, 0.9]", "[0.5, 0]"},
    {"0.4", "[0.1, 0.5, 0.9]", "[0.5, 0.4, 0]"},
    {"0.25", "[0, 0.1, 0.2, 1]", "[1, 0, 0, 0.5]"}};
static const char *const deviations[NL_MAX_CHANNELS][3] = {
    {"0.3081", "0.5", "[1]"},
    {"0.5", "[0.25, 1]", "[1, 2]"},
    {"0.25", "[0.2, 0.3, 1]", "[1, 1, 2]"},
    {"0.5", "[1, 0.5, 1, 2]", "[1, 1, 1, 3]"}};

static void set(nl_random_net *net, nl_dice *d, const char *key, const char *value) {
    const int row = nl_random_row(key);
    snprintf(net->values[row], sizeof *net->values, "%s", value);
    net->by_set[row] = nl_chance(d, 30);
}

static nl_image_shape draw_shape(nl_dice *d, int64_t macs) {
    const int64_t all = NL_MAX_SIDE * NL_MAX_SIDE;
    const int most = macs / 64 > all ? (int)all : macs > 4096 ? (int)(macs / 64) : 64; /* pixels */
    nl_image_shape s = {.channels = nl_between(d, 1, NL_MAX_CHANNELS)};
    s.width = nl_between(d, 8, nl_smaller(NL_MAX_SIDE, most / 8));
    s.height = nl_between(d, 8, nl_smaller(NL_MAX_SIDE, most / s.width));
    if (nl_chance(d, 30)) s.width = s.height = nl_smaller(s.width, s.height);
    return s;
}

static int draw_classes(nl_dice *d, int64_t most) {
    const int kind = nl_roll(d, 4);
    const int bound = most < 10 ? 10 : most > NL_MAX_CLASSES ? NL_MAX_CLASSES : (int)most;
    if (kind == 0) return 10;
    return nl_between(d, 2, kind == 1 ? nl_smaller(26, bound) : bound);
}

static void draw_own(nl_random_net *net, nl_dice *d, nl_picture *p, int64_t macs) {
    char text[24];
    p->shape = draw_shape(d, macs);
    p->classes = draw_classes(d, macs / nl_image_pixels(p->shape));
    const int row = p->shape.channels - 1;
    set(net, d, "data.set", nl_chance(d, 20) ? "cifar10" : "a.set-of_1");
    snprintf(text, sizeof text, "[%d, %d, %d]", p->shape.channels, p->shape.height, p->shape.width);
    set(net, d, "data.shape", text);
    snprintf(text, sizeof text, "%d", p->classes);
    set(net, d, "data.classes", text);
    if (p->classes == 2) set(net, d, "data.class_names", "[no, 'yes, it is']");
    set(net, d, "data.mean", means[row][nl_roll(d, 3)]);
    set(net, d, "data.std", deviations[row][nl_roll(d, 3)]);
}

void nl_random_picture(nl_random_net *net, nl_picture *picture, int64_t macs) {
    nl_dice d = {net->seed, 700000}; /* apart from the layers' */
    NL_ASSERT(nl_picture_of_set(picture, "mnist"));
    if (nl_chance(&d, 55)) {
        draw_own(net, &d, picture, macs);
        return;
    }
    set(net, &d, "data.set", like_mnist[nl_roll(&d, 4)]);
    if (nl_chance(&d, 20)) set(net, &d, "data.class_names", "[]");
    if (nl_chance(&d, 60)) set(net, &d, "data.mean", means[0][nl_roll(&d, 3)]);
    if (nl_chance(&d, 60)) set(net, &d, "data.std", deviations[0][nl_roll(&d, 3)]);
}
