/* Text to value. Numbers are read in the C locale whatever the program's is, by a grammar stricter
 * than strtod's: no hexadecimal, no inf or nan, nothing behind the number, and no leading zeros in
 * a whole number, which YAML reads as octal or not, by its version.
 */
#include <ctype.h>  // isdigit
#include <limits.h> // INT_MAX
#include <locale.h> // newlocale
#include <math.h>   // isfinite
#include <stdlib.h> // strtod_l
#include <string.h> // strcmp

#include "config_keys.h"

static const char *skip_digits(const char *text) {
    while (isdigit((unsigned char)*text)) text++;
    return text;
}

/* [-]digits, no leading zero */
static bool is_whole(const char *text) {
    if (*text == '-') text++;
    const char *end = skip_digits(text);
    return end > text && !*end && (*text != '0' || end == text + 1);
}

/* [+-]digits[.digits][e[+-]digits], with at least one digit before e */
static bool is_real(const char *text) {
    if (*text == '-' || *text == '+') text++;
    const char *end = skip_digits(text);
    size_t digits = (size_t)(end - text);
    if (*end == '.') {
        text = end + 1;
        end = skip_digits(text);
        digits += (size_t)(end - text);
    }
    if (!digits) return false;
    if (*end == 'e' || *end == 'E') {
        text = end + 1;
        if (*text == '-' || *text == '+') text++;
        end = skip_digits(text);
        if (end == text) return false;
    }
    return !*end;
}

static double to_double(const char *text) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    NL_ASSERT(c != (locale_t)0);
    const double value = strtod_l(text, NULL, c);
    freelocale(c);
    return value;
}

/* NaN is outside of every range. */
static bool is_within(double value, const nl_key *key) {
    const nl_limits *l = &key->limits;
    if (!isfinite(value) || !(value >= l->min && value <= l->max)) return false;
    if (key->type == NL_KEY_INT && value > INT_MAX) return false;
    return !(l->above && value == l->min) && !(l->below && value == l->max);
}

/* The value of a word or bool: its place in the list, or -1. */
static int find_word(const char *const *words, const char *text) {
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], text)) return i;
    return -1;
}

static int wrong(nl_error *err, const nl_key *key, const char *path, const nl_scalar *value,
                 const char *what) {
    char range[128];
    const char *quote = value->quoted ? "\"" : "'";
    nl_key_range(range, sizeof range, key);
    return nl_key_fail(err, value, path, "%s%.40s%s%s is %s; allowed: %s", quote, value->text,
                       strlen(value->text) > 40 ? "..." : "", quote, what, range);
}

static int parse_word(void *at, const nl_key *key, const char *path, const nl_scalar *value,
                      nl_error *err) {
    static const char *const bools[] = {"false", "true", NULL};
    const bool is_bool = key->type == NL_KEY_BOOL;
    const int word = find_word(is_bool ? bools : key->words, value->text);
    if (is_bool && value->quoted) return wrong(err, key, path, value, "a string");
    if (word < 0) return wrong(err, key, path, value, "not one of its values");
    if (is_bool)
        *(bool *)at = word == 1;
    else
        *(int *)at = word;
    return NL_OK;
}

static int parse_norm(void *at, const nl_key *key, const char *path, const nl_scalar *value,
                      nl_error *err) {
    const bool is_true = !strcmp(value->text, "true"), is_false = !strcmp(value->text, "false");
    if (value->quoted || (!is_true && !is_false)) return parse_word(at, key, path, value, err);
    *(int *)at = is_true ? NL_NORM_OF_MODEL : NL_NORM_NONE;
    return NL_OK;
}

int nl_key_parse(void *base, const nl_key *key, const char *path, const nl_scalar *value,
                 nl_error *err) {
    void *at = (char *)base + key->offset;
    if (key->type == NL_KEY_BOOL || key->type == NL_KEY_WORD)
        return parse_word(at, key, path, value, err);
    if (key->type == NL_KEY_NORM) return parse_norm(at, key, path, value, err);

    const bool is_number = key->type == NL_KEY_REAL;
    if (value->quoted) return wrong(err, key, path, value, "a string");
    if (!(is_number ? is_real(value->text) : is_whole(value->text)))
        return wrong(err, key, path, value, is_number ? "not a number" : "not a whole number");
    const double number = to_double(value->text);
    if (!is_within(number, key)) return wrong(err, key, path, value, "out of range");
    if (key->type == NL_KEY_REAL)
        *(double *)at = number;
    else if (key->type == NL_KEY_SEED)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(int *)at = (int)number;
    return NL_OK;
}
