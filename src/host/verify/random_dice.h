/* Draws that are the same on every machine: a seed, and the place of the next word. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint32_t

#include "normlab/philox.h" // nl_philox4x32

typedef struct nl_dice {
    uint32_t seed, at;
} nl_dice;

enum { NL_DICE_KEY = 101 };

/* 0 to sides - 1 */
static inline int nl_roll(nl_dice *d, int sides) {
    const uint32_t word = nl_philox4x32(d->at++, 0, 0, 0, d->seed, NL_DICE_KEY).v[0];
    return (int)((uint64_t)word * (uint64_t)sides >> 32);
}

static inline int nl_between(nl_dice *d, int low, int high) {
    return low + nl_roll(d, high - low + 1);
}

static inline bool nl_chance(nl_dice *d, int percent) {
    return nl_roll(d, 100) < percent;
}

static inline int nl_smaller(int a, int b) {
    return a < b ? a : b;
}
