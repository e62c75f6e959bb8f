/* Running gnuplot, and what all scripts have in common. The program is started directly, not by a
 * shell, so that no name can be taken for a command; strings are single-quoted and `noenhanced`,
 * so that none is taken for markup.
 */
#include "gnuplot.h"

#include <errno.h>    // ENOENT
#include <spawn.h>    // posix_spawnp
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/wait.h> // waitpid

#include "normlab/checkpoint.h" // nl_file_write

extern char **environ;

/* ---- files ---- */

void nl_script_open(nl_script *script) {
    *script = (nl_script){0};
    script->out = open_memstream(&script->text, &script->size);
    NL_ASSERT(script->out);
}

bool nl_script_save(nl_script *script, const char *dir, const char *name, const char *suffix) {
    NL_ASSERT(fclose(script->out) == 0);
    char *path = NULL;
    NL_ASSERT(asprintf(&path, "%s/plots/%s%s", dir, name, suffix) >= 0);
    nl_error err = {0};
    const bool done = nl_file_write(path, script->text, script->size, &err) == NL_OK;
    if (!done) nl_warn(err.where, "%s", err.what);
    free(path);
    free(script->text);
    return done;
}

/* ---- text ---- */

void nl_gnuplot_quote(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static bool starts_character(char byte) {
    return ((unsigned char)byte & 0xC0) != 0x80; /* not a continuation byte of UTF-8 */
}

nl_label nl_short(const char *name) {
    nl_label label = {""};
    size_t used = 0;
    for (int characters = 0; *name; name++) {
        if (starts_character(*name) && ++characters > 27) {
            memcpy(label.text + used, "…", sizeof "…");
            return label;
        }
        label.text[used++] = *name;
    }
    return label;
}

int nl_label_width(const nl_label *label) {
    int width = 0;
    for (const char *c = label->text; *c; c++) width += starts_character(*c);
    return width;
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
        "# Drawn by `gnuplot plots/<this file>`, run in the folder above this one.\n"
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

bool nl_gnuplot_run(const char *dir, const char *name) {
    static bool missing = false; /* said once is enough */
    char *script = NULL;
    NL_ASSERT(asprintf(&script, "plots/%s.gp", name) >= 0);
    char *const argv[] = {"gnuplot", script, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, dir);
    pid_t pid;
    int status = 0;
    const int error = missing ? ENOENT : posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    if (error && !missing)
        nl_warn("gnuplot",
                "cannot start it (%s): no pictures; data and scripts are in %s/plots, and `normlab "
                "report` draws them once gnuplot is installed",
                strerror(error), dir);
    else if (!error && status != 0)
        nl_warn("gnuplot", "it failed on %s/%s", dir, script);
    missing = missing || error != 0;
    free(script);
    return error == 0 && status == 0;
}
