/* Runs a program and keeps what it said; see program.h. Output goes to anonymous files, not pipes:
 * a program that writes much cannot block on a reader that waits for its end. */
#include "support/program.h"

#include <errno.h>    // EINTR
#include <fcntl.h>    // open
#include <signal.h>   // kill
#include <stdio.h>    // perror
#include <stdlib.h>   // malloc
#include <string.h>   // basename
#include <sys/mman.h> // memfd_create
#include <sys/wait.h> // waitpid
#include <time.h>     // clock_gettime
#include <unistd.h>   // fork, execv

static void require(bool ok, const char *what) {
    if (ok) return;
    perror(what);
    abort();
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

program program_start(const char *const argv[]) {
    program p = {.out = memfd_create("stdout", MFD_CLOEXEC),
                 .err = memfd_create("stderr", MFD_CLOEXEC)};
    require(p.out >= 0 && p.err >= 0, "memfd_create");
    p.pid = fork();
    require(p.pid >= 0, "fork");
    if (p.pid > 0) return p;

    const int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(p.out, 1) < 0 || dup2(p.err, 2) < 0) _exit(127);
    /* ThreadSanitizer's, under which Criterion itself does not start. */
    const char *other = getenv("NORMLAB_PROGRAM");
    const char *path = other && strcmp(basename(argv[0]), "normlab") == 0 ? other : argv[0];
    execv(path, (char *const *)argv);
    perror(path);
    _exit(127);
}

static char *read_all(int file) {
    const off_t size = lseek(file, 0, SEEK_END);
    require(size >= 0, "lseek");
    char *text = malloc((size_t)size + 1);
    require(text != NULL, "malloc");
    for (off_t at = 0; at < size;) {
        const ssize_t got = pread(file, text + at, (size_t)(size - at), at);
        require(got > 0 || (got < 0 && errno == EINTR), "pread");
        if (got > 0) at += got;
    }
    text[size] = '\0';
    close(file);
    return text;
}

program_result program_wait(program *p, double seconds) {
    program_result result = {0};
    const double end = now() + seconds;
    int status = 0;
    for (pid_t done = 0; done != p->pid;) {
        done = waitpid(p->pid, &status, result.timed_out ? 0 : WNOHANG);
        require(done >= 0 || errno == EINTR, "waitpid");
        if (done == p->pid) break;
        if (!result.timed_out && now() >= end) {
            result.timed_out = true;
            kill(p->pid, SIGKILL);
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    result.out = read_all(p->out);
    result.err = read_all(p->err);
    return result;
}

program_result program_run(const char *const argv[], double seconds) {
    program p = program_start(argv);
    return program_wait(&p, seconds);
}

void program_free(program_result *result) {
    free(result->out);
    free(result->err);
    *result = (program_result){0};
}
