/* The cache file of convolution plans; see plan_cache.h. */
#include "plan_cache.h"

#include <errno.h>    // EINTR
#include <fcntl.h>    // open
#include <limits.h>   // PATH_MAX
#include <stdio.h>    // snprintf
#include <stdlib.h>   // free
#include <string.h>   // strlen
#include <sys/file.h> // flock
#include <time.h>     // nanosleep
#include <unistd.h>   // close

#include <jansson.h> // JSON

#include "base/folder.h"          // nl_folder_make
#include "normlab/cache_folder.h" // nl_cache_folder
#include "normlab/checkpoint.h"   // nl_file_write
#include "normlab/error.h"        // nl_warn

static int cache_path(char *path, size_t size) {
    char dir[PATH_MAX];
    return nl_cache_folder(dir, sizeof dir) &&
           snprintf(path, size, "%s/conv-plans.json", dir) < (int)size;
}

static json_t *load(const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        root = json_object();
    }
    return root;
}

int nl_plan_cache_find(char *tag, size_t size, const char *device, const char *problem) {
    char path[PATH_MAX];
    if (!cache_path(path, sizeof path)) return 0;
    json_t *root = load(path);
    const char *found = json_string_value(json_object_get(json_object_get(root, device), problem));
    const int known = found && snprintf(tag, size, "%s", found) < (int)size;
    json_decref(root);
    return known;
}

static int lock_now(int lock, int how) {
    int status;
    do status = flock(lock, LOCK_EX | how);
    while (status != 0 && errno == EINTR);
    return status;
}

/* Who waits for longer than a second is told what for. */
static int wait_for(int lock, const char *path) {
    enum { TURNS = 20 };
    const struct timespec turn = {.tv_nsec = 1000000000 / TURNS};
    for (int i = 0; i < TURNS; i++) {
        if (lock_now(lock, LOCK_NB) == 0) return 0;
        if (errno != EWOULDBLOCK) return -1;
        nanosleep(&turn, NULL);
    }
    nl_warn(path, "held by another process that times this device; waiting for it");
    return lock_now(lock, 0);
}

/* Waits for the lock file of that ending; -1: there is none to be had. */
static int lock_file(const char *ending) {
    char dir[PATH_MAX], path[PATH_MAX + 16];
    nl_error err;
    if (!cache_path(path, PATH_MAX) || !nl_cache_folder(dir, sizeof dir)) return -1;
    if (nl_folder_make(dir, &err)) return -1;
    strcat(path, ending);
    const int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) return -1;
    if (wait_for(lock, path) == 0) return lock;
    close(lock);
    return -1;
}

int nl_plan_cache_lock(void) {
    return lock_file(".lock");
}

void nl_plan_cache_unlock(int lock) {
    if (lock >= 0) close(lock);
}

void nl_plan_cache_store(const char *device, json_t *choices) {
    char dir[PATH_MAX], path[PATH_MAX];
    if (!cache_path(path, sizeof path) || !nl_cache_folder(dir, sizeof dir)) return;
    const int lock = lock_file(".write"); /* the other one may be this process's, for long */
    json_t *root = load(path);
    json_t *mine = json_object_get(root, device);
    if (!json_is_object(mine)) {
        mine = json_object();
        json_object_set_new(root, device, mine);
    }
    json_object_update(mine, choices);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(root);
    nl_error err;
    if (text && (nl_folder_make(dir, &err) || nl_file_write(path, text, strlen(text), &err))) {
        nl_warn(path, "%s; convolution plans will be timed again", err.what);
    }
    free(text);
    nl_plan_cache_unlock(lock);
}
