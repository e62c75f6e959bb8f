/* The picture that a network sees: its shape, its classes, and how its bytes become numbers. A
 * config states it (data.set, data.shape ...), a model begins and ends with it, and the files of a
 * data set are held against it.
 */
#pragma once

#include <stdio.h> // snprintf

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NL_MAX_SIDE = 64,
    NL_MAX_CHANNELS = 4,
    NL_MAX_CLASSES = 256, /* a label is a byte */
    NL_SET_NAME = 32,     /* bytes of a set's name, with the 0 behind it */
    NL_CLASS_NAME = 32    /* bytes of a class's name, with the 0 behind it */
};

/* Bytes of one image: (channels, height, width), row by row. */
typedef struct nl_image_shape {
    int channels, height, width;
} nl_image_shape;

static inline int nl_image_pixels(nl_image_shape s) { /* of one channel */
    return s.height * s.width;
}

static inline int nl_image_bytes(nl_image_shape s) {
    return s.channels * s.height * s.width;
}

static inline int nl_image_side(nl_image_shape s) { /* the larger one */
    return s.height > s.width ? s.height : s.width;
}

/* A number of each channel; all of them are there, whatever `count` says: how many were given. One
 * is that of every channel. */
typedef struct nl_by_channel {
    double of[NL_MAX_CHANNELS];
    int count;
} nl_by_channel;

typedef struct nl_picture {
    char set[NL_SET_NAME]; /* data.set: names the default folder, and the defaults of the rest */
    nl_image_shape shape;
    int classes;
    nl_by_channel mean, std;                   /* of byte / 255 */
    char names[NL_MAX_CLASSES][NL_CLASS_NAME]; /* of the classes; empty: they are numbers */
} nl_picture;

/* How many classes have a name: all, or none (in a checked config). */
static inline int nl_picture_names(const nl_picture *picture) {
    int n = 0;
    while (n < NL_MAX_CLASSES && picture->names[n][0]) n++;
    return n;
}

/* The name of a class; where it has none, its number, written into `number`. */
static inline const char *nl_class_name(const nl_picture *picture, int label, char number[12]) {
    if (picture->names[label][0]) return picture->names[label];
    snprintf(number, 12, "%d", label);
    return number;
}

/* What a byte of each channel becomes: (byte / 255 - mean) / std in double, rounded to float once.
 */
typedef struct nl_pixel_table {
    float of[NL_MAX_CHANNELS][256];
} nl_pixel_table;

void nl_pixel_table_make(nl_pixel_table *table, const nl_picture *picture);

#ifdef __cplusplus
}
#endif
