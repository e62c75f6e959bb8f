/* Running gnuplot, and what all scripts have in common. The program is started directly, not by a
 * shell, so that no name can be taken for a command; strings are single-quoted and `noenhanced`,
 * so that none is taken for markup. It draws the same everywhere: without the start-up files of
 * user and system (-d), without their variables, in a locale that knows UTF-8.
 */
#include "gnuplot.h"

#include <errno.h>    // ENOENT
#include <spawn.h>    // posix_spawnp
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/wait.h> // waitpid
#include <unistd.h>   // unlink

#include "normlab/checkpoint.h" // nl_file_write
#include "normlab/run_files.h"  // NL_REPORT_PLOTS

extern char **environ;

/* ---- files ---- */

void nl_script_open(nl_script *script) {
    *script = (nl_script){0};
    script->out = open_memstream(&script->text, &script->size);
    NL_NEED(script->out);
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

/* ---- text ---- */

/* A quote stands in a string of its own, between double quotes: gnuplot reads '' in single quotes
 * as one, but not two of them in a row. All else stands in single quotes, where neither a backslash
 * nor a backquote means anything. */
void nl_gnuplot_quote(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'.\"'\".'", out);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
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
static bool check_pictures(const char *dir, const char *name, bool svg) {
    static const char png_end[] = {'I', 'E', 'N', 'D', '\xae', 'B', '`', '\x82'};
    static const char svg_end[] = "</svg>";
    bool whole = true;
    for (int kind = 0; kind <= svg; kind++) {
        char *path = NULL;
        NL_NEED(asprintf(&path, "%s/%s.%s", dir, name, kind ? "svg" : "png") >= 0);
        if (!(kind ? ends_with(path, svg_end, sizeof svg_end - 1)
                   : ends_with(path, png_end, sizeof png_end))) {
            nl_warn(strrchr(path, '/') + 1,
                    "gnuplot did not draw it whole: left out (is the disk full?)");
            unlink(path);
            whole = false;
        }
        free(path);
    }
    return whole;
}

bool nl_gnuplot_run(const char *dir, const char *name, bool svg) {
    static bool missing = false; /* said once is enough */
    char *script = NULL;
    NL_NEED(asprintf(&script, NL_REPORT_PLOTS "/%s.gp", name) >= 0);
    char *const argv[] = {"gnuplot", "-d", script, NULL};
    char **variables = own_environment();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, dir);
    pid_t pid;
    int status = 0;
    const int error =
        missing ? ENOENT : posix_spawnp(&pid, argv[0], &actions, NULL, argv, variables);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    if (error && !missing)
        nl_warn("gnuplot",
                "cannot start it (%s): no pictures; data and scripts are in the "
                "report's " NL_REPORT_PLOTS
                "/, and `normlab report` draws them once gnuplot is installed",
                strerror(error));
    else if (!error && status != 0)
        nl_warn("gnuplot", "it failed on %s of the report", script);
    missing = missing || error != 0;
    free(script);
    free(variables);
    return error == 0 && check_pictures(dir, name, svg) && status == 0;
}
