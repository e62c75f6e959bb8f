/* The norms of the CPU engine: how cells (simd.h) are pooled into maps. */
#pragma once

#include "cpu/simd/simd.h" // nl_cells, nl_norm_map

/* Group norm of one image. channels beyond c stay zero in the map. */
void nl_norm_group_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                                const float *beta, int c, int groups, int hw, double eps);
void nl_norm_group_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                                 int groups, int hw);

/* The same about zero: no mean is taken off, rstd is 1 / sqrt(mean(x^2) + eps). */
void nl_norm_rms_fast_forward(nl_norm_map *map, const nl_cells *cells, const float *gamma,
                              const float *beta, int c, int groups, int hw, double eps);
void nl_norm_rms_fast_backward(nl_norm_map *map, const nl_cells *cells, const float *gamma, int c,
                               int groups, int hw);

/* Batch norm: cells of n images; one map for all. Running values (c) are updated. */
void nl_norm_batch_fast_forward(nl_norm_map *map, float *running_mean, float *running_var,
                                const nl_cells *cells /* (n) */, const float *gamma,
                                const float *beta, int n, int c, int hw, double eps,
                                double momentum);
void nl_norm_batch_fast_eval(nl_norm_map *map, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var, int c,
                             double eps);
void nl_norm_batch_fast_backward(nl_norm_map *map, const nl_cells *cells /* (n) */,
                                 const float *gamma, int n, int c, int hw);

/* dgamma and dbeta (c) from the cells and maps of n images; a batch norm's images share one map,
 * whose `stride` is 0. */
void nl_norm_fast_affine(float *dgamma, float *dbeta, const nl_cells *cells,
                         const nl_norm_map *maps, int n, int map_stride, int c);
