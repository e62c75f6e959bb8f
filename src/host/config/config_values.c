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

/* A whole number or a real one, within the key's limits. */
static int parse_number(double *number, const nl_key *key, const char *path, const nl_scalar *value,
                        nl_error *err) {
    const bool real = key->type == NL_KEY_REAL || key->type == NL_KEY_REALS;
    if (value->quoted) return wrong(err, key, path, value, "a string");
    if (!(real ? is_real(value->text) : is_whole(value->text)))
        return wrong(err, key, path, value, real ? "not a number" : "not a whole number");
    *number = to_double(value->text);
    return is_within(*number, key) ? NL_OK : wrong(err, key, path, value, "out of range");
}

/* The set's name becomes that of a folder. */
static int parse_name(char *at, const nl_key *key, const char *path, const nl_scalar *value,
                      nl_error *err) {
    const size_t length = strlen(value->text);
    bool good = length > 0 && length < NL_SET_NAME && isalnum((unsigned char)value->text[0]);
    for (const char *c = value->text; *c && good; c++)
        good = isascii(*c) && (isalnum((unsigned char)*c) || strchr("-_.", *c));
    if (!good) return wrong(err, key, path, value, "no name of a set");
    memset(at, 0, NL_SET_NAME);
    memcpy(at, value->text, length);
    return NL_OK;
}

/* --- Lists ----------------------------------------------------------------------------------- */

static int wrong_list(nl_error *err, const nl_key *key, const char *path, const nl_scalar *value) {
    char range[128];
    nl_key_range(range, sizeof range, key);
    if (!value->items) return wrong(err, key, path, value, "no list");
    return nl_key_fail(err, value, path, "a list of %d; allowed: %s", value->n_items, range);
}

static int parse_shape(nl_image_shape *at, const nl_key *key, const char *path,
                       const nl_scalar *value, nl_error *err) {
    if (!value->items || value->n_items != 3) return wrong_list(err, key, path, value);
    double number[3] = {0};
    for (int i = 0; i < 3; i++) {
        const int code = parse_number(&number[i], key, path, &value->items[i], err);
        if (code) return code;
    }
    if (number[0] > NL_MAX_CHANNELS)
        return wrong(err, key, path, &value->items[0], "too many channels");
    *at = (nl_image_shape){(int)number[0], (int)number[1], (int)number[2]};
    return NL_OK;
}

/* What is not given is like the last that is. */
static int parse_reals(nl_by_channel *at, const nl_key *key, const char *path,
                       const nl_scalar *value, nl_error *err) {
    const nl_scalar *items = value->items ? value->items : value;
    const int count = value->items ? value->n_items : 1;
    if (count < 1 || count > NL_MAX_CHANNELS) return wrong_list(err, key, path, value);
    nl_by_channel found = {.count = count};
    for (int i = 0; i < NL_MAX_CHANNELS; i++) {
        const nl_scalar *item = &items[i < count ? i : count - 1];
        const int code = parse_number(&found.of[i], key, path, item, err);
        if (code) return code;
    }
    *at = found;
    return NL_OK;
}

static int parse_names(char at[NL_MAX_CLASSES][NL_CLASS_NAME], const nl_key *key, const char *path,
                       const nl_scalar *value, nl_error *err) {
    if (!value->items || value->n_items > NL_MAX_CLASSES) return wrong_list(err, key, path, value);
    memset(at, 0, sizeof *at * NL_MAX_CLASSES);
    for (int i = 0; i < value->n_items; i++) {
        const nl_scalar *item = &value->items[i];
        const size_t length = strlen(item->text);
        if (length == 0 || length >= NL_CLASS_NAME)
            return wrong(err, key, path, item, length ? "too long" : "no name");
        for (const char *c = item->text; *c; c++)
            if (iscntrl((unsigned char)*c)) return wrong(err, key, path, item, "no line of text");
        for (int k = 0; k < i; k++)
            if (!strcmp(at[k], item->text)) return wrong(err, key, path, item, "there twice");
        memcpy(at[i], item->text, length);
    }
    return NL_OK;
}

/* Bit i for word i. */
static int parse_set(unsigned *at, const nl_key *key, const char *path, const nl_scalar *value,
                     nl_error *err) {
    unsigned all = 0, found = 0;
    for (int i = 0; key->words[i]; i++) all |= 1u << i;
    if (!value->items && !strcmp(value->text, "all")) found = all;
    if (!found && (!value->items || value->n_items < 1)) return wrong_list(err, key, path, value);
    for (int i = 0; value->items && i < value->n_items; i++) {
        const nl_scalar *item = &value->items[i];
        const int word = find_word(key->words, item->text);
        if (word < 0) return wrong(err, key, path, item, "not one of its values");
        if (found >> word & 1u) return wrong(err, key, path, item, "there twice");
        found |= 1u << word;
    }
    *at = found;
    return NL_OK;
}

int nl_key_parse(void *base, const nl_key *key, const char *path, const nl_scalar *value,
                 nl_error *err) {
    void *at = (char *)base + key->offset;
    double number = 0;
    int code;
    if (value->items && !nl_key_takes_list(key))
        return nl_key_fail(err, value, path, "wants one value, not a list");
    switch (key->type) {
    case NL_KEY_BOOL:
    case NL_KEY_WORD:
        return parse_word(at, key, path, value, err);
    case NL_KEY_NORM:
        return parse_norm(at, key, path, value, err);
    case NL_KEY_NAME:
        return parse_name(at, key, path, value, err);
    case NL_KEY_SHAPE:
        return parse_shape(at, key, path, value, err);
    case NL_KEY_REALS:
        return parse_reals(at, key, path, value, err);
    case NL_KEY_NAMES:
        return parse_names(at, key, path, value, err);
    case NL_KEY_SET:
        return parse_set(at, key, path, value, err);
    case NL_KEY_INT:
    case NL_KEY_SEED:
    case NL_KEY_REAL:
        break;
    }
    if ((code = parse_number(&number, key, path, value, err))) return code;
    if (key->type == NL_KEY_REAL)
        *(double *)at = number;
    else if (key->type == NL_KEY_SEED)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(int *)at = (int)number;
    return NL_OK;
}
