/* Comparing tensors, and buffers that notice what should not happen to them.
 *
 *     double *y = guarded_f64(count);            // full of NaN, guard words on both sides
 *     nl_relu_forward_f64(y, x, count);
 *     CHECK_CLOSE(y, want, count, 1e-12, 0);     // |y - want| <= 1e-12 + 0 * |want|, each
 *     guarded_free(y);                           // aborts the test if a guard was touched
 *
 * A NaN differs from every number and equals only a NaN; an infinity equals only itself.
 */
#pragma once

#include <criterion/criterion.h> // cr_assert
#include <math.h>                // fabs
#include <stdbool.h>             // bool
#include <stdint.h>              // int64_t

enum { COMPARE_TEXT = 256 };

/* True if |got - want| <= absolute + relative * |want| everywhere. Otherwise text tells the worst
 * element: index, both values, difference, ulp, and how many are wrong. */
bool compare_f64(char text[COMPARE_TEXT], const double *got, const double *want, int64_t count,
                 double absolute, double relative);
bool compare_f32(char text[COMPARE_TEXT], const float *got, const double *want, int64_t count,
                 double absolute, double relative);

/* The same with a bound for each element. */
bool compare_bounds_f32(char text[COMPARE_TEXT], const float *got, const double *want,
                        const double *bounds, int64_t count);

/* Fails the test where a float operation is off by more than 4 times what the plain one in float is,
 * and 4 roundings of the largest. name: the case; what: of its results. */
void check_as_plain(const char *name, const char *what, const float *got, const double *want,
                    const double *plain, int64_t count);

/* Number of representable numbers from a to b; UINT64_MAX if one is NaN. */
uint64_t ulp_f64(double a, double b);
uint64_t ulp_f32(float a, float b);

/* Buffers of NaN between guard words. */
double *guarded_f64(int64_t count);
float *guarded_f32(int64_t count);
int32_t *guarded_i32(int64_t count); /* filled with -1 */
bool guarded_intact(const void *buffer);
void guarded_free(void *buffer); /* fails the test if a guard word has changed */

#define CHECK_CLOSE(got, want, count, absolute, relative)                                            \
    do {                                                                                             \
        char check_text[COMPARE_TEXT];                                                               \
        cr_assert(_Generic((got), float * : compare_f32, const float * : compare_f32,              \
                                  default : compare_f64)(check_text, got, want, count, absolute,   \
                                                         relative),                                \
                  #got ": %s", check_text); \
    } while (0)

#define CHECK_EQUAL(got, want, count) CHECK_CLOSE(got, want, count, 0, 0)

#define CHECK_BOUNDS(got, want, bounds, count)                                                     \
    do {                                                                                           \
        char check_text[COMPARE_TEXT];                                                             \
        cr_assert(compare_bounds_f32(check_text, got, want, bounds, count), #got ": %s",           \
                  check_text);                                                                     \
    } while (0)

/* Two numbers; NaN fails. */
#define NEAR(got, want, tolerance)                                                                 \
    do {                                                                                           \
        const double got_ = (got), want_ = (want);                                                 \
        cr_assert(fabs(got_ - want_) <= (tolerance), "%s: %.17g, expected %.17g", #got, got_,      \
                  want_);                                                                          \
    } while (0)
