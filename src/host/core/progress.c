/* The progress line. It is drawn on a terminal only: in a file or a pipe nothing is to be seen of
 * it, and standard output holds the same lines either way. */
#include "progress.h"

#include <math.h>      // isfinite
#include <stdio.h>     // snprintf
#include <string.h>    // strlen
#include <sys/ioctl.h> // TIOCGWINSZ
#include <time.h>      // clock_gettime
#include <unistd.h>    // isatty

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

void nl_progress_begin(nl_progress *p, uint32_t first) {
    struct winsize size;
    p->width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    p->started = nl_clock();
    p->first = first;
    p->drawn = 0;
}

/* Ten cells, the last one in eighths. cells: at least 31 bytes. */
static void fill_bar(char cells[64], double share) {
    static const char *const part[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const int eighths = (int)(80 * share);
    cells[0] = '\0';
    for (int i = 0; i < 10; i++) {
        const int in_cell = eighths - 8 * i;
        strcat(cells, in_cell >= 8 ? "█" : part[in_cell > 0 ? in_cell : 0]);
    }
}

void nl_progress_draw(nl_progress *p, uint32_t done, uint32_t total, const char *text) {
    const double now = nl_clock();
    if (!p->shown || total == 0 || (now - p->drawn < 0.1 && done < total)) return;
    p->drawn = now;
    char cells[64], gone[32], left[32], rate[32], study[96] = "", line[512];
    const double seconds = now - p->started, steps = done - p->first;
    const double share = (double)done / total;
    fill_bar(cells, share);
    if (p->n_runs > 1) nl_progress_study_text(p, study);
    snprintf(line, sizeof line, "%s: %3d%%|%s| %u/%u [%s<%s, %s]%s%s", text, (int)(100 * share),
             cells, done, total, nl_clock_text(gone, seconds),
             nl_clock_text(left, seconds / steps * (total - done)),
             nl_rate_text(rate, steps, seconds), *study ? "  all runs: " : "", study);
    /* Cut to the terminal's width, by characters: a wrapped line could not be redrawn. */
    int columns = 0;
    size_t end = 0;
    for (; line[end]; end++)
        if (((unsigned char)line[end] & 0xC0) != 0x80 && ++columns >= p->width) break;
    fprintf(stderr, "\r%.*s\033[K", (int)end, line);
    fflush(stderr);
}

void nl_progress_end(nl_progress *p) {
    if (!p->shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

const char *nl_progress_study_text(const nl_progress *p, char text[96]) {
    char gone[32], left[32];
    const double seconds = nl_clock() - p->study_started;
    const double share = p->work ? (double)p->work_done / (double)p->work : 1;
    snprintf(text, 96, "%d%%, %s gone, %s left", (int)(100 * share), nl_clock_text(gone, seconds),
             nl_clock_text(left, seconds / share * (1 - share)));
    return text;
}
