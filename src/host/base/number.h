/* Numbers as text: with as few digits as bring back the same number, so that 0.1 stays 0.1, or with
 * separators. In the C locale, which the program never leaves.
 */
#pragma once

#include <stddef.h> // size_t

struct json_t;

typedef struct nl_number {
    char text[40];
} nl_number;

/* A value with 15 to 17 digits, as many as it takes. */
nl_number nl_shortest(double value);

/* 9,426 */
nl_number nl_thousands(long long value);

/* The same in JSON. A value that is not finite is null; the caller owns it. */
struct json_t *nl_json_number(double value);

/* The flag of json_dumps (JSON_REAL_PRECISION) that brings back every number in it. */
size_t nl_json_precision(struct json_t *json);
