/* The tensor of the normalisation workbook, small enough to check by hand: 4 images x 4 channels x
 * 2 x 2, with its means and population variances. Group norm with 2 groups. */
#pragma once

extern const double workbook_x[64];
extern const double workbook_bn_mean[4], workbook_bn_var[4]; /* per channel */
extern const double workbook_ln_mean[4], workbook_ln_var[4]; /* per image */
extern const double workbook_gn_mean[8], workbook_gn_var[8]; /* per image and group */
