/* The records of a run, written and read by one table of their keys. jansson writes each number
 * with the fewest digits that read back as the same double, so that 0.1 stays 0.1.
 */
#include "metrics.h"

#include <errno.h>    // errno
#include <inttypes.h> // PRId64
#include <jansson.h>  // json_object
#include <math.h>     // isfinite, isnan
#include <stddef.h>   // offsetof
#include <stdlib.h>   // strtod, free
#include <string.h>   // strerror
#include <unistd.h>   // fsync

#include "base/folder.h"        // nl_cannot_write
#include "base/number.h"        // nl_json_number
#include "base/regular.h"       // nl_regular_read
#include "normlab/checkpoint.h" // nl_file_write

/* --- what stands in a record ----------------------------------------------------------------- */

typedef enum field_type { REAL, WHOLE, TEXT } field_type;

typedef struct field {
    const char *key;
    field_type type;
    size_t offset;    /* in nl_metrics_record; a TEXT is its `layer` */
    const char *form; /* a REAL of which more digits would only be noise: printed like this */
} field;

#define AT(name) offsetof(nl_metrics_record, name)
static const field step_fields[] = {{"epoch", WHOLE, AT(epoch), NULL},
                                    {"step", WHOLE, AT(step), NULL},
                                    {"loss", REAL, AT(loss), NULL},
                                    {"penalty", REAL, AT(penalty), NULL},
                                    {0}};
static const field progress_fields[] = {{"epoch", WHOLE, AT(epoch), NULL},
                                        {"step", WHOLE, AT(step), NULL},
                                        {"loss", REAL, AT(loss), NULL},
                                        {"accuracy", REAL, AT(accuracy), NULL},
                                        {0}};
static const field epoch_fields[] = {{"epoch", WHOLE, AT(epoch), NULL},
                                     {"lr", REAL, AT(lr), "%.12g"},
                                     {"train_loss", REAL, AT(figures.train_loss), NULL},
                                     {"train_accuracy", REAL, AT(figures.train_accuracy), NULL},
                                     {"test_loss", REAL, AT(figures.test_loss), NULL},
                                     {"test_accuracy", REAL, AT(figures.test_accuracy), NULL},
                                     {"seconds", REAL, AT(seconds), "%.4f"},
                                     {"images_per_second", REAL, AT(images_per_second), "%.1f"},
                                     {0}};
static const field layer_fields[] = {{"epoch", WHOLE, AT(epoch), NULL},
                                     {"layer", TEXT, AT(layer), NULL},
                                     {"z_mean", REAL, AT(z.mean), NULL},
                                     {"z_sd", REAL, AT(z.sd), NULL},
                                     {"y_mean", REAL, AT(y.mean), NULL},
                                     {"y_sd", REAL, AT(y.sd), NULL},
                                     {"dy_mean", REAL, AT(dy.mean), NULL},
                                     {"dy_sd", REAL, AT(dy.sd), NULL},
                                     {"dw_mean", REAL, AT(dw.mean), NULL},
                                     {"dw_sd", REAL, AT(dw.sd), NULL},
                                     {"zero", REAL, AT(zero), NULL},
                                     {"dead", REAL, AT(dead), NULL},
                                     {0}};
static const field final_fields[] = {{"train_loss", REAL, AT(figures.train_loss), NULL},
                                     {"train_accuracy", REAL, AT(figures.train_accuracy), NULL},
                                     {"test_loss", REAL, AT(figures.test_loss), NULL},
                                     {"test_accuracy", REAL, AT(figures.test_accuracy), NULL},
                                     {0}};
#undef AT

static const struct {
    const char *name;
    const field *fields;
} events[NL_EVENTS] = {[NL_EVENT_STEP] = {"step", step_fields},
                       [NL_EVENT_PROGRESS] = {"progress", progress_fields},
                       [NL_EVENT_EPOCH] = {"epoch", epoch_fields},
                       [NL_EVENT_LAYER] = {"layer", layer_fields},
                       [NL_EVENT_FINAL] = {"final", final_fields}};

/* --- the file ------------------------------------------------------------------------------- */

/* The first `keep` bytes; the caller frees them. */
static int read_kept(char **bytes, const char *path, int64_t keep, nl_error *err) {
    char reason[NL_REASON];
    size_t size = 0;
    *bytes = nl_regular_read(path, &size, reason);
    if (!*bytes && errno != ENOENT) return nl_fail(err, NL_EDATA, path, "cannot read: %s", reason);
    if (*bytes && size >= (size_t)keep) return NL_OK;
    nl_fail(err, NL_EDATA, path,
            "shorter than when the state was saved (%" PRId64 " bytes): the run cannot go on",
            keep);
    return nl_hint(err, "--overwrite starts the run anew");
}

int nl_metrics_open(nl_metrics *metrics, const char *path, int64_t keep, nl_error *err) {
    char *bytes = NULL;
    metrics->file = NULL;
    snprintf(metrics->path, sizeof metrics->path, "%s", path);
    int code = keep > 0 ? read_kept(&bytes, path, keep, err) : NL_OK;
    if (!code) code = nl_file_write(path, keep > 0 ? bytes : "", (size_t)keep, err);
    free(bytes);
    if (code) return code;
    metrics->file = fopen(path, "ae");
    if (!metrics->file) return nl_fail(err, NL_EWRITE, path, "cannot open: %s", strerror(errno));
    if (fseeko(metrics->file, 0, SEEK_END) == 0) return NL_OK;
    code = nl_cannot_write(metrics->path, err);
    nl_metrics_close(metrics);
    return code;
}

void nl_metrics_close(nl_metrics *metrics) {
    if (metrics->file) fclose(metrics->file); /* every line was flushed already */
    metrics->file = NULL;
}

int nl_metrics_sync(nl_metrics *metrics, int64_t *bytes, nl_error *err) {
    *bytes = ftello(metrics->file);
    if (*bytes < 0 || fsync(fileno(metrics->file)) != 0) return nl_cannot_write(metrics->path, err);
    return NL_OK;
}

/* --- writing -------------------------------------------------------------------------------- */

static json_t *real(double value, const char *form) {
    if (form && isfinite(value)) {
        char text[400]; /* %.4f of the largest double has 314 characters */
        snprintf(text, sizeof text, form, value);
        value = strtod(text, NULL);
    }
    /* jansson writes a real 97 as 97.0 */
    const bool whole = fabs(value) < 1e15 && trunc(value) == value;
    return whole ? json_integer((json_int_t)value) : nl_json_number(value);
}

static json_t *value_of(const nl_metrics_record *record, const field *f) {
    const void *at = (const char *)record + f->offset;
    switch (f->type) {
    case REAL:
        return real(*(const double *)at, f->form);
    case WHOLE:
        return json_integer(*(const int64_t *)at);
    case TEXT:
        return json_string(at);
    }
    nl_abort("type of a field", __FILE__, __LINE__);
}

int nl_metrics_write(nl_metrics *metrics, const nl_metrics_record *record, nl_error *err) {
    bool good = fprintf(metrics->file, "{\"event\":\"%s\"", events[record->event].name) > 0;
    for (const field *f = events[record->event].fields; good && f->key; f++) {
        json_t *value = value_of(record, f); /* each with its own number of digits */
        NL_ASSERT(value);
        good = fprintf(metrics->file, ",\"%s\":", f->key) > 0 &&
               json_dumpf(value, metrics->file, JSON_ENCODE_ANY | nl_json_precision(value)) == 0;
        json_decref(value);
    }
    if (!good || fputs("}\n", metrics->file) < 0 || fflush(metrics->file) != 0)
        return nl_cannot_write(metrics->path, err);
    return NL_OK;
}

/* --- reading -------------------------------------------------------------------------------- */

static bool read_field(nl_metrics_record *record, const field *f, const json_t *value) {
    void *at = (char *)record + f->offset;
    const char *text = json_string_value(value);
    switch (f->type) {
    case REAL:
        *(double *)at = json_is_number(value) ? json_number_value(value) : NAN;
        return true;
    case WHOLE:
        *(int64_t *)at = json_integer_value(value);
        return json_is_integer(value);
    case TEXT:
        if (!text || strlen(text) >= sizeof record->layer) return false;
        strcpy(at, text);
        return true;
    }
    nl_abort("type of a field", __FILE__, __LINE__);
}

/* False: not a record. An event that is not known leaves NL_EVENTS. */
static bool read_record(nl_metrics_record *record, const json_t *json) {
    const char *name = json_string_value(json_object_get(json, "event"));
    int event = 0;
    while (name && event < NL_EVENTS && strcmp(events[event].name, name) != 0) event++;
    *record = (nl_metrics_record){.event = (nl_event)event};
    if (event == NL_EVENTS) return true;
    for (const field *f = events[event].fields; name && f->key; f++)
        if (!read_field(record, f, json_object_get(json, f->key))) return false;
    return name != NULL;
}

void nl_metrics_read(const char *path, bool (*take)(void *to, const nl_metrics_record *record),
                     void *to) {
    char reason[NL_REASON];
    FILE *file = nl_regular_open(path, reason);
    if (!file) {
        if (errno != ENOENT) nl_warn(path, "cannot open: %s", reason);
        return;
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    for (int number = 1; (length = getline(&line, &room, file)) >= 0; number++) {
        if (strspn(line, " \t\r\n") == (size_t)length) continue;
        nl_metrics_record record;
        json_t *json = json_loadb(line, (size_t)length, 0, NULL);
        if (!read_record(&record, json) || (record.event < NL_EVENTS && !take(to, &record)))
            nl_warn(path, "line %d is no record and is left out", number);
        json_decref(json);
    }
    if (ferror(file)) nl_warn(path, "cannot read: %s", strerror(errno));
    free(line);
    fclose(file);
}

typedef struct finding {
    nl_final figures;
    bool found;
} finding;

static bool take_final(void *to, const nl_metrics_record *record) {
    finding *last = to;
    const nl_final *f = &record->figures;
    if (record->event != NL_EVENT_FINAL ||
        isnan(f->train_loss + f->train_accuracy + f->test_loss + f->test_accuracy))
        return true;
    *last = (finding){*f, true};
    return true;
}

bool nl_metrics_read_final(const char *path, nl_final *final) {
    finding last = {0};
    nl_metrics_read(path, take_final, &last);
    if (last.found) *final = last.figures;
    return last.found;
}
