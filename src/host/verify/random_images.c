/* The images of a random network; see normlab/random_net.h. */
#include <string.h> // memset

#include "normlab/random_net.h"
#include "random_dice.h"

/* Bars of ink, at most half as long as the side. */
static void draw_bars(uint8_t *plane, nl_dice *d, nl_image_shape s) {
    for (int bar = 0; bar < 4; bar++) {
        const int left = nl_roll(d, s.width * 11 / 14), top = nl_roll(d, s.height * 11 / 14),
                  ink = nl_between(d, 100, 300);
        const int width = nl_between(d, 1, s.width / 2), height = nl_between(d, 1, s.height / 2);
        for (int y = top; y < nl_smaller(top + height, s.height); y++)
            for (int x = left; x < nl_smaller(left + width, s.width); x++)
                plane[y * s.width + x] = (uint8_t)nl_smaller(ink + nl_roll(d, 20), 255);
    }
}

/* One channel: white, one grey, black, two colours, noise, or bars. */
static void draw_plane(uint8_t *plane, nl_dice d, nl_image_shape s) {
    const int kind = nl_roll(&d, 8), level = nl_roll(&d, 256), pixels = nl_image_pixels(s);
    memset(plane, kind == 0 ? 255 : kind == 1 ? level : 0, (size_t)pixels);
    for (int i = 0; kind == 3 && i < pixels; i++) plane[i] = (uint8_t)(255 * nl_roll(&d, 2));
    for (int i = 0; kind == 4 && i < pixels; i++) plane[i] = (uint8_t)nl_roll(&d, 256);
    if (kind > 4) draw_bars(plane, &d, s);
}

static void draw_split(nl_split *split, uint32_t seed, uint32_t first, uint32_t count,
                       const nl_picture *picture) {
    const nl_image_shape s = picture->shape;
    const size_t size = (size_t)nl_image_bytes(s), plane = (size_t)nl_image_pixels(s);
    split->count = count;
    split->images = nl_alloc(count, size, "images");
    split->labels = nl_alloc(count, 1, "labels");
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < (uint32_t)s.channels; c++) {
            const nl_dice d = {seed, 1000000 + (first + i) * 10000 + c * 2500000};
            draw_plane(split->images + i * size + c * plane, d, s);
        }
        split->labels[i] = (uint8_t)((first + i) * 257 % (uint32_t)picture->classes);
    }
}

void nl_random_net_data(nl_dataset *data, const nl_random_net *net, const nl_picture *picture) {
    memset(data, 0, sizeof *data);
    data->picture = *picture;
    draw_split(&data->train, net->seed, 0, net->images, picture);
    draw_split(&data->test, net->seed, 100, net->tests, picture);
}
