/* Numbers as text; see number.h. */
#include "number.h"

#include <jansson.h> // json_real
#include <math.h>    // isfinite
#include <stdio.h>   // snprintf
#include <stdlib.h>  // strtod

enum { LEAST_DIGITS = 15, MOST_DIGITS = 17 }; /* 17 bring back every double */

static nl_number with_digits(double value, int digits) {
    nl_number n;
    snprintf(n.text, sizeof n.text, "%.*g", digits, value);
    return n;
}

static int digits_of(double value) {
    int digits = LEAST_DIGITS;
    while (digits < MOST_DIGITS && strtod(with_digits(value, digits).text, NULL) != value) digits++;
    return digits;
}

nl_number nl_shortest(double value) {
    return with_digits(value, digits_of(value));
}

nl_number nl_thousands(long long value) {
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%lld", value);
    nl_number n;
    int at = 0;
    for (int i = 0; i < length; i++) {
        n.text[at++] = digits[i];
        const int left = length - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-') n.text[at++] = ',';
    }
    n.text[at] = '\0';
    return n;
}

json_t *nl_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static int most_digits(json_t *json) {
    int most = LEAST_DIGITS;
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_real(json)) return digits_of(json_real_value(json));
    json_object_foreach(json, key, item) {
        most = larger(most, most_digits(item));
    }
    json_array_foreach(json, i, item) {
        most = larger(most, most_digits(item));
    }
    return most;
}

size_t nl_json_precision(json_t *json) {
    return JSON_REAL_PRECISION((size_t)most_digits(json));
}
