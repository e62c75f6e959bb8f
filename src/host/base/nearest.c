/* The edit distance by dynamic programming over the last three rows ("optimal string alignment":
 * a swap of two neighbours counts as one edit, since that is how people mistype). */
#include "nearest.h"

#include <ctype.h>  // tolower
#include <string.h> // strlen

enum { LONGEST = 64 }; /* words beyond it are no typing mistake */

static size_t min2(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t nl_edit_distance(const char *a, const char *b) {
    const size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST) return m > n ? m : n;

    size_t rows[3][LONGEST + 1]; /* rows i - 2, i - 1 and i, in turn */
    for (size_t j = 0; j <= n; j++) rows[0][j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            const size_t same = x == y ? 0 : 1;
            row[j] = min2(above[j - 1] + same, min2(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min2(row[j], above2[j - 2] + 1);
        }
    }
    return rows[m % 3][n];
}

const char *nl_nearest(const char *word, const char *const *list, size_t count) {
    const char *best = NULL;
    const size_t third = strlen(word) / 3;
    size_t limit = (third > 1 ? third : 1) + 1; /* below this */
    for (size_t i = 0; i < count; i++) {
        const size_t d = nl_edit_distance(word, list[i]);
        if (d >= limit) continue;
        limit = d;
        best = list[i];
    }
    return best;
}
