/* Something done every so many seconds by a thread of its own. */
#pragma once

typedef struct nl_ticker nl_ticker;

/* Calls tick(what) every `seconds` until it is stopped; signals are left to the other threads. NULL:
 * the system gives no thread. */
nl_ticker *nl_ticker_start(double seconds, void (*tick)(void *what), void *what);

/* Returns when no call is under way any more. NULL: nothing. */
void nl_ticker_stop(nl_ticker *ticker);
