/* The first two layers by themselves: a problem, and what comes of it by the plain operations one
 * after another, in either precision, and by the CPU engine's one operation (cpu/simd/first.h). */
#pragma once

#include "cpu/simd/first.h"
#include "cpu/fast/norms_fast.h"

/* Inputs and outputs; u is in front of the ReLU, dz1 in front of the norm (of the plain ones). */
enum { X, W1, B1, GAMMA, BETA, W2, B2, DZ2, INPUTS };
enum { Z2, DW1, DB1, DGAMMA, DBETA, DW2, MEAN, VAR, U, DZ1, OUTPUTS };
extern const char *const first_names[OUTPUTS];

typedef struct problem {
    nl_conv_shape one, two;
    const nl_norm_row *norm;
    int groups;
    bool relu;
    float *in[INPUTS];
    int64_t in_count[INPUTS], out_count[OUTPUTS];
} problem;

typedef struct outputs {
    double *of[OUTPUTS];
} outputs;

/* The operations of that instruction set, or NULL if it is not here; name NULL: as the engine
 * chooses. */
const nl_simd *first_simd(const char *name);

/* Drawn numbers: x of mean 0 and deviation 1, to be changed before a run. */
const char *first_norm(const problem *p); /* its word in a config */
problem first_problem(nl_conv_shape one, int o2, nl_norm norm, int groups, bool relu);
void first_drop(problem *p);

/* Full of NaN. */
outputs first_outputs(const problem *p);
void first_drop_outputs(outputs *r);

/* A number of mean 0 and deviation 1. */
float first_draw(int64_t i, int key);

void first_run_f32(outputs *r, const problem *p);
void first_run_f64(outputs *r, const problem *p);
void first_run_fast(outputs *r, const problem *p, const nl_simd *simd, bool again);

/* ---- The one operation, looked into ---- */

typedef struct fast {
    const problem *p;
    const nl_simd *simd;
    nl_first_fast first;
    nl_conv_fast one, two;
    nl_patch_moments *moments; /* (n + 1) */
    nl_cells *cells;           /* (n) */
    nl_norm_map *maps;         /* (n) */
    float *memory, *mw, *x, *y, *z2, *dz2, *sums, *dw1, *db1, *dw2, *scratch, *running;
    double *s1;
    int hw, cp, cp2, pixels;
    bool again; /* y is made again on the way back */
} fast;

/* Up to the gradients of the first filter; out: z2. */
void first_open(fast *f, const problem *p, const nl_simd *simd);
void first_run(fast *f, outputs *r);
void first_close(fast *f);

/* The row of cells and maps that an image belongs to. */
int first_row(const fast *f, int image);
