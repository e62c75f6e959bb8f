/* The words of the progress line. */
#include <criterion/criterion.h>
#include <fcntl.h>  // open
#include <math.h>   // NAN
#include <stdlib.h> // setenv
#include <string.h> // strchr
#include <unistd.h> // dup2

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

/* What is drawn on a terminal under that locale. */
static void drawn_under(const char *locale, char *text, size_t size) {
    setenv("LC_ALL", locale, 1);
    const int master = posix_openpt(O_RDWR | O_NOCTTY), kept = dup(STDERR_FILENO);
    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert(slave >= 0 && dup2(slave, STDERR_FILENO) >= 0);
    nl_progress p;
    nl_progress_open(&p, true, false, 1);
    nl_progress_begin(&p, 0);
    nl_progress_draw(&p, 60, 60, "Loss = 1: ");
    cr_assert(dup2(kept, STDERR_FILENO) >= 0);
    const ssize_t n = read(master, text, size - 1);
    cr_assert(n > 0);
    text[n] = '\0';
    close(slave);
    close(master);
    close(kept);
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
