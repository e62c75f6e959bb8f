/* Writing a file: all of it or the old one, whatever fails, and nothing left lying about. */
#include <criterion/criterion.h>
#include <dirent.h>       // opendir
#include <errno.h>        // errno
#include <pthread.h>      // pthread_create
#include <signal.h>       // SIGXFSZ
#include <stdio.h>        // FILE
#include <stdlib.h>       // free
#include <string.h>       // strstr
#include <sys/mount.h>    // mount
#include <sys/resource.h> // setrlimit
#include <sys/stat.h>     // stat, chmod
#include <sys/syscall.h>  // SYS_fsync
#include <sys/wait.h>     // waitpid
#include <unistd.h>       // fork, setuid

#include "base/regular.h" // nl_regular_read
#include "normlab/checkpoint.h"
#include "support/idx_set.h"
#include "support/slurp.h"

static int no_sync; /* errno that syncing a folder meets, or 0 */

/* In place of the C library's. */
int fsync(int file) {
    struct stat info;
    errno = no_sync;
    if (no_sync && fstat(file, &info) == 0 && S_ISDIR(info.st_mode)) return -1;
    return (int)syscall(SYS_fsync, file);
}

static bool no_close; /* closing a file fails */
static int closes;

int close(int file) {
    closes++;
    const int rc = (int)syscall(SYS_close, file);
    if (no_close) errno = EIO;
    return no_close ? -1 : rc;
}

static int count_files(const char *dir) {
    DIR *folder = opendir(dir);
    cr_assert(folder);
    int count = 0;
    for (struct dirent *d = readdir(folder); d; d = readdir(folder)) count += d->d_name[0] != '.';
    closedir(folder);
    return count;
}

static bool holds(const char *path, const char *text) {
    size_t size;
    char *bytes = slurp(path, &size);
    const bool same = size == strlen(text) && memcmp(bytes, text, size) == 0;
    free(bytes);
    return same;
}

static void expect_no_text(const char *path, int number, const char *why) {
    char reason[NL_REASON];
    size_t size;
    errno = 0;
    char *text = nl_regular_read(path, &size, reason);
    cr_expect(!text && errno == number, "%s: %d", path, errno);
    cr_expect_str_eq(reason, why);
    free(text);
}

Test(file, reads_regular_files_alone, .timeout = 30) {
    char *dir = temp_dir_make(), path[512];
    size_t size;
    nl_error err = {0};
    snprintf(path, sizeof path, "%s/f", dir);
    expect_no_text(path, ENOENT, "No such file or directory");
    expect_no_text(dir, EISDIR, "is a folder");
    cr_assert(nl_file_write(path, "a\0b", 3, &err) == NL_OK);
    char *text = slurp(path, &size);
    cr_expect(size == 3 && memcmp(text, "a\0b", 4) == 0, "%zu bytes", size);
    free(text);
    cr_assert(truncate(path, ((off_t)4 << 30) + 1) == 0);
    expect_no_text(path, EFBIG, "is larger than 4 GiB");
    cr_assert(unlink(path) == 0 && mkfifo(path, 0666) == 0); /* nobody writes into it */
    expect_no_text(path, EINVAL, "is not a regular file");
    temp_dir_remove(dir);
}

Test(file, writes_and_replaces) {
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/f", dir);
    nl_error err = {0};
    cr_assert(nl_file_write(path, "old", 3, &err) == NL_OK, "%s", err.what);
    cr_assert(holds(path, "old"));
    cr_assert(nl_file_write(path, "newer", 5, &err) == NL_OK, "%s", err.what);
    cr_assert(holds(path, "newer"));
    cr_assert(nl_file_write(path, "", 0, &err) == NL_OK, "%s", err.what);
    cr_assert(holds(path, "") && count_files(dir) == 1);
    struct stat info;
    umask(027);
    cr_assert(nl_file_write(path, "x", 1, &err) == NL_OK && stat(path, &info) == 0);
    cr_assert((info.st_mode & 0777) == 0640, "the umask decides who may read it");
    temp_dir_remove(dir);
}

Test(file, writes_relative_paths) {
    char *dir = temp_dir_make();
    cr_assert(chdir(dir) == 0);
    nl_error err = {0};
    cr_assert(nl_file_write("plain", "x", 1, &err) == NL_OK, "%s", err.what);
    cr_assert(holds("plain", "x"));
    temp_dir_remove(dir);
}

/* Writes a large file over an old one, which must fail with this reason and leave the old one. */
static void expect_old_file_stays(const char *dir, const char *path, int reason) {
    enum { SIZE = 1 << 20 };
    char *bytes = nl_alloc(SIZE, 1, "test");
    nl_error err = {0};
    const int rc = nl_file_write(path, bytes, SIZE, &err);
    cr_assert(rc == NL_EWRITE && err.code == NL_EWRITE, "exit code %d", rc);
    cr_assert_str_eq(err.where, path);
    cr_assert(strstr(err.what, strerror(reason)), "%s", err.what);
    cr_assert(holds(path, "old"));
    cr_assert(count_files(dir) == 1, "the temporary file is gone");
    free(bytes);
}

Test(file, keeps_the_old_file_when_the_limit_is_reached) {
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/f", dir);
    cr_assert(nl_file_write(path, "old", 3, NULL) == NL_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before, small;
    cr_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 100000; /* write() stops half-way, then fails */
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    expect_old_file_stays(dir, path, EFBIG);
    cr_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
    temp_dir_remove(dir);
}

Test(file, keeps_the_old_file_on_a_full_disk) {
    char *dir = temp_dir_make(), path[512];
    if (mount("none", dir, "tmpfs", 0, "size=64k")) {
        rmdir(dir);
        cr_skip_test("cannot mount a small file system: %s", strerror(errno));
    }
    snprintf(path, sizeof path, "%s/f", dir);
    cr_assert(nl_file_write(path, "old", 3, NULL) == NL_OK);
    expect_old_file_stays(dir, path, ENOSPC);
    cr_assert(umount(dir) == 0);
    temp_dir_remove(dir);
}

/* What a file system does not know is said once; what it cannot do is an error. */
Test(file, goes_on_where_folders_know_no_sync) {
    static const int unknown[] = {EINVAL, ENOSYS, EOPNOTSUPP}, failures[] = {EIO, ENOSPC, EDQUOT};
    char *dir = temp_dir_make(), path[512], said[4096] = "";
    snprintf(path, sizeof path, "%s/f", dir);
    FILE *log = tmpfile();
    const int kept = dup(STDERR_FILENO);
    cr_assert(log && kept >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    for (int i = 0; i < 6; i++) {
        no_sync = unknown[i % 3];
        cr_expect(nl_file_write(path, "new", 3, NULL) == NL_OK && holds(path, "new"));
    }
    cr_assert(dup2(kept, STDERR_FILENO) >= 0);
    rewind(log);
    cr_assert(fread(said, 1, sizeof said - 1, log) > 0);
    const char *warning = strstr(said, "warning: this file system cannot sync a folder");
    cr_expect(warning && !strstr(warning + 1, "warning"), "once: %s", said);
    for (int i = 0; i < 3; i++) {
        nl_error err = {0};
        no_sync = failures[i];
        cr_expect(nl_file_write(path, "new", 3, &err) == NL_EWRITE);
        cr_expect(strstr(err.what, strerror(failures[i])), "%s", err.what);
    }
    no_sync = 0;
    fclose(log);
    temp_dir_remove(dir);
}

/* Root may write anywhere, so this runs as nobody. */
Test(file, keeps_the_old_file_in_a_read_only_folder) {
    char *dir = temp_dir_make(), path[512];
    snprintf(path, sizeof path, "%s/f", dir);
    cr_assert(nl_file_write(path, "old", 3, NULL) == NL_OK);
    cr_assert(chmod(dir, 0555) == 0);
    const pid_t child = fork();
    if (child == 0) {
        nl_error err = {0};
        if (geteuid() == 0 && setuid(65534)) _exit(2);
        const int rc = nl_file_write(path, "new", 3, &err);
        _exit(rc == NL_EWRITE && strstr(err.what, strerror(EACCES)) ? 0 : 1);
    }
    int status = 1;
    cr_assert(waitpid(child, &status, 0) == child && status == 0, "status %d", status);
    cr_assert(holds(path, "old") && count_files(dir) == 1);
    chmod(dir, 0755);
    temp_dir_remove(dir);
}

Test(file, names_a_folder_that_is_missing_and_a_name_that_is_a_folder) {
    char *dir = temp_dir_make(), path[512];
    nl_error err = {0};
    snprintf(path, sizeof path, "%s/none/f", dir);
    cr_assert(nl_file_write(path, "x", 1, &err) == NL_EWRITE);
    cr_assert(strstr(err.what, strerror(ENOENT)) && strcmp(err.where, path) == 0);
    cr_assert(strstr(err.hint, "its folder is not there"), "%s", err.hint);
    snprintf(path, sizeof path, "%s/folder", dir);
    cr_assert(mkdir(path, 0777) == 0);
    cr_assert(nl_file_write(path, "x", 1, &err) == NL_EWRITE);
    cr_assert(strstr(err.what, strerror(EISDIR)) && !err.hint[0], "%s", err.what);
    cr_assert(count_files(dir) == 1, "the temporary file is gone");
    temp_dir_remove(dir);
}

Test(file, closes_a_device_once) {
    nl_error err = {0};
    closes = 0;
    no_close = true;
    const int code = nl_file_write("/dev/null", "x", 1, &err);
    no_close = false;
    cr_expect(code == NL_EWRITE && strstr(err.what, strerror(EIO)), "%d %s", code, err.what);
    cr_expect(closes == 1, "%d", closes);
}

/* --- the guard ------------------------------------------------------------------------------- */

typedef struct watch {
    const char *dir, *path;
    int asked, answer;
    bool in_time; /* the new file was written, the old one there */
} watch;

static int ask(void *context, nl_error *err) {
    watch *w = context;
    w->asked++;
    w->in_time = holds(w->path, "old") && count_files(w->dir) == 2;
    return w->answer ? nl_fail(err, w->answer, "guard", "no") : NL_OK;
}

static void *write_elsewhere(void *path) {
    cr_expect(nl_file_write(path, "other", 5, NULL) == NL_OK);
    return NULL;
}

Test(file, a_guard_decides_at_the_last_moment) {
    char *dir = temp_dir_make(), path[512], other[512];
    nl_error err = {0};
    snprintf(path, sizeof path, "%s/f", dir);
    cr_assert(nl_file_write(path, "old", 3, NULL) == NL_OK);
    watch w = {.dir = dir, .path = path, .answer = NL_EUSAGE};
    nl_file_guard(ask, &w);
    cr_expect(nl_file_write(path, "new", 3, &err) == NL_EUSAGE && strcmp(err.where, "guard") == 0);
    cr_expect(w.asked == 1 && w.in_time);
    cr_expect(holds(path, "old") && count_files(dir) == 1, "the temporary file is gone");
    cr_expect(nl_file_write("/dev/null", "x", 1, &err) == NL_EUSAGE, "a device is spared too");
    w.answer = NL_OK;
    cr_expect(nl_file_write(path, "new", 3, &err) == NL_OK && w.in_time && holds(path, "new"));
    w = (watch){.dir = dir, .path = path, .answer = NL_EUSAGE};

    pthread_t thread; /* it has no guard */
    snprintf(other, sizeof other, "%s/other", dir);
    cr_assert(pthread_create(&thread, NULL, write_elsewhere, other) == 0);
    pthread_join(thread, NULL);
    nl_file_guard(NULL, NULL);
    cr_expect(nl_file_write(path, "newer", 5, &err) == NL_OK && holds(path, "newer"));
    cr_expect(w.asked == 0, "neither in another thread nor when it is taken off");
    temp_dir_remove(dir);
}
