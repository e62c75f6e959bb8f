/* Axes. An accuracy near 99 % on a linear axis is a flat line; what matters is the error, in
 * ratios: 99.0 to 99.5 halves it. So accuracies are drawn on an axis that is logarithmic in
 * 100 - accuracy and still labelled in accuracy.
 */
#include "scales.h"

#include <math.h>   // log10
#include <stdlib.h> // free

#include "curves.h" // nl_variant_bands

static double forward(bool accuracy, double value) {
    value = nl_curve_value(accuracy, value);
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

/* Progress is noisy: the mean of a few batches may be perfect, and the first of them know nothing
 * yet. It widens an axis to half the least loss or error seen otherwise, and where it begins it may
 * lie outside. */
static void stretch_by_progress(nl_scale *scale, const nl_figures *figures, int epochs) {
    static const double half = 0.301; /* log10(2) */
    const double sign = scale->accuracy ? 1 : -1;
    const double best = scale->accuracy ? scale->high : scale->low;
    const double outside = 0.03 * (epochs - 1); /* one epoch is seen whole */
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_stretch *all =
            nl_variant_stretches(figures->rows[i].variant, nl_stretches_most(figures), &n);
        for (int j = 0; j < n; j++) {
            const double value = scale->accuracy ? all[j].accuracy : all[j].loss;
            if (!isfinite(value) || all[j].epochs < outside) continue;
            double u = forward(scale->accuracy, value);
            if (isfinite(best)) u = sign * fmin(sign * u, sign * best + half);
            scale->low = fmin(scale->low, u);
            scale->high = fmax(scale->high, u);
        }
        free(all);
    }
}

nl_scale nl_scale_of(const nl_figures *figures, bool accuracy, bool train, bool progress) {
    nl_scale scale = {accuracy, INFINITY, -INFINITY};
    int epochs = 0;
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(figures->rows[i].variant, &n);
        for (int j = 0; j < n; j++) {
            stretch(&scale, accuracy ? &bands[j].test_accuracy : &bands[j].test_loss);
            if (train) stretch(&scale, accuracy ? &bands[j].train_accuracy : &bands[j].train_loss);
        }
        free(bands);
        if (n > epochs) epochs = n;
    }
    if (progress) stretch_by_progress(&scale, figures, epochs);
    if (!(scale.low <= scale.high)) scale.low = scale.high = forward(accuracy, accuracy ? 90 : 1);
    const double room = fmax(0.05 * (scale.high - scale.low), 0.03);
    scale.low -= room;
    scale.high += room;
    return scale;
}

double nl_scale_fraction(const nl_scale *scale, double value) {
    return (forward(scale->accuracy, value) - scale->low) / (scale->high - scale->low);
}

/* ---- ticks ---- */

enum { MAX_TICKS = 64 };

/* Losses or errors at which there are ticks, rising. */
typedef struct ticks {
    double at[MAX_TICKS];
    int n;
} ticks;

static void add(ticks *t, double value, double low, double high) {
    if (value >= low && value <= high && t->n < MAX_TICKS) t->at[t->n++] = value;
}

static ticks at_digits(const char *digits, double low, double high) {
    ticks t = {.n = 0};
    for (int decade = (int)floor(log10(low)); decade <= (int)ceil(log10(high)); decade++)
        for (const char *digit = digits; *digit; digit++)
            add(&t, (*digit - '0') * pow(10, decade), low, high);
    return t;
}

static ticks at_steps(double step, double low, double high) {
    ticks t = {.n = 0};
    for (double k = ceil(low / step); k * step <= high && t.n < MAX_TICKS; k++)
        add(&t, k * step, low, high);
    return t;
}

/* Whether labels at these places, on an axis so many pixels long, stay apart. */
static bool apart(const ticks *t, double low, double high, int pixels) {
    for (int i = 0; i + 1 < t->n; i++)
        if (log10(t->at[i + 1] / t->at[i]) / log10(high / low) * pixels < 20) return false;
    return true;
}

/* The most that stay apart: digits of each decade, or on an axis too short for three of those, even
 * steps. */
static ticks choose(double low, double high, int pixels) {
    static const char *const digits[] = {"123456789", "123468", "1235", "125", "13", "1"};
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++) {
        const ticks t = at_digits(digits[i], low, high);
        if (t.n >= 3 && t.n <= 9 && apart(&t, low, high, pixels)) return t;
    }
    static const int steps[] = {1, 2, 5};
    ticks t = at_digits("1", low, high);
    for (int decade = (int)floor(log10(high - low)) - 2; decade <= (int)ceil(log10(high)); decade++)
        for (int i = 0; i < 3; i++) {
            const ticks even = at_steps(steps[i] * pow(10, decade), low, high);
            if (even.n >= 2 && even.n <= 9 && apart(&even, low, high, pixels)) return even;
        }
    while (t.n > 9) { /* of many decades every other */
        int n = 0;
        for (int i = 0; i < t.n; i += 2) t.at[n++] = t.at[i];
        t.n = n;
    }
    return t;
}

void nl_scale_write(FILE *out, const nl_scale *scale, int pixels, bool labels) {
    const double low = inverse(false, scale->accuracy ? -scale->high : scale->low);
    const double high = inverse(false, scale->accuracy ? -scale->low : scale->high);
    const ticks t = choose(low, high, pixels);
    fputs(scale->accuracy ? "set nonlinear y via -log10(100 - y) inverse 100 - 10**(-y)\n"
                          : "set logscale y\n",
          out);
    fprintf(out, "set yrange [%.10g:%.10g]\nset ytics (", inverse(scale->accuracy, scale->low),
            inverse(scale->accuracy, scale->high));
    for (int i = 0; i < t.n; i++) {
        const double value = scale->accuracy ? 100 - t.at[i] : t.at[i];
        fputs(i ? ", '" : "'", out);
        if (labels) fprintf(out, "%.6g", value);
        fprintf(out, "' %.10g", value);
    }
    fputs(")\n", out);
}

int nl_epochs_last(const nl_figures *figures) {
    int last = 1;
    for (int i = 0; i < figures->n_rows; i++) {
        int n;
        nl_band *bands = nl_variant_bands(figures->rows[i].variant, &n);
        if (n > 0 && bands[n - 1].epoch > last) last = bands[n - 1].epoch;
        free(bands);
    }
    return last;
}

void nl_epochs_write(FILE *out, const nl_figures *figures, int columns, bool from_zero) {
    static const double steps[] = {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
    const int last = nl_epochs_last(figures);
    const int most = columns > 2 ? 5 : columns > 1 ? 10 : 12; /* labels that fit */
    size_t step = from_zero ? 0 : 3;
    while (last / steps[step] > most && step + 1 < sizeof steps / sizeof *steps) step++;
    const double first = from_zero ? 0 : last == 1 ? 0.4 : 1 - 0.02 * last;
    fprintf(out, "set xrange [%.3f:%.3f]\nset xtics %g,%g\n", first, 1.01 * last,
            from_zero ? 0 : steps[step], steps[step]);
}
