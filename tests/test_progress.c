/* The words of the progress line. */
#include <criterion/criterion.h>
#include <fcntl.h>     // open
#include <math.h>      // NAN
#include <stdlib.h>    // setenv
#include <string.h>    // strchr
#include <sys/ioctl.h> // ioctl
#include <unistd.h>    // dup2

#include "base/progress.h"

Test(progress, clocks) {
    char text[32];
    cr_expect_str_eq(nl_clock_text(text, 0), "00:00");
    cr_expect_str_eq(nl_clock_text(text, 83.9), "01:23");
    cr_expect_str_eq(nl_clock_text(text, 3599), "59:59");
    cr_expect_str_eq(nl_clock_text(text, 7283), "2:01:23");
    cr_expect_str_eq(nl_clock_text(text, NAN), "?");
    cr_expect_str_eq(nl_clock_text(text, INFINITY), "?");
}

Test(progress, rates) {
    char text[32];
    cr_expect_str_eq(nl_rate_text(text, 938, 32), "29.31it/s");
    cr_expect_str_eq(nl_rate_text(text, 2, 3.06), "1.53s/it");
    cr_expect_str_eq(nl_rate_text(text, 0, 3), "?it/s");
    cr_expect_str_eq(nl_rate_text(text, 0, 0), "?it/s");
}

/* What `draw` draws on a terminal of so many columns, 0 being not known, under that locale. */
static void drawn_by(void (*draw)(void), unsigned short columns, const char *locale, char *text,
                     size_t size) {
    setenv("LC_ALL", locale, 1);
    const int master = posix_openpt(O_RDWR | O_NOCTTY), kept = dup(STDERR_FILENO);
    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert(slave >= 0 && dup2(slave, STDERR_FILENO) >= 0);
    const struct winsize window = {.ws_row = 24, .ws_col = columns};
    cr_assert_eq(ioctl(slave, TIOCSWINSZ, &window), 0);
    draw();
    cr_assert(dup2(kept, STDERR_FILENO) >= 0);
    const ssize_t n = read(master, text, size - 1);
    cr_assert(n > 0);
    text[n] = '\0';
    close(slave);
    close(master);
    close(kept);
}

static void draw_pass(void) {
    nl_progress p;
    nl_progress_open(&p, true, false, 1);
    nl_progress_begin(&p, 0);
    nl_progress_draw(&p, 60, 60, "Loss = 1: ");
    nl_progress_close(&p);
}

static void drawn_under(const char *locale, char *text, size_t size) {
    drawn_by(draw_pass, 0, locale, text, size);
}

Test(progress, blocks_where_the_terminal_has_them) {
    char text[1000];
    drawn_under("C.UTF-8", text, sizeof text);
    cr_expect(strstr(text, "|██████████|"), "%s", text);
}

Test(progress, ascii_elsewhere) {
    static const char *const locales[] = {"C", "POSIX", "no_SUCH.UTF-8"};
    char text[1000];
    for (int i = 0; i < 3; i++) {
        drawn_under(locales[i], text, sizeof text);
        cr_expect(strstr(text, "|##########|"), "%s", text);
        for (const char *c = text; *c; c++) cr_expect((unsigned char)*c < 0x80, "%s", text);
    }
}

/* Four runs of 100 steps side by side: one is done, one is at another process, a fourth of the rest. */
static void draw_study(void) {
    nl_progress p;
    nl_progress_open(&p, true, true, 4);
    p.work = 400;
    p.epochs = 8;
    nl_progress_elsewhere(&p, 1);
    nl_progress_run(&p, 2, 1);
    nl_progress_did(&p, 100, 3);
    nl_progress_draw(&p, 7, 60, "Loss = 1: ");
    nl_progress_close(&p);
}

Test(progress, runs_side_by_side_are_one_line) {
    char text[1000];
    drawn_by(draw_study, 120, "C", text, sizeof text);
    cr_expect(strstr(text, "\r1 of 4 runs done, 2 running, 1 elsewhere:  25%|##        | epoch 3 "
                           "of 8 [00:00<00:00]"),
              "%s", text);
    drawn_by(draw_study, 40, "C", text, sizeof text); /* no room for the words */
    cr_expect(strstr(text, "\r 25%|#     | epoch 3 of 8 ["), "%s", text);
    drawn_by(draw_study, 12, "C", text, sizeof text); /* nor for a bar */
    cr_expect(strstr(text, "\repoch 3 of \033[K"), "%s", text);
}
