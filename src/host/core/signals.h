/* SIGINT and SIGTERM during training: the first asks for an orderly end, the second ends at once.
 */
#pragma once

/* From here on the signals are noted. SIGXFSZ is ignored, so that a full quota is a write error. */
void nl_signals_catch(void);

/* The signals' usual meaning again; forgets what was noted. */
void nl_signals_release(void);

/* 0, or the exit code of the first signal: NL_ESIGINT or NL_ESIGTERM. */
int nl_signals_caught(void);
