/* What normlab eval tells of a checkpoint. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/picture.h" // nl_picture

typedef struct eval_results {
    bool train; /* the split: training images or test images */
    uint32_t images;
    const nl_picture *picture;
    double loss;                                        /* mean */
    uint32_t confusion[NL_MAX_CLASSES][NL_MAX_CLASSES]; /* [label][prediction] */
} eval_results;

/* One JSON object in a line, as the interface has it. */
void eval_print_json(const eval_results *results);

/* For people: a matrix of few classes, a list of many. */
void eval_print_text(const eval_results *results, const char *checkpoint);
