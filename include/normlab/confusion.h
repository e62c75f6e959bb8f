/* What a network takes each class for. */
#pragma once

#include <stdint.h> // uint32_t

#include "normlab/picture.h" // nl_picture

enum {
    NL_MISTAKES_TEXT = 160,
    NL_MATRIX_CLASSES = 30 /* more are no matrix that one can read, but a list */
};

/* The three commonest mistakes of a class, the commonest first, by name or number: "cat (12), dog
 * (5), 1 more". row: (classes) how often images of `label` were read as each. Empty: no mistake. */
void nl_mistakes_text(char text[NL_MISTAKES_TEXT], const nl_picture *picture, const uint32_t *row,
                      int label);
