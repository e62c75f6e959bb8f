/* What two runs differ in: their configs by the table of keys, the rest by their run.json. */
#include <jansson.h> // json_equal
#include <stdio.h>   // fprintf
#include <string.h>  // strcmp

#include "normlab/differences.h"

static void add(nl_differences *d, bool differ, const char *name) {
    if (differ) d->names[d->n++] = name;
}

/* What stands below first.second of a record; NULL: the record does not tell. */
static const json_t *below(const json_t *record, const char *first, const char *second) {
    return json_object_get(json_object_get(record, first), second);
}

static bool differ(const json_t *a, const json_t *b, const char *first, const char *second) {
    const json_t *x = below(a, first, second), *y = below(b, first, second);
    return x && y && !json_equal(x, y);
}

/* How a run on a GPU goes through its first block; NULL: the record does not tell. */
static const json_t *way(const json_t *record) {
    return json_object_get(below(record, "plan", "first_block"), "way");
}

void nl_runs_differ(nl_differences *d, const nl_config *a, const nl_config *b,
                    const struct json_t *record_a, const struct json_t *record_b) {
    *d = (nl_differences){0};
    if (a && b) {
        nl_config same_seed = *b;
        same_seed.train.seed = a->train.seed;
        d->n = nl_config_differences(d->names, a, &same_seed);
    }
    add(d, differ(record_a, record_b, "data", "sha256"), NL_DIFFER_DATA);
    add(d, differ(record_a, record_b, "options", "limit_batches"), NL_DIFFER_LIMIT);
    d->n_apart = d->n;
    add(d, differ(record_a, record_b, "options", "init"), NL_DIFFER_INIT);
    add(d, differ(record_a, record_b, "device", "backend"), "device");
    add(d, differ(record_a, record_b, "versions", "normlab"), "version");
    const json_t *a_way = way(record_a), *b_way = way(record_b);
    add(d, a_way && b_way && !json_equal(a_way, b_way), NL_DIFFER_FIRST);
}

void nl_differences_add(nl_differences *d, const char *name) {
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->names[i], name) == 0) return;
    d->names[d->n++] = name;
}

char *nl_differences_text(const nl_differences *d, int count) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = nl_text_open(&text, &size);
    for (int i = 0; i < count; i++) fprintf(out, "%s%s", i ? ", " : "", d->names[i]);
    nl_text_close(out);
    return text;
}
