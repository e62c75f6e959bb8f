/* workbook.h */
#include "workbook.h"

const double workbook_x[64] = {
    3,  3,  1, 3,  -2, -2, 5,  -4, 0,  0,  -3, -3, 3,  -2, -2, 5, // image 1
    -2, -2, 0, -4, 4,  -5, 4,  3,  1,  -4, -2, -3, -4, 1,  -4, 0, // image 2
    -1, 2,  3, 1,  0,  -1, -5, 4,  -3, -3, -3, 2,  2,  -3, 4,  5, // image 3
    -1, 3,  2, -5, 0,  -3, -1, 2,  -1, -3, 3,  5,  3,  -2, 2,  0, // image 4
};

const double workbook_bn_mean[4] = {0.375, -0.0625, -1.0625, 0.5};
const double workbook_bn_var[4] = {6.484375, 10.68359375, 6.55859375, 8.875};
const double workbook_ln_mean[4] = {0.3125, -1.0625, 0.25, 0.25};
const double workbook_ln_var[4] = {8.46484375, 8.43359375, 8.8125, 7.0625};
const double workbook_gn_mean[8] = {0.875, -0.25, -0.25, -1.875, 0.375, 0.125, -0.375, 0.875};
const double workbook_gn_var[8] = {8.859375, 7.4375,    11.1875,  4.359375,
                                   6.984375, 10.609375, 6.484375, 6.859375};
