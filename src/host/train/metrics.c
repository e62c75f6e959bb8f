/* Writing metrics. Numbers are printed with the fewest digits that read back as the same double, so
 * that 0.1 stays 0.1 and nothing is lost. */
#include "metrics.h"

#include <errno.h>     // errno
#include <fcntl.h>     // open
#include <inttypes.h>  // PRIu32
#include <jansson.h>   // json_loads
#include <math.h>      // isfinite
#include <stdarg.h>    // va_list
#include <stdlib.h>    // strtod, free
#include <string.h>    // strerror
#include <sys/types.h> // off_t
#include <unistd.h>    // ftruncate, fsync

/* --- numbers -------------------------------------------------------------------------------- */

typedef struct number {
    char text[32];
} number;

static number printed(double value, int digits) {
    number n = {"null"};
    if (isfinite(value)) snprintf(n.text, sizeof n.text, "%.*g", digits, value);
    return n;
}

static number tidy(double value) {
    int digits = 15;
    while (digits < 17 && strtod(printed(value, digits).text, NULL) != value) digits++;
    return printed(value, digits);
}

/* A measured time or rate: more digits would only be noise. */
static number rounded(double value, double scale) {
    return tidy(round(value * scale) / scale);
}

/* --- the file ------------------------------------------------------------------------------- */

static int cannot_write(const nl_metrics *metrics, nl_error *err) {
    return nl_fail(err, NL_EWRITE, metrics->path, "cannot write: %s", strerror(errno));
}

int nl_metrics_open(nl_metrics *metrics, const char *path, int64_t keep, nl_error *err) {
    snprintf(metrics->path, sizeof metrics->path, "%s", path);
    metrics->file = fopen(path, "ae");
    if (!metrics->file) return nl_fail(err, NL_EWRITE, path, "cannot open: %s", strerror(errno));
    int code = NL_OK;
    if (fseeko(metrics->file, 0, SEEK_END) != 0)
        code = cannot_write(metrics, err);
    else if (ftello(metrics->file) < keep)
        code = nl_fail(err, NL_EDATA, path,
                       "shorter than when the state was saved (%" PRId64
                       " bytes): the run cannot go on",
                       keep);
    else if (ftruncate(fileno(metrics->file), (off_t)keep) != 0)
        code = cannot_write(metrics, err);
    if (code) nl_metrics_close(metrics);
    return code;
}

void nl_metrics_close(nl_metrics *metrics) {
    if (metrics->file) fclose(metrics->file); /* every line was flushed already */
    metrics->file = NULL;
}

int nl_metrics_sync(nl_metrics *metrics, int64_t *bytes, nl_error *err) {
    *bytes = ftello(metrics->file);
    if (*bytes < 0 || fsync(fileno(metrics->file)) != 0) return cannot_write(metrics, err);
    return NL_OK;
}

__attribute__((format(printf, 3, 4))) static int write_line(nl_metrics *metrics, nl_error *err,
                                                            const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int printed = vfprintf(metrics->file, format, args);
    va_end(args);
    if (printed < 0 || fflush(metrics->file) != 0) return cannot_write(metrics, err);
    return NL_OK;
}

/* --- records -------------------------------------------------------------------------------- */

int nl_metrics_step(nl_metrics *metrics, uint32_t epoch, uint64_t step, double loss, double penalty,
                    nl_error *err) {
    return write_line(metrics, err,
                      "{\"event\":\"step\",\"epoch\":%" PRIu32 ",\"step\":%" PRIu64
                      ",\"loss\":%s,\"penalty\":%s}\n",
                      epoch, step, tidy(loss).text, tidy(penalty).text);
}

int nl_metrics_progress(nl_metrics *metrics, uint32_t epoch, uint64_t step, double loss,
                        double accuracy, nl_error *err) {
    return write_line(metrics, err,
                      "{\"event\":\"progress\",\"epoch\":%" PRIu32 ",\"step\":%" PRIu64
                      ",\"loss\":%s,\"accuracy\":%s}\n",
                      epoch, step, tidy(loss).text, tidy(accuracy).text);
}

int nl_metrics_epoch(nl_metrics *metrics, const nl_epoch_record *r, nl_error *err) {
    return write_line(metrics, err,
                      "{\"event\":\"epoch\",\"epoch\":%" PRIu32 ",\"lr\":%s,\"train_loss\":%s,"
                      "\"train_accuracy\":%s,\"test_loss\":%s,\"test_accuracy\":%s,"
                      "\"seconds\":%s,\"images_per_second\":%s}\n",
                      r->epoch, printed(r->lr, 12).text, tidy(r->train_loss).text,
                      tidy(r->train_accuracy).text, tidy(r->test_loss).text,
                      tidy(r->test_accuracy).text, rounded(r->seconds, 1e4).text,
                      rounded((double)r->images / r->seconds, 10).text);
}

int nl_metrics_layer(nl_metrics *metrics, int64_t epoch, const nl_layer_stats *l, nl_error *err) {
    return write_line(metrics, err,
                      "{\"event\":\"layer\",\"epoch\":%" PRId64 ",\"layer\":\"%s\","
                      "\"z_mean\":%s,\"z_sd\":%s,\"y_mean\":%s,\"y_sd\":%s,"
                      "\"dy_mean\":%s,\"dy_sd\":%s,\"dw_mean\":%s,\"dw_sd\":%s,"
                      "\"zero\":%s,\"dead\":%s}\n",
                      epoch, l->label, tidy(l->z.mean).text, tidy(l->z.sd).text,
                      tidy(l->y.mean).text, tidy(l->y.sd).text, tidy(l->dy.mean).text,
                      tidy(l->dy.sd).text, tidy(l->dw.mean).text, tidy(l->dw.sd).text,
                      tidy(l->zero).text, tidy(l->dead).text);
}

int nl_metrics_final(nl_metrics *metrics, const nl_final *final, nl_error *err) {
    return write_line(metrics, err,
                      "{\"event\":\"final\",\"train_loss\":%s,\"train_accuracy\":%s,"
                      "\"test_loss\":%s,\"test_accuracy\":%s}\n",
                      tidy(final->train_loss).text, tidy(final->train_accuracy).text,
                      tidy(final->test_loss).text, tidy(final->test_accuracy).text);
}

bool nl_metrics_read_final(const char *path, nl_final *final) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool found = false;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        json_t *json = json_loads(line, 0, NULL);
        const char *event = NULL;
        nl_final f;
        if (json && json_unpack(json, "{s:s}", "event", &event) == 0 &&
            strcmp(event, "final") == 0 &&
            json_unpack(json, "{s:F, s:F, s:F, s:F}", "train_loss", &f.train_loss, "train_accuracy",
                        &f.train_accuracy, "test_loss", &f.test_loss, "test_accuracy",
                        &f.test_accuracy) == 0) {
            *final = f;
            found = true;
        }
        json_decref(json);
    }
    free(line);
    fclose(file);
    return found;
}
