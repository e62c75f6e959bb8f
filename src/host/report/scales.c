/* Axes. An accuracy near 99 % on a linear axis is a flat line; what matters is the error, in
 * ratios: 99.0 to 99.5 halves it. So accuracies are drawn on an axis that is logarithmic in
 * 100 - accuracy and still labelled in accuracy.
 */
#include <math.h>   // log10
#include <stdlib.h> // free

#include "charts.h"

static const double least_error = 0.005;

double nl_scale_clip(bool accuracy, double value) {
    if (accuracy) return fmin(value, 100 - least_error);
    return fmax(value, 1e-6);
}

static double forward(bool accuracy, double value) {
    value = nl_scale_clip(accuracy, value);
    return accuracy ? -log10(100 - value) : log10(value);
}

static double inverse(bool accuracy, double u) {
    return accuracy ? 100 - pow(10, -u) : pow(10, u);
}

static void stretch(nl_scale *scale, const nl_sample *s) {
    if (s->n == 0) return;
    scale->low = fmin(scale->low, forward(scale->accuracy, s->min));
    scale->high = fmax(scale->high, forward(scale->accuracy, s->max));
}

nl_scale nl_scale_of(const nl_summary *summary, bool accuracy, bool train) {
    nl_scale scale = {accuracy, INFINITY, -INFINITY};
    for (int i = 0; i < summary->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(summary->rows[i].variant, &n);
        for (int j = 0; j < n; j++) {
            stretch(&scale, accuracy ? &bands[j].test_accuracy : &bands[j].test_loss);
            if (train) stretch(&scale, accuracy ? &bands[j].train_accuracy : &bands[j].train_loss);
        }
        free(bands);
    }
    if (!(scale.low <= scale.high)) scale.low = scale.high = forward(accuracy, accuracy ? 90 : 1);
    const double room = fmax(0.05 * (scale.high - scale.low), 0.03);
    scale.low -= room;
    scale.high += room;
    return scale;
}

double nl_scale_fraction(const nl_scale *scale, double value) {
    return (forward(scale->accuracy, value) - scale->low) / (scale->high - scale->low);
}

/* Ticks at these digits of each decade of the loss or error. Returns their number. */
static int ticks(double *out, const nl_scale *scale, const char *digits) {
    int n = 0;
    const double low = inverse(false, scale->accuracy ? -scale->high : scale->low);
    const double high = inverse(false, scale->accuracy ? -scale->low : scale->high);
    for (int decade = (int)floor(log10(low)); decade <= (int)ceil(log10(high)); decade++) {
        for (const char *digit = digits; *digit && n < 64; digit++) {
            const double v = (*digit - '0') * pow(10, decade);
            if (v >= low && v <= high) out[n++] = scale->accuracy ? 100 - v : v;
        }
    }
    return n;
}

void nl_scale_write(FILE *out, const nl_scale *scale, bool labels) {
    static const char *const digits[] = {"1", "125", "123468", "123456789"}; /* most that fit */
    double at[64];
    int choice = 3;
    while (choice > 0 && ticks(at, scale, digits[choice]) > 9) choice--;
    const int n = ticks(at, scale, digits[choice]);
    fputs(scale->accuracy ? "set nonlinear y via -log10(100 - y) inverse 100 - 10**(-y)\n"
                          : "set logscale y\n",
          out);
    fprintf(out, "set yrange [%.10g:%.10g]\nset ytics (", inverse(scale->accuracy, scale->low),
            inverse(scale->accuracy, scale->high));
    for (int i = 0; i < n; i++) {
        fputs(i ? ", " : "", out);
        if (labels)
            fprintf(out, "'%.6g' %.10g", at[i], at[i]);
        else
            fprintf(out, "'' %.10g", at[i]);
    }
    fputs(")\n", out);
}

void nl_epochs_write(FILE *out, const nl_summary *summary, int columns) {
    static const int steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    int last = 1, step = 0;
    for (int i = 0; i < summary->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(summary->rows[i].variant, &n);
        if (n > 0 && bands[n - 1].epoch > last) last = bands[n - 1].epoch;
        free(bands);
    }
    const int most = columns > 2 ? 5 : columns > 1 ? 10 : 12; /* labels that fit */
    while (last / steps[step] > most && step < 9) step++;
    fprintf(out, "set xrange [%.3f:%.3f]\nset xtics %d,%d\n", last == 1 ? 0.4 : 1 - 0.02 * last,
            last == 1 ? 1.02 : 1.01 * last, steps[step], steps[step]);
}
