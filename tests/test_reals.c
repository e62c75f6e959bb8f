/* Arrays copied between float and double; the name of the processor. */
#include <criterion/criterion.h>
#include <string.h> // memcmp

#include "base/processor.h"
#include "base/reals.h"

static const double wide[] = {0, -1.5, 1.0 / 3, 1e300, 1e-300};
static const float narrow[] = {0, -1.5F, 1.0F / 3, 3e38F, 1e-45F};
enum { N = 5 };

Test(reals, between_precisions) {
    double d[N];
    float f[N];
    nl_reals_copy(d, sizeof *d, narrow, sizeof *narrow, N);
    for (int i = 0; i < N; i++) cr_expect(d[i] == (double)narrow[i], "%d: %g", i, d[i]);
    nl_reals_copy(f, sizeof *f, wide, sizeof *wide, N);
    for (int i = 0; i < N; i++) cr_expect(f[i] == (float)wide[i], "%d: %g", i, (double)f[i]);
}

Test(reals, of_one_precision) {
    double d[N];
    float f[N];
    nl_reals_copy(d, sizeof *d, wide, sizeof *wide, N);
    cr_expect(memcmp(d, wide, sizeof d) == 0);
    nl_reals_copy(f, sizeof *f, narrow, sizeof *narrow, N);
    cr_expect(memcmp(f, narrow, sizeof f) == 0);
}

Test(reals, none_of_no_array) {
    nl_reals_copy(NULL, sizeof(double), NULL, sizeof(float), 0);
    nl_reals_copy(NULL, sizeof(float), NULL, sizeof(float), 0);
}

Test(processor, name_fits_and_ends_with_its_line) {
    char name[256], little[4];
    nl_processor_name(name, sizeof name);
    cr_expect(name[0] && !strpbrk(name, "\n:"), "%s", name);
    nl_processor_name(little, sizeof little);
    cr_expect(strncmp(little, name, 3) == 0 && strlen(little) <= 3);
}
