/* Processes by /proc; see process.h. */
#include "process.h"

#include <ctype.h>  // isgraph
#include <errno.h>  // errno
#include <fcntl.h>  // open
#include <signal.h> // kill
#include <stdio.h>  // snprintf
#include <stdlib.h> // strtol
#include <string.h> // strrchr
#include <unistd.h> // readlink, gethostname

static bool read_text(char *text, size_t size, const char *path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const ssize_t got = read(file, text, size - 1);
    close(file);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* State and start of a process. The name in its line may hold anything, so what counts lies behind
 * the last bracket: state, 18 numbers, start. */
static bool read_stat(char *state, unsigned long long *start, long pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    const char *at = read_text(text, sizeof text, path) ? strrchr(text, ')') : NULL;
    return at && sscanf(at + 1,
                        " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                        "%*s %llu",
                        state, start) == 2;
}

/* A word without spaces, so that it can stand in a line; "-" for none. */
static void make_word(char *text) {
    text[strcspn(text, "\n")] = '\0';
    for (char *at = text; *at; at++)
        if (!isgraph((unsigned char)*at)) *at = '?';
    if (!*text) strcpy(text, "-");
}

/* Whether /proc counts processes as this one does. */
static bool proc_is_ours(void) {
    char text[32] = "";
    const ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    return length > 0 && strtol(text, NULL, 10) == (long)getpid();
}

/* Of the numbers of processes and of the ticks, which containers may have for themselves. */
static bool read_space(char *space, size_t size) {
    const ssize_t pids = readlink("/proc/self/ns/pid", space, size - 1);
    if (pids <= 0) return false;
    (void)!readlink("/proc/self/ns/time", space + pids, size - 1 - (size_t)pids); /* Linux 5.6 */
    return true;
}

void nl_process_self(nl_process *process) {
    char state;
    *process = (nl_process){.pid = (long)getpid()};
    const bool known =
        proc_is_ours() && read_stat(&state, &process->start, process->pid) &&
        read_text(process->boot, sizeof process->boot, "/proc/sys/kernel/random/boot_id") &&
        read_space(process->space, sizeof process->space);
    if (!known) process->boot[0] = '\0';
    if (gethostname(process->host, sizeof process->host - 1) != 0) process->host[0] = '\0';
    make_word(process->boot);
    make_word(process->space);
    make_word(process->host);
}

void nl_process_format(char *text, size_t size, const nl_process *process) {
    snprintf(text, size, "%ld %llu %s %s %s", process->pid, process->start, process->boot,
             process->space, process->host);
}

bool nl_process_parse(nl_process *process, const char *text) {
    *process = (nl_process){0};
    int at = 0;
    const bool read = sscanf(text, "%ld %llu %39s %39s %64s%n", &process->pid, &process->start,
                             process->boot, process->space, process->host, &at) == 5;
    return read && process->pid > 0 && text[at] == '\n';
}

nl_fate nl_process_fate(const nl_process *process) {
    nl_process self;
    nl_process_self(&self);
    if (strcmp(self.boot, "-") == 0 || strcmp(self.boot, process->boot) != 0 ||
        strcmp(self.space, process->space) != 0)
        return NL_UNKNOWN;
    if (kill((pid_t)process->pid, 0) != 0 && errno == ESRCH) return NL_DEAD;
    char state = '\0';
    unsigned long long start = 0;
    if (!read_stat(&state, &start, process->pid)) {
        /* It ended just now, or its /proc is hidden from us. */
        return kill((pid_t)process->pid, 0) != 0 && errno == ESRCH ? NL_DEAD : NL_LIVES;
    }
    /* Another one has its number; or it is dead, and only its parent has not asked yet. */
    return start != process->start || state == 'Z' || state == 'X' ? NL_DEAD : NL_LIVES;
}
