/* The register tile of all convolutions: rows x vecs vectors are kept in registers while one
 * dimension is summed over. A tile's sums + vecs columns + one broadcast have to fit the registers:
 * 16 with AVX2, 32 with AVX-512 (of 8 floats too). Independent sums also hide the latency of two
 * FMA units, so there should be 8 or more. */
#pragma once

#include "normlab/error.h" // nl_abort
#include "vector.h"

/* The most rows of a tile of so many vectors. */
static inline int most_rows(int vecs) {
#if NL_MOST_LANES == 16
    static const int rows[] = {0, 28, 14, 9, 6, 5, 4};
#else
    static const int rows[] = {0, 12, 6, 4};
#endif
    return rows[vecs];
}

/* A tile's columns: so many vectors of so many floats. */
typedef struct tile_columns {
    int lanes, vecs;
} tile_columns;

static inline int columns_of(tile_columns c) {
    return c.lanes * c.vecs;
}

/* The next tile where so many columns (a multiple of 8) are left. */
static inline tile_columns next_columns(int left) {
#if NL_MOST_LANES == 16
    if (left < 16) return (tile_columns){8, 1};
    const int vecs = left / 16;
    return (tile_columns){16, vecs == 3 ? 3 : vecs > 1 ? 2 : 1};
#else
    const int vecs = left / 8;
    return (tile_columns){8, vecs == 4 ? 2 : vecs > 3 ? 3 : vecs};
#endif
}

/* The tiles that are compiled: TILE(lanes, vecs, rows). */
// clang-format off
#define NL_ROWS_4(T, l, v) T(l, v, 1) T(l, v, 2) T(l, v, 3) T(l, v, 4)
#define NL_ROWS_6(T, l, v) NL_ROWS_4(T, l, v) T(l, v, 5) T(l, v, 6)
#define NL_ROWS_9(T, l, v) NL_ROWS_6(T, l, v) T(l, v, 7) T(l, v, 8) T(l, v, 9)
#define NL_ROWS_12(T, l, v) NL_ROWS_9(T, l, v) T(l, v, 10) T(l, v, 11) T(l, v, 12)
#define NL_ROWS_14(T, l, v) NL_ROWS_12(T, l, v) T(l, v, 13) T(l, v, 14)
#define NL_ROWS_28(T, l, v)                                                                        \
    NL_ROWS_14(T, l, v)                                                                            \
    T(l, v, 15) T(l, v, 16) T(l, v, 17) T(l, v, 18) T(l, v, 19) T(l, v, 20) T(l, v, 21)            \
    T(l, v, 22) T(l, v, 23) T(l, v, 24) T(l, v, 25) T(l, v, 26) T(l, v, 27) T(l, v, 28)
#if NL_MOST_LANES == 16
#define NL_ALL_TILES(T) NL_ROWS_28(T, 8, 1) NL_ROWS_28(T, 16, 1) NL_ROWS_14(T, 16, 2) NL_ROWS_9(T, 16, 3)
#else
#define NL_ALL_TILES(T) NL_ROWS_12(T, 8, 1) NL_ROWS_6(T, 8, 2) NL_ROWS_4(T, 8, 3)
#endif
// clang-format on

/* Runs the tile with all three as constants, so that the sums stay in registers. CASE expands to
 * NL_TILE_CASE(lanes, vecs, rows) and the call. */
#define NL_TILE_CASE(lanes, vecs, rows) case ((lanes)*8 + (vecs)) * 32 + (rows)
#define NL_TILE_DISPATCH(columns, rows, CASE)                                                      \
    switch (((columns).lanes * 8 + (columns).vecs) * 32 + (rows)) {                                \
        NL_ALL_TILES(CASE)                                                                         \
    default:                                                                                       \
        nl_abort("tile size", __FILE__, __LINE__);                                                 \
    }

#define LANES 8
#include "tile_lanes.h"
#if NL_MOST_LANES == 16
#define LANES 16
#include "tile_lanes.h"
#endif
