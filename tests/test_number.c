/* Numbers as text: digits that bring back the same number, and no more; thousands; JSON. */
#include <criterion/criterion.h>
#include <jansson.h> // json_dumps
#include <limits.h>  // LLONG_MIN
#include <math.h>    // NAN, ldexp
#include <stdlib.h>  // strtod, free

#include "base/number.h"

Test(number, shortest) {
    const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {0.1, "0.1"},
                 {-97.66, "-97.66"},
                 {1e-5, "1e-05"},
                 {1.0 / 3, "0.3333333333333333"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {4294967295, "4294967295"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(nl_shortest(cases[i].value).text, cases[i].text);
}

Test(number, shortest_brings_back_every_double) {
    double value = 1;
    for (int i = -1000; i < 1000; i++) {
        value = value * 1.7 - (double)(int)(value * 1.7) + 1;
        const double x = ldexp(value, i);
        cr_expect_eq(strtod(nl_shortest(x).text, NULL), x, "%.17g", x);
    }
}

Test(number, thousands) {
    const struct {
        long long value;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "999"},
                 {1000, "1,000"},
                 {-1000, "-1,000"},
                 {-999, "-999"},
                 {1234567, "1,234,567"},
                 {LLONG_MIN, "-9,223,372,036,854,775,808"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(nl_thousands(cases[i].value).text, cases[i].text);
}

static void expect_json(json_t *json, const char *text) {
    char *got = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | nl_json_precision(json));
    cr_assert(got);
    cr_expect_str_eq(got, text);
    free(got);
    json_decref(json);
}

Test(number, json) {
    expect_json(nl_json_number(NAN), "null");
    expect_json(nl_json_number(-INFINITY), "null");
    expect_json(nl_json_number(0.1), "0.1");
    expect_json(json_pack("{s:f, s:[{s:f}], s:s}", "a", 0.25, "b", "c", 1.0 / 3, "d", "e"),
                "{\"a\":0.25,\"b\":[{\"c\":0.3333333333333333}],\"d\":\"e\"}");
    expect_json(json_pack("[i, [f]]", 1, 0.1 + 0.2), "[1,[0.30000000000000004]]");
}
