/* Bytes to numbers: see normlab/picture.h. */
#include "normlab/picture.h"

void nl_pixel_table_make(nl_pixel_table *table, const nl_picture *picture) {
    for (int c = 0; c < NL_MAX_CHANNELS; c++)
        for (int p = 0; p < 256; p++)
            table->of[c][p] = (float)((p / 255.0 - picture->mean.of[c]) / picture->std.of[c]);
}
