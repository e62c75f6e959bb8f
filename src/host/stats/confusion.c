/* See normlab/confusion.h. */
#include "normlab/confusion.h"

#include <stdio.h> // snprintf

enum { SHOWN = 3 };

/* The class that comes after `last` by number of mistakes, then by its own; -1: there is none. */
static int next(const uint32_t *row, int classes, int label, int last) {
    int best = -1;
    for (int k = 0; k < classes; k++) {
        if (k == label || row[k] == 0) continue;
        const int behind = last < 0 || row[k] < row[last] || (row[k] == row[last] && k > last);
        if (behind && (best < 0 || row[k] > row[best])) best = k;
    }
    return best;
}

void nl_mistakes_text(char text[NL_MISTAKES_TEXT], const nl_picture *picture, const uint32_t *row,
                      int label) {
    uint32_t left = 0;
    int used = 0, shown = 0;
    char number[12];
    text[0] = '\0';
    for (int k = 0; k < picture->classes; k++)
        if (k != label) left += row[k];
    for (int k = -1; shown < SHOWN && (k = next(row, picture->classes, label, k)) >= 0; shown++) {
        used += snprintf(text + used, (size_t)(NL_MISTAKES_TEXT - used), "%s%s (%u)",
                         shown ? ", " : "", nl_class_name(picture, k, number), row[k]);
        left -= row[k];
    }
    if (left) snprintf(text + used, (size_t)(NL_MISTAKES_TEXT - used), ", %u more", left);
}
