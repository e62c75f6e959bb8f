/* The factors of a study that is a grid: its configs are all combinations of the values of the keys
 * that differ. Keys that move together are one factor.
 *
 * Seeds are blocks (Fisher, The design of experiments (1935), chapters 4 and 6; Yates, The design
 * and analysis of factorial experiments, Imperial Bureau of Soil Science 35 (1937)): only those
 * count that all cells of the grid finished, so that what a seed does to all variants falls out.
 * With y_cs the figure of cell c with seed s, and m the mean over whatever is not named:
 *
 *   main effect of level i of A, against the first one:      m_i - m_0
 *   interaction of level i of A and j of B:        (m_ij - m_i0) - (m_0j - m_00)
 *
 * Each is taken seed by seed and has Student's interval over seeds, which needs no equal spread of
 * the variants. For a factor or an interaction as a whole, the F test of randomised blocks, whose
 * error is pooled and so does suppose it: with L levels of A, M of B, k cells and n seeds,
 *
 *   SS_A = k n / L  sum_i (m_i - m)^2,                           df L - 1
 *   SS_AB = k n / (L M)  sum_ij (m_ij - m_i - m_j + m)^2,        df (L - 1) (M - 1)
 *   SS_rest = sum_cs (y_cs - m_c - m_s + m)^2,                   df (k - 1) (n - 1)
 *   F = (SS / df) / (SS_rest / df_rest)
 *
 * In 10,000 simulated studies of 5 x 3 cells and 3 seeds without any effect it errs at the 5 % level
 * in 4.8 to 5.0 % where all cells spread alike, and in 12 to 19 % where one spreads six times as far.
 *
 * Interactions of three factors or more are in neither.
 */
#pragma once

#include "normlab/stats.h" // nl_paired

#include "variants.h" // NL_METRICS

enum { NL_FACTORS = 6, NL_LEVEL_TEXT = 24 };

/* Levels stand in the order of their numbers, or, of words, in that of the study. */
typedef struct nl_factor {
    const char *key;              /* of the config, dotted: the first of those that move together */
    char with[160];               /* the others, with commas between; empty: none */
    int levels;                   /* 2 or more */
    char (*names)[NL_LEVEL_TEXT]; /* the key's value at each level */
} nl_factor;

/* A factor (second < 0), or an interaction of two. NaN: fewer than two seeds, or no spread. */
typedef struct nl_term {
    int first, second;
    int df, df_rest;
    double f[NL_METRICS], p[NL_METRICS];
    double holm[NL_METRICS]; /* p adjusted over all terms and both metrics */
} nl_term;

/* Of one level of a term's factors against the first level. */
typedef struct nl_effect {
    int term, level[2];
    nl_paired by[NL_METRICS]; /* over seeds; its p is not adjusted */
    double holm[NL_METRICS];  /* p adjusted over all effects and both metrics */
} nl_effect;

/* n = 0: the study is no grid of two factors or more. */
typedef struct nl_factors {
    nl_factor list[NL_FACTORS];
    int n;
    int *row; /* (levels of the first factor, of the second ...): the variant of each cell */
    int cells;
    uint32_t *seeds; /* that all cells finished */
    int n_seeds;
    nl_term *terms; /* each factor, then each two */
    int n_terms;
    nl_effect *effects; /* by term */
    int n_effects;
} nl_factors;

struct nl_figures;

/* Part of nl_figures_make, after the pairs. */
void nl_factors_make(struct nl_figures *figures);
void nl_factors_free(nl_factors *factors);

/* Part of nl_factors_make: the factors and the row of each cell. train.vary is no factor. */
void nl_grid_find(nl_factors *factors, const struct nl_figures *figures);

/* The level of a factor in a cell. */
int nl_factors_level(const nl_factors *factors, int cell, int factor);
