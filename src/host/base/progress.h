/* Progress on a terminal: one line on standard error that is redrawn, with rate and time left. */
#pragma once

#include <stdbool.h> // bool
#include <stdint.h>  // uint64_t

typedef struct nl_progress {
    bool shown;
    int width;                /* columns of the terminal */
    bool utf8;                /* it shows blocks, not ASCII alone */
    double drawn;             /* when it was drawn last */
    double started;           /* of this pass */
    uint32_t first;           /* step this pass began at */
    int n_runs;               /* of the study; 1: only the pass is shown */
    double study_started;     /* of this process's work */
    uint64_t work, work_done; /* steps of all runs this process has to do, and has done */
} nl_progress;

/* Seconds on a clock that never jumps. */
double nl_clock(void);

/* text: 01:23 or 2:01:23; "?" where it is not known. */
const char *nl_clock_text(char text[32], double seconds);

/* text: 28.69it/s, or 1.53s/it for slow ones. */
const char *nl_rate_text(char text[32], double steps, double seconds);

void nl_progress_begin(nl_progress *progress, uint32_t first);
/* At most ten times a second: done of total steps. text: in front of the bar, if there is room. */
void nl_progress_draw(nl_progress *progress, uint32_t done, uint32_t total, const char *text);
/* Takes the line away. */
void nl_progress_end(nl_progress *progress);

/* How far the study is and how long it will take, in words: 17%, 15:40 left. */
const char *nl_progress_study_text(const nl_progress *progress, char text[96]);
