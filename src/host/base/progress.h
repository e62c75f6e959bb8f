/* Progress on a terminal: one line on standard error that is redrawn, with rate and time left. Of
 * runs side by side it is one line for all. What several threads call is marked so. */
#pragma once

#include <pthread.h> // pthread_mutex_t
#include <stdbool.h> // bool
#include <stdint.h>  // uint64_t

typedef struct nl_progress {
    bool shown;
    bool many;                /* runs side by side */
    pthread_mutex_t lock;     /* of all that follows */
    int width;                /* columns of the terminal */
    bool utf8;                /* it shows blocks, not ASCII alone */
    double drawn;             /* when it was drawn last */
    double started;           /* of this pass */
    uint32_t first;           /* step this pass began at */
    int n_runs;               /* of the study; 1: only the pass is shown */
    int running, runs_done;   /* of them */
    int elsewhere;            /* of them, at other processes */
    int epochs, epochs_done;  /* of all runs */
    double study_started;     /* of this process's work */
    uint64_t work, work_done; /* steps of all runs this process has to do, and has done */
} nl_progress;

/* Seconds on a clock that never jumps. */
double nl_clock(void);

/* text: 01:23 or 2:01:23; "?" where it is not known. */
const char *nl_clock_text(char text[32], double seconds);

/* text: 28.69it/s, or 1.53s/it for slow ones. */
const char *nl_rate_text(char text[32], double steps, double seconds);

void nl_progress_open(nl_progress *progress, bool shown, bool many, int n_runs);
void nl_progress_close(nl_progress *progress);

/* A pass of one run that is alone. */
void nl_progress_begin(nl_progress *progress, uint32_t first);
/* At most ten times a second: done of total steps. text: in front of the bar, if there is room.
 * Side by side it is the study that is shown. Any thread. */
void nl_progress_draw(nl_progress *progress, uint32_t done, uint32_t total, const char *text);
/* Takes the line away. */
void nl_progress_end(nl_progress *progress);

/* Between the two a thread may print: the line is away, and no other thread prints. */
void nl_progress_pause(nl_progress *progress);
void nl_progress_go_on(nl_progress *progress);

/* Steps and epochs that were done; steps that need not be done after all; changes of the runs
 * under way and done. Any thread. */
void nl_progress_did(nl_progress *progress, uint64_t steps, int epochs);
void nl_progress_drop(nl_progress *progress, uint64_t steps, int epochs);
void nl_progress_run(nl_progress *progress, int running, int done);
/* Runs that other processes have. Any thread. */
void nl_progress_elsewhere(nl_progress *progress, int runs);

/* How far the study is and how long it will take, in words: 17%, 15:40 left. */
const char *nl_progress_study_text(const nl_progress *progress, char text[96]);
