/* SIGINT, SIGTERM and SIGHUP (a terminal or ssh that is gone) during training or evaluation: the
 * first asks for an orderly end, the second ends at once. One that was ignored when the program
 * started, as nohup and scripts have it, stays ignored. */
#pragma once

/* From here on the signals are noted. */
void nl_signals_catch(void);

/* The signals' meaning before that again; forgets what was noted. */
void nl_signals_release(void);

/* 0, or the exit code of the first signal: NL_ESIGINT, NL_ESIGTERM or NL_ESIGHUP. */
int nl_signals_caught(void);
