/* Running gnuplot, and what all scripts have in common. The program is started directly, not by a
 * shell, so that no name can be taken for a command; strings are single-quoted and `noenhanced`,
 * so that none is taken for markup. It draws the same everywhere: without the start-up files of
 * user and system (-d), without their variables, in a locale that knows UTF-8.
 */
#include "gnuplot.h"

#include <errno.h>     // ENOENT
#include <math.h>      // isfinite
#include <signal.h>    // SIGTERM
#include <stdint.h>    // uintptr_t
#include <stdlib.h>    // free
#include <string.h>    // strlen
#include <sys/prctl.h> // prctl
#include <sys/wait.h>  // wait
#include <unistd.h>    // unlink, fork

#include "base/processor.h"     // nl_processor_cores
#include "report/runs/labels.h" // nl_text_width
#include "report/text/text.h"   // nl_other_character
#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

extern char **environ;

enum { NOT_FOUND = 127, CANNOT_RUN = 126 };

/* ---- files ---- */

void nl_script_open(nl_script *script) {
    *script = (nl_script){0};
    script->out = nl_text_open(&script->text, &script->size);
}

bool nl_script_save(nl_script *script, const char *dir, const char *name, const char *suffix) {
    nl_text_close(script->out);
    char *path = NULL;
    NL_NEED(asprintf(&path, "%s/" NL_REPORT_PLOTS "/%s%s", dir, name, suffix) >= 0);
    nl_error err = {0};
    const bool done = nl_file_write(path, script->text, script->size, &err) == NL_OK;
    if (!done) nl_warn(err.where, "%s", err.what);
    free(path);
    free(script->text);
    return done;
}

void nl_script_value(FILE *out, double value) {
    if (isfinite(value))
        fprintf(out, " %.6g", value);
    else
        fputs(" NaN", out);
}

/* ---- text ---- */

/* A quote stands in a string of its own, between double quotes: gnuplot reads '' in single quotes
 * as one, but not two of them in a row. All else stands in single quotes, where neither a backslash
 * nor a backquote means anything. In SVG gnuplot leaves > as it is, and ]]> ends what XML calls text:
 * a joiner of no width stands in it. */
void nl_gnuplot_quote(FILE *out, const char *text) {
    fputc('\'', out);
    for (size_t bytes; *text; text += bytes ? bytes : 1) {
        if ((bytes = nl_other_character(out, text))) continue;
        if (*text == '\'')
            fputs("'.\"'\".'", out);
        else
            fputc(*text, out);
        if (strncmp(text, "]>", 2) == 0) fputs("\xe2\x81\xa0", out);
    }
    fputc('\'', out);
}

double nl_gnuplot_width(const char *text) {
    return 8.6 * nl_text_width(text); /* the font's letters, on average */
}

/* ---- looks ---- */

const char *const nl_colours[NL_COLOURS] = {"#0072b2", "#d55e00", "#009e73",
                                            "#cc79a7", "#e69f00", "#56b4e9"};

const char *const nl_text_colours[NL_COLOURS] = {"#00659e", "#b04e00", "#007a59",
                                                 "#a8467d", "#8a5f00", "#2478a8"};

/* Colour, dash and marker change together: each of the three is enough to tell lines apart. */
void nl_gnuplot_line(FILE *out, int number) {
    static const char *const dashes[NL_COLOURS] = {"solid",      "(14,5)", "(4,4)",
                                                   "(14,4,3,4)", "(24,6)", "(3,7)"};
    const int i = number % NL_COLOURS;
    fprintf(out, " lc rgb '%s' dt %s", nl_colours[i], dashes[i]);
}

void nl_gnuplot_style(FILE *out, int number) {
    static const int filled[NL_COLOURS] = {7, 5, 9, 13, 11, 15};
    const int open = number / NL_COLOURS % 2;
    nl_gnuplot_line(out, number);
    fprintf(out, " pt %d", filled[number % NL_COLOURS] - open);
}

void nl_gnuplot_head(FILE *out, const char *name, const char *kinds, int width, int height) {
    fprintf(
        out,
        "# Drawn by `gnuplot " NL_REPORT_PLOTS "/<this file>`, run in the folder above this one.\n"
        "set encoding utf8\n"
        "set datafile missing 'NaN'\n"
        "do for [kind in '%s'] {\n"
        "if (kind eq 'png') {\n"
        "  set terminal pngcairo noenhanced size %d,%d font 'Sans,10.5' fontscale 2 linewidth 2 "
        "pointscale 2 background '#ffffff'\n"
        "} else {\n"
        "  set terminal svg noenhanced size %d,%d font 'sans-serif,14' background '#ffffff'\n"
        "}\n",
        kinds, 2 * width, 2 * height, width, height);
    fputs("set output ", out);
    nl_gnuplot_quote(out, name);
    fputs(".'.'.kind\n"
          "set border 1 lc rgb '" NL_SOFT "'\n"
          "set format '%h'\n"
          "set tics nomirror scale 0.6 textcolor rgb '" NL_INK "'\n"
          "set ytics scale 0\n"
          "set grid ytics lt 1 lw 1 lc rgb '" NL_GRID "'\n"
          "set style fill transparent solid 0.16 noborder\n"
          "set pointintervalbox 0\n" /* gnuplot 6 leaves white around the points of error bars */
          "unset key\n",
          out);
}

void nl_gnuplot_tail(FILE *out) {
    fputs("unset output\nreset\n}\n", out);
}

void nl_gnuplot_title(FILE *out, int height, const char *title, const char *subtitle) {
    fputs("set label 1 ", out);
    nl_gnuplot_quote(out, title);
    fprintf(out,
            " at screen 0.018, screen %.4f font ',%s' tc rgb '" NL_INK "'\n"
            "set label 2 ",
            1 - 26.0 / height, "'.(kind eq 'png' ? '13.5' : '18').'");
    nl_gnuplot_quote(out, subtitle);
    fprintf(out, " at screen 0.018, screen %.4f tc rgb '" NL_SOFT "'\n", 1 - 52.0 / height);
}

/* ---- running ---- */

/* Our environment without what would change a picture. Its strings stay ours; the array is the
 * caller's to free. */
static char **own_environment(void) {
    static const char *const dropped[] = {"GNUTERM=", "GNUPLOT_", "LC_", "LANG=", "LANGUAGE="};
    size_t n = 0, kept = 0;
    while (environ[n]) n++;
    char **copy = nl_alloc(n + 2, sizeof *copy, "environment");
    for (size_t i = 0; i < n; i++) {
        bool drop = false;
        for (size_t j = 0; j < sizeof dropped / sizeof *dropped; j++)
            drop = drop || strncmp(environ[i], dropped[j], strlen(dropped[j])) == 0;
        if (!drop) copy[kept++] = environ[i];
    }
    static char locale[] = "LC_ALL=C.UTF-8";
    copy[kept] = locale;
    return copy;
}

/* Whether `end` is among a file's last bytes. */
static bool ends_with(const char *path, const void *end, size_t size) {
    enum { TAIL = 16 };
    char tail[TAIL];
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    const bool read = fseek(file, -TAIL, SEEK_END) == 0 && fread(tail, 1, TAIL, file) == TAIL;
    fclose(file);
    return read && memmem(tail, TAIL, end, size);
}

/* The pictures that a script should have made: a PNG, and an SVG where it draws one. gnuplot exits
 * with 0 even where the disk was full: what does not end as its kind does is removed, so that no
 * part of a picture passes for one. */
static void check_pictures(const char *dir, const char *name, bool svg) {
    static const char png_end[] = {'I', 'E', 'N', 'D', '\xae', 'B', '`', '\x82'};
    static const char svg_end[] = "</svg>";
    for (int kind = 0; kind <= svg; kind++) {
        char *path = NULL;
        NL_NEED(asprintf(&path, "%s/%s.%s", dir, name, kind ? "svg" : "png") >= 0);
        if (!(kind ? ends_with(path, svg_end, sizeof svg_end - 1)
                   : ends_with(path, png_end, sizeof png_end))) {
            nl_warn(strrchr(path, '/') + 1,
                    "gnuplot did not draw it whole: left out (is the disk full?)");
            unlink(path);
        }
        free(path);
    }
}

/* ---- side by side ---- */

/* One that draws now. */
typedef struct drawing {
    pid_t pid;
    char *dir, *name;
    bool svg;
} drawing;

enum { MOST = 64 };
static drawing drawings[MOST];
static int n_drawings;
static bool missing; /* said once is enough */

/* Ends with the program, also if that is killed, or was before it could be asked for. */
static void become_gnuplot(pid_t parent, const char *dir, const char *script,
                           char *const variables[]) {
    char *const argv[] = {"gnuplot", "-d", (char *)(uintptr_t)script, NULL};
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent && chdir(dir) == 0)
        execvpe(argv[0], argv, variables);
    _exit(errno == ENOENT ? NOT_FOUND : CANNOT_RUN);
}

static void finish(drawing *d, int status) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == NOT_FOUND || code == CANNOT_RUN) {
        if (!missing)
            nl_warn("gnuplot",
                    "cannot start it (%s): no pictures; data and scripts are in the "
                    "report's " NL_REPORT_PLOTS
                    "/, and `normlab report` draws them once gnuplot is installed",
                    code == NOT_FOUND ? "not found" : "it cannot be run");
        missing = true;
    } else {
        if (status != 0)
            nl_warn("gnuplot", "it failed on " NL_REPORT_PLOTS "/%s.gp of the report", d->name);
        check_pictures(d->dir, d->name, d->svg);
    }
    free(d->dir);
    free(d->name);
    *d = drawings[--n_drawings];
}

/* Waits for any of them. */
static void wait_for_one(void) {
    int status = 0;
    pid_t pid;
    while ((pid = wait(&status)) < 0 && errno == EINTR) {
    }
    NL_ASSERT(pid > 0);
    for (int i = 0; i < n_drawings; i++)
        if (drawings[i].pid == pid) {
            finish(&drawings[i], status);
            return;
        }
}

void nl_gnuplot_start(const char *dir, const char *name, bool svg) {
    const int cores = nl_processor_cores();
    while (n_drawings >= (cores < MOST ? cores : MOST)) wait_for_one();
    if (missing) return;
    char *script = NULL, **variables = own_environment();
    NL_NEED(asprintf(&script, NL_REPORT_PLOTS "/%s.gp", name) >= 0);
    drawing d = {.dir = strdup(dir), .name = strdup(name), .svg = svg};
    NL_NEED(d.dir && d.name);
    const pid_t self = getpid();
    d.pid = fork();
    if (d.pid == 0) become_gnuplot(self, dir, script, variables);
    free(script);
    free(variables);
    if (d.pid > 0) {
        drawings[n_drawings++] = d;
        return;
    }
    nl_warn("gnuplot", "cannot start it (%s): no picture of %s", strerror(errno), name);
    free(d.dir);
    free(d.name);
}

void nl_gnuplot_finish(void) {
    while (n_drawings > 0) wait_for_one();
    missing = false;
}
