/* Reads a config file. libyaml gives events (a key, a value, a mapping begins, ends ...) with their
 * lines; a config is mappings of scalars with the list of layers in one place, so each function
 * below reads one kind of node and the stack is the path of the section.
 *
 * Anchors, aliases, tags and further documents are legal YAML that no config needs: refused, so
 * that a file says what it seems to say.
 */
#include "normlab/config.h"

#include <errno.h>    // errno
#include <stdio.h>    // fopen
#include <string.h>   // strerror, strrchr
#include <sys/stat.h> // fstat
#include <yaml.h>     // yaml_parser_parse

#include "config_read.h"

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    const char *path; /* of the file */
    nl_config *config;
    nl_error *err;
    char sections[8][160]; /* seen, against duplicates */
    int n_sections;
} reader;

/* --- Events ---------------------------------------------------------------------------------- */

static nl_scalar here(const reader *r) {
    return (nl_scalar){
        .file = r->path, .line = (int)r->event.start_mark.line + 1, .code = NL_EUSAGE};
}

static int refuse(reader *r, const char *what) {
    const nl_scalar at = here(r);
    return nl_key_fail(r->err, &at, "YAML", "%s cannot be used in a config", what);
}

/* Takes the next event, refusing what a config may not hold. */
static int next(reader *r) {
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event);
    if (!r->has_event) return nl_yaml_fail(&r->parser, r->path, r->err);
    const yaml_event_t *e = &r->event;
    const bool scalar = e->type == YAML_SCALAR_EVENT, map = e->type == YAML_MAPPING_START_EVENT,
               list = e->type == YAML_SEQUENCE_START_EVENT;
    if (e->type == YAML_ALIAS_EVENT) return refuse(r, "an alias (*name)");
    if ((scalar && e->data.scalar.anchor) || (map && e->data.mapping_start.anchor) ||
        (list && e->data.sequence_start.anchor))
        return refuse(r, "an anchor (&name)");
    if ((scalar && e->data.scalar.tag) || (map && e->data.mapping_start.tag) ||
        (list && e->data.sequence_start.tag))
        return refuse(r, "a tag (!name)");
    if (scalar && strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
        return refuse(r, "a zero byte");
    return NL_OK;
}

static const char *text_of(const reader *r) {
    return (const char *)r->event.data.scalar.value;
}

/* The current event has to be a key of a mapping. */
static int take_key(reader *r, char *key, size_t size) {
    const nl_scalar at = here(r);
    if (r->event.type != YAML_SCALAR_EVENT)
        return nl_key_fail(r->err, &at, "YAML", "a key has to be a word");
    if (snprintf(key, size, "%s", text_of(r)) >= (int)size)
        return nl_key_fail(r->err, &at, key, "unknown key");
    return NL_OK;
}

/* The current event has to be a value. */
static int take_value(reader *r, const char *path, nl_scalar *value) {
    *value = here(r);
    if (r->event.type != YAML_SCALAR_EVENT)
        return nl_key_fail(r->err, value, path, "wants one value, not a %s",
                           r->event.type == YAML_SEQUENCE_START_EVENT ? "list" : "section");
    value->text = text_of(r);
    value->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!*value->text) return nl_key_fail(r->err, value, path, "has no value");
    return NL_OK;
}

/* --- Lists ----------------------------------------------------------------------------------- */

/* The rest of a list, whose start is the current event. */
static int read_list(reader *r, nl_list *list, const char *path) {
    int code = NL_OK;
    while (!(code = next(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        nl_scalar item;
        if ((code = take_value(r, path, &item)) || (code = nl_list_add(list, &item, path, r->err)))
            return code;
    }
    return code;
}

static int assign_list(reader *r, const char *path) {
    nl_list list = nl_list_make();
    nl_scalar value = here(r);
    int code = read_list(r, &list, path);
    value.items = list.items;
    value.n_items = list.count;
    if (!code) code = nl_config_assign(r->config, path, &value, r->err);
    nl_list_free(&list);
    return code;
}

int nl_yaml_list(nl_list *list, const nl_scalar *value, const char *path, nl_error *err) {
    nl_error inner = {0};
    reader r = {.path = value->file, .err = &inner};
    if (!yaml_parser_initialize(&r.parser))
        return nl_fail(err, NL_EINTERNAL, value->file, "out of memory");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)value->text,
                                 strlen(value->text));
    int code = next(&r); /* the stream starts, the document, the list */
    for (int i = 0; i < 2 && !code; i++) code = next(&r);
    if (!code) code = read_list(&r, list, path);
    for (int i = 0; i < 2 && !code; i++) code = next(&r); /* the document ends, the stream */
    const bool whole = !code && r.event.type == YAML_STREAM_END_EVENT;
    if (r.has_event) yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    for (int i = 0; i < list->count; i++) list->items[i].line = value->line;
    if (whole) return NL_OK;
    nl_key_fail(err, value, path, "'%.40s' is no list", value->text);
    return nl_hint(err, "a list is [A, B, C]; quote it for the shell");
}

/* --- Layers ---------------------------------------------------------------------------------- */

static int read_layer(reader *r, int number) {
    nl_layer_draft draft = {0};
    const nl_scalar start = here(r);
    int code = NL_OK;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return nl_key_fail(r->err, &start, "model.layers",
                           "wants layers like {conv: 16, kernel: 3}");
    while (!(code = next(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
        char key[64], path[128];
        nl_scalar value;
        if ((code = take_key(r, key, sizeof key))) return code;
        snprintf(path, sizeof path, "model.layers[%d].%s", number, key);
        if (nl_key_find(nl_layer_keys, nl_layer_key_count, key) < 0) {
            value = here(r);
            return nl_layer_assign(&draft, number, key, &value, r->err);
        }
        if ((code = next(r)) || (code = take_value(r, path, &value)) ||
            (code = nl_layer_assign(&draft, number, key, &value, r->err)))
            return code;
    }
    return code ? code : nl_layer_add(r->config, &draft, &start, r->err);
}

static int read_layers(reader *r) {
    const nl_scalar start = here(r);
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return nl_key_fail(r->err, &start, "model.layers", "wants a list of layers");
    if (r->config->model.n_layers > 0)
        return nl_key_fail(r->err, &start, "model.layers", "given twice");
    int code = NL_OK;
    while (!(code = next(r)) && r->event.type != YAML_SEQUENCE_END_EVENT)
        if ((code = read_layer(r, r->config->model.n_layers + 1))) return code;
    return code;
}

/* --- Sections -------------------------------------------------------------------------------- */

static int enter_section(reader *r, const char *path) {
    const nl_scalar at = here(r);
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        nl_key_fail(r->err, &at, path, "a section, it has keys and no value of its own");
        return nl_hint(r->err, "below it stand lines KEY: VALUE, a space after each colon");
    }
    for (int i = 0; i < r->n_sections; i++)
        if (!strcmp(r->sections[i], path)) return nl_key_fail(r->err, &at, path, "given twice");
    NL_ASSERT(r->n_sections < (int)(sizeof r->sections / sizeof *r->sections));
    snprintf(r->sections[r->n_sections++], sizeof *r->sections, "%s", path);
    return NL_OK;
}

/* One section, whose first event is the current one; `prefix` is "" or ends in a dot. */
static int read_section(reader *r, const char *prefix) {
    int code = NL_OK;
    while (!(code = next(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
        char key[64], path[160], below[164];
        if ((code = take_key(r, key, sizeof key))) return code;
        snprintf(path, sizeof path, "%s%s", prefix, key);
        nl_scalar value = here(r);
        const bool layers = !strcmp(path, "model.layers"), section = nl_config_is_section(path);
        if (!layers && !section && nl_key_find(nl_config_keys, nl_config_key_count, path) < 0)
            return nl_config_unknown(path, &value, r->err);
        if ((code = next(r))) return code;
        if (layers) {
            code = read_layers(r);
        } else if (section) {
            snprintf(below, sizeof below, "%s.", path);
            if (!(code = enter_section(r, path))) code = read_section(r, below);
        } else if (r->event.type == YAML_SEQUENCE_START_EVENT) {
            code = assign_list(r, path);
        } else if (!(code = take_value(r, path, &value))) {
            code = nl_config_assign(r->config, path, &value, r->err);
        }
        if (code) return code;
    }
    return code;
}

/* --- The file -------------------------------------------------------------------------------- */

static int read_document(reader *r) {
    int code = next(r); /* the stream starts */
    if (code || (code = next(r))) return code;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        nl_fail(r->err, NL_EUSAGE, r->path, "the config is empty");
        return nl_hint(r->err, "it needs model.layers; normlab train --help lists all keys");
    }
    if ((code = next(r))) return code;
    if (r->event.type != YAML_MAPPING_START_EVENT) {
        const nl_scalar at = here(r);
        return nl_key_fail(r->err, &at, "YAML", "a config begins with a section, like data:");
    }
    if ((code = read_section(r, "")) || (code = next(r)) || (code = next(r))) return code;
    if (r->event.type != YAML_STREAM_END_EVENT) return refuse(r, "a second document (---)");
    return NL_OK;
}

static int open_file(FILE **file, const char *path, nl_error *err) {
    struct stat info;
    *file = fopen(path, "re");
    if (!*file) return nl_fail(err, NL_EUSAGE, path, "cannot open the config: %s", strerror(errno));
    if (fstat(fileno(*file), &info) != 0 || !S_ISDIR(info.st_mode)) return NL_OK;
    fclose(*file);
    nl_fail(err, NL_EUSAGE, path, "is a folder, not a config file");
    return nl_hint(err, "its configs are %.200s/*.yaml", path);
}

static void take_names(nl_config *config, const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    if (length >= 5 && !strcmp(name + length - 5, ".yaml")) length -= 5;
    snprintf(config->name, sizeof config->name, "%.*s", (int)length, name);
    snprintf(config->file, sizeof config->file, "%s", path);
}

int nl_config_read(nl_config *config, FILE *file, const char *path, nl_error *err) {
    nl_config_defaults(config);
    take_names(config, path);

    reader r = {.path = path, .config = config, .err = err};
    if (!yaml_parser_initialize(&r.parser)) nl_out_of_memory(path, 0);
    yaml_parser_set_input_file(&r.parser, file);
    const int code = read_document(&r);
    if (r.has_event) yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    nl_config_take_set(config);
    return code;
}

int nl_config_load(nl_config *config, const char *path, nl_error *err) {
    FILE *file;
    int code = open_file(&file, path, err);
    if (code) return code;
    code = nl_config_read(config, file, path, err);
    if (ferror(file)) code = nl_fail(err, NL_EUSAGE, path, "cannot read: %s", strerror(errno));
    fclose(file);
    return code ? code : nl_config_check(config, err);
}
