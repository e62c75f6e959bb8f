#include "ticker.h"

#include <pthread.h> // pthread_create
#include <signal.h>  // pthread_sigmask
#include <stdbool.h> // bool
#include <stdlib.h>  // free
#include <time.h>    // clock_gettime

#include "normlab/error.h" // NL_ASSERT

struct nl_ticker {
    double seconds;
    void (*tick)(void *what);
    void *what;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

static struct timespec after(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    const double nanoseconds = (double)at.tv_nsec + 1e9 * (seconds - (double)(time_t)seconds);
    at.tv_sec += (time_t)seconds + (nanoseconds >= 1e9);
    at.tv_nsec = (long)(nanoseconds >= 1e9 ? nanoseconds - 1e9 : nanoseconds);
    return at;
}

static void *run(void *argument) {
    nl_ticker *t = argument;
    pthread_mutex_lock(&t->lock);
    while (!t->stopping) {
        const struct timespec next = after(t->seconds);
        while (!t->stopping && pthread_cond_timedwait(&t->changed, &t->lock, &next) == 0) continue;
        pthread_mutex_unlock(&t->lock);
        t->tick(t->what);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

nl_ticker *nl_ticker_start(double seconds, void (*tick)(void *what), void *what) {
    nl_ticker *t = nl_alloc(1, sizeof *t, "ticker");
    pthread_condattr_t steady;
    sigset_t all, before;
    *t = (nl_ticker){.seconds = seconds, .tick = tick, .what = what};
    NL_ASSERT(pthread_mutex_init(&t->lock, NULL) == 0 && pthread_condattr_init(&steady) == 0);
    NL_ASSERT(pthread_condattr_setclock(&steady, CLOCK_MONOTONIC) == 0);
    NL_ASSERT(pthread_cond_init(&t->changed, &steady) == 0);
    pthread_condattr_destroy(&steady);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_create(&t->thread, NULL, run, t) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) return t;
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

void nl_ticker_stop(nl_ticker *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
