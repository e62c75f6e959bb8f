/* compare.h. Every comparison is written as !(difference <= bound), so that NaN fails, in the
 * values and in the bound alike. */
#include "compare.h"

#include <math.h>   // fabs, isnan
#include <stdio.h>  // snprintf
#include <stdlib.h> // malloc
#include <string.h> // memcpy

// --- ulp ----------------------------------------------------------------------------------------

/* Bits of a number as an integer that grows with it: negative numbers are mirrored. */
static int64_t ordered_f64(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? INT64_MIN - bits : bits;
}

static int64_t ordered_f32(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? (int64_t)INT32_MIN - bits : bits;
}

static uint64_t distance(int64_t a, int64_t b) {
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

uint64_t ulp_f64(double a, double b) {
    return isnan(a) || isnan(b) ? UINT64_MAX : distance(ordered_f64(a), ordered_f64(b));
}

uint64_t ulp_f32(float a, float b) {
    return isnan(a) || isnan(b) ? UINT64_MAX : distance(ordered_f32(a), ordered_f32(b));
}

void check_as_plain(const char *name, const char *what, const float *got, const double *want,
                    const double *plain, int64_t count) {
    char text[COMPARE_TEXT];
    double error = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        error = fmax(error, fabs(plain[i] - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    const double bound = 4 * error + 4 * 0x1p-23 * largest;
    cr_assert(compare_f32(text, got, want, count, bound, 0), "%s: %s: %s", name, what, text);
}

// --- comparisons --------------------------------------------------------------------------------

typedef struct findings {
    int64_t wrong, worst;
    double excess;
} findings;

static bool close_enough(double got, double want, double bound) {
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs(got - want) <= bound;
}

static void look(findings *f, int64_t i, double got, double want, double bound) {
    if (close_enough(got, want, bound)) return;
    const double excess = isnan(got - want) ? INFINITY : fabs(got - want);
    if (f->wrong++ == 0 || excess > f->excess) {
        f->worst = i;
        f->excess = excess;
    }
}

static bool report(char *text, findings f, int64_t count, double got, double want, double bound,
                   uint64_t ulp) {
    text[0] = 0;
    if (f.wrong == 0) return true;
    snprintf(text, COMPARE_TEXT,
             "element %lld: got %.17g, want %.17g, off by %.3g (%llu ulp), allowed %.3g; %lld of "
             "%lld wrong",
             (long long)f.worst, got, want, fabs(got - want), (unsigned long long)ulp, bound,
             (long long)f.wrong, (long long)count);
    return false;
}

bool compare_f64(char text[COMPARE_TEXT], const double *got, const double *want, int64_t count,
                 double absolute, double relative) {
    findings f = {0, 0, 0};
    for (int64_t i = 0; i < count; i++)
        look(&f, i, got[i], want[i], absolute + relative * fabs(want[i]));
    const double a = count ? got[f.worst] : 0, b = count ? want[f.worst] : 0;
    return report(text, f, count, a, b, absolute + relative * fabs(b), ulp_f64(a, b));
}

bool compare_f32(char text[COMPARE_TEXT], const float *got, const double *want, int64_t count,
                 double absolute, double relative) {
    findings f = {0, 0, 0};
    for (int64_t i = 0; i < count; i++)
        look(&f, i, (double)got[i], want[i], absolute + relative * fabs(want[i]));
    const float a = count ? got[f.worst] : 0;
    const double b = count ? want[f.worst] : 0;
    return report(text, f, count, (double)a, b, absolute + relative * fabs(b),
                  ulp_f32(a, (float)b));
}

bool compare_bounds_f32(char text[COMPARE_TEXT], const float *got, const double *want,
                        const double *bounds, int64_t count) {
    findings f = {0, 0, 0};
    for (int64_t i = 0; i < count; i++) look(&f, i, (double)got[i], want[i], bounds[i]);
    const float a = count ? got[f.worst] : 0;
    const double b = count ? want[f.worst] : 0;
    return report(text, f, count, (double)a, b, count ? bounds[f.worst] : 0, ulp_f32(a, (float)b));
}

// --- guarded buffers ----------------------------------------------------------------------------

/* Layout: the size in bytes, guard words up to 256 bytes, the buffer, 256 bytes of guard words. */
enum { GUARD = 256 };
static const uint64_t guard_word = 0x7ff8dead5afe0b5eu; /* a NaN, should it be read as a number */

static void *guarded(int64_t count, size_t size) {
    const uint64_t bytes = (uint64_t)count * size;
    uint8_t *block = malloc(bytes + 2 * GUARD);
    cr_assert_not_null(block);
    for (size_t i = 0; i < GUARD; i += sizeof guard_word) {
        memcpy(block + i, &guard_word, sizeof guard_word);
        memcpy(block + GUARD + bytes + i, &guard_word, sizeof guard_word);
    }
    memcpy(block, &bytes, sizeof bytes);
    return block + GUARD;
}

double *guarded_f64(int64_t count) {
    double *buffer = guarded(count, sizeof *buffer);
    for (int64_t i = 0; i < count; i++) buffer[i] = NAN;
    return buffer;
}

float *guarded_f32(int64_t count) {
    float *buffer = guarded(count, sizeof *buffer);
    for (int64_t i = 0; i < count; i++) buffer[i] = NAN;
    return buffer;
}

int32_t *guarded_i32(int64_t count) {
    int32_t *buffer = guarded(count, sizeof *buffer);
    for (int64_t i = 0; i < count; i++) buffer[i] = -1;
    return buffer;
}

bool guarded_intact(const void *buffer) {
    const uint8_t *data = buffer;
    uint64_t bytes;
    memcpy(&bytes, data - GUARD, sizeof bytes);
    for (size_t i = sizeof bytes; i < GUARD; i += sizeof guard_word)
        if (memcmp(data - GUARD + i, &guard_word, sizeof guard_word) != 0) return false;
    for (size_t i = 0; i < GUARD; i += sizeof guard_word)
        if (memcmp(data + bytes + i, &guard_word, sizeof guard_word) != 0) return false;
    return true;
}

void guarded_free(void *buffer) {
    if (!buffer) return;
    cr_assert(guarded_intact(buffer), "written outside of a buffer");
    free((uint8_t *)buffer - GUARD);
}
