/* Ticks of the logarithmic axes: enough to read by, none upon another, however long the axis. */
#include <criterion/criterion.h>
#include <math.h>   // log10
#include <stdio.h>  // open_memstream
#include <stdlib.h> // free
#include <string.h> // strstr

#include "report/charts/scales.h"

/* Values in front of which gnuplot is to draw a tick; their number. */
static int ticks_of(double *at, bool accuracy, double low, double high, int pixels) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const nl_scale scale = {accuracy, low, high};
    nl_scale_write(out, &scale, pixels, true);
    fclose(out);
    int n = 0;
    const char *c = strstr(text, "set ytics (");
    cr_assert(c, "%s", text);
    for (; (c = strstr(c, "' ")) && n < 32; c += 2) {
        at[n] = strtod(c + 2, NULL);
        const char *label = c;
        while (*--label != '\'') {
        }
        cr_expect(fabs(strtod(label + 1, NULL) - at[n]) <= 1e-4 * fabs(at[n]), "%s", text);
        n++;
    }
    free(text);
    return n;
}

/* `low` and `high`: log10 of losses, or -log10 of errors. */
static void expect_ticks(bool accuracy, double low, double high, int pixels) {
    double at[32];
    const int n = ticks_of(at, accuracy, low, high, pixels);
    cr_expect(n >= 2 && n <= 9, "%d ticks from %g to %g", n, low, high);
    for (int i = 0; i < n; i++) {
        const double u = accuracy ? -log10(100 - at[i]) : log10(at[i]);
        cr_expect(u >= low - 1e-9 && u <= high + 1e-9);
        if (i == 0) continue;
        const double before = accuracy ? -log10(100 - at[i - 1]) : log10(at[i - 1]);
        cr_expect(fabs(u - before) / (high - low) * pixels >= 19.9,
                  "%g and %g of an axis from %g to %g", at[i - 1], at[i], low, high);
    }
}

Test(scales, ticks_stay_apart) {
    static const int pixels[] = {120, 178, 400};
    for (int p = 0; p < 3; p++)
        for (double low = -5; low < 0.5; low += 0.0371)
            for (double length = 0.06; length < 5; length *= 1.31)
                expect_ticks(false, low, low + length, pixels[p]);
}

Test(scales, accuracy_too) {
    for (double low = -2; low < 1.5; low += 0.0371)
        for (double length = 0.06; low + length < 2.4; length *= 1.31)
            expect_ticks(true, low, low + length, 400);
}

Test(scales, losses_from_006_to_01) {
    double at[32];
    const int n = ticks_of(at, false, log10(0.06) - 0.03, log10(0.1) + 0.03, 178);
    cr_assert_eq(n, 5);
    for (int i = 0; i < 5; i++) cr_expect(fabs(at[i] - 0.01 * (6 + i)) < 1e-9);
}
