/* Data sets of other pictures than MNIST's, small and made here, in the format of their files. What
 * they show is the label's number in binary, as blocks, below a bar at the top left: it says which
 * way is up.
 */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/picture.h" // nl_image_shape

typedef enum picture_format {
    SET_IDX,
    SET_EMNIST, /* transposed, labels from 1 */
    SET_CIFAR10,
    SET_CIFAR100,
    SET_DIGITS /* scikit-learn's, converted */
} picture_format;

typedef struct picture_set {
    const char *name; /* of the config's file */
    picture_format format;
    const char *data; /* the keys of the config's section; in SET_DIGITS those of CONTRIBUTING.md */
    nl_image_shape shape;
    int classes;
} picture_set;

enum { PICTURE_SETS = 6, PICTURE_TRAIN = 30, PICTURE_TEST = 40 };
extern const picture_set picture_sets[PICTURE_SETS];

/* Writes the files into the folder, which is made if missing. False: the digits, where scikit-learn
 * is not. */
bool picture_set_write(const picture_set *set, const char *dir);

/* The label of an image; those of test are behind those of train. */
int picture_set_label(const picture_set *set, uint32_t image);

/* A config of two convolutions for it: data, and what ends with its classes. The caller frees. */
char *picture_set_config(const picture_set *set);
