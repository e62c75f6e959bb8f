/* The progress line. It is drawn on a terminal only: in a file or a pipe nothing is to be seen of
 * it, and standard output holds the same lines either way. */
#include "progress.h"

#include <langinfo.h>  // nl_langinfo_l
#include <locale.h>    // newlocale
#include <math.h>      // isfinite
#include <stdio.h>     // snprintf
#include <string.h>    // strlen
#include <sys/ioctl.h> // TIOCGWINSZ
#include <time.h>      // clock_gettime
#include <unistd.h>    // isatty

#include "normlab/error.h" // NL_ASSERT

double nl_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *nl_clock_text(char text[32], double seconds) {
    if (!(seconds >= 0 && seconds < 1e8)) return strcpy(text, "?");
    const long s = (long)seconds;
    if (s < 3600)
        snprintf(text, 32, "%02ld:%02ld", s / 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

const char *nl_rate_text(char text[32], double steps, double seconds) {
    const double rate = steps / seconds;
    if (!(isfinite(rate) && rate > 0)) return strcpy(text, "?it/s");
    if (rate >= 1)
        snprintf(text, 32, "%.2fit/s", rate);
    else
        snprintf(text, 32, "%.2fs/it", 1 / rate);
    return text;
}

/* Whether the user's locale writes UTF-8; the program's own stays "C", where a number has a point.
 */
static bool has_utf8(void) {
    const locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (!locale) return false;
    const bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

static void measure(nl_progress *p) {
    struct winsize size;
    p->width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void nl_progress_open(nl_progress *p, bool shown, bool many, int n_runs) {
    *p = (nl_progress){.shown = shown,
                       .many = many,
                       .utf8 = has_utf8(),
                       .n_runs = n_runs,
                       .study_started = nl_clock()};
    NL_ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
}

void nl_progress_close(nl_progress *p) {
    pthread_mutex_destroy(&p->lock);
}

void nl_progress_begin(nl_progress *p, uint32_t first) {
    if (p->many) return;
    p->started = nl_clock();
    p->first = first;
    p->drawn = 0;
}

/* --- the line ------------------------------------------------------------------------------- */

enum { MAX_CELLS = 10, CELL_BYTES = 3, LINE_SIZE = 512 };

/* A bar of `count` cells, the last one in eighths; in ASCII, whole or empty. */
static void fill_bar(char cells[MAX_CELLS * CELL_BYTES + 1], int count, double share, bool utf8) {
    static const char *const part[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const int eighths = (int)(8 * count * share);
    cells[0] = '\0';
    for (int i = 0; i < count; i++) {
        const int in_cell = eighths - 8 * i;
        if (in_cell >= 8)
            strcat(cells, utf8 ? "█" : "#");
        else
            strcat(cells, part[in_cell > 0 && utf8 ? in_cell : 0]);
    }
}

/* The line, with as many cells as the terminal has room for; false where even none fit. */
static bool compose(char line[LINE_SIZE], const nl_progress *p, const char *text, double share,
                    const char *tail) {
    char cells[MAX_CELLS * CELL_BYTES + 1];
    const int percent = (int)(100 * share);
    int room = p->width - 1 - snprintf(line, LINE_SIZE, "%s%3d%%|| %s", text, percent, tail);
    if (room < 0) return false;
    if (room > MAX_CELLS) room = MAX_CELLS;
    fill_bar(cells, room, share, p->utf8);
    snprintf(line, LINE_SIZE, "%s%3d%%|%s| %s", text, percent, cells, tail);
    return true;
}

/* Of the pass of one run. */
static void compose_pass(char line[LINE_SIZE], const nl_progress *p, uint32_t done, uint32_t total,
                         const char *text) {
    char gone[32], left[32], rate[32], study[96], tail[256];
    const double seconds = nl_clock() - p->started, steps = done - p->first;
    int length = snprintf(
        tail, sizeof tail, "%u/%u [%s<%s, %s]", done, total, nl_clock_text(gone, seconds),
        nl_clock_text(left, seconds / steps * (total - done)), nl_rate_text(rate, steps, seconds));
    if (p->n_runs > 1)
        snprintf(tail + length, sizeof tail - (size_t)length, " all: %s",
                 nl_progress_study_text(p, study));
    const double share = (double)done / total;
    if (!compose(line, p, text, share, tail) && !compose(line, p, "", share, tail))
        snprintf(line, LINE_SIZE, "%.*s", p->width - 1, tail);
}

/* Of all runs. */
static void compose_study(char line[LINE_SIZE], const nl_progress *p) {
    char gone[32], left[32], text[96], tail[96];
    const double seconds = nl_clock() - p->study_started;
    const double share = p->work ? (double)p->work_done / (double)p->work : 1;
    char others[32] = "";
    if (p->elsewhere) snprintf(others, sizeof others, ", %d elsewhere", p->elsewhere);
    snprintf(text, sizeof text, "%d of %d runs done, %d running%s: ", p->runs_done, p->n_runs,
             p->running, others);
    snprintf(tail, sizeof tail, "epoch %d of %d [%s<%s]", p->epochs_done, p->epochs,
             nl_clock_text(gone, seconds), nl_clock_text(left, seconds / share * (1 - share)));
    if (!compose(line, p, text, share, tail) && !compose(line, p, "", share, tail))
        snprintf(line, LINE_SIZE, "%.*s", p->width - 1, tail);
}

void nl_progress_draw(nl_progress *p, uint32_t done, uint32_t total, const char *text) {
    if (!p->shown || total == 0) return;
    pthread_mutex_lock(&p->lock);
    const double now = nl_clock();
    if (now - p->drawn >= 0.1 || (!p->many && done >= total)) {
        char line[LINE_SIZE];
        p->drawn = now;
        measure(p);
        if (p->many)
            compose_study(line, p);
        else
            compose_pass(line, p, done, total, text);
        fprintf(stderr, "\r%s\033[K", line);
        fflush(stderr);
    }
    pthread_mutex_unlock(&p->lock);
}

static void take_away(const nl_progress *p) {
    if (!p->shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

void nl_progress_end(nl_progress *p) {
    if (p->many) return;
    take_away(p);
}

void nl_progress_pause(nl_progress *p) {
    pthread_mutex_lock(&p->lock);
    if (p->many) take_away(p);
}

void nl_progress_go_on(nl_progress *p) {
    nl_log_flush();
    pthread_mutex_unlock(&p->lock);
}

/* --- counting ------------------------------------------------------------------------------- */

void nl_progress_did(nl_progress *p, uint64_t steps, int epochs) {
    pthread_mutex_lock(&p->lock);
    p->work_done += steps;
    p->epochs_done += epochs;
    pthread_mutex_unlock(&p->lock);
}

void nl_progress_drop(nl_progress *p, uint64_t steps, int epochs) {
    pthread_mutex_lock(&p->lock);
    p->work -= steps;
    p->epochs -= epochs;
    pthread_mutex_unlock(&p->lock);
}

void nl_progress_run(nl_progress *p, int running, int done) {
    pthread_mutex_lock(&p->lock);
    p->running += running;
    p->runs_done += done;
    pthread_mutex_unlock(&p->lock);
}

void nl_progress_elsewhere(nl_progress *p, int runs) {
    pthread_mutex_lock(&p->lock);
    p->elsewhere = runs;
    pthread_mutex_unlock(&p->lock);
}

const char *nl_progress_study_text(const nl_progress *p, char text[96]) {
    char left[32];
    const double seconds = nl_clock() - p->study_started;
    const double share = p->work ? (double)p->work_done / (double)p->work : 1;
    snprintf(text, 96, "%d%%, %s left", (int)(100 * share),
             nl_clock_text(left, seconds / share * (1 - share)));
    return text;
}
