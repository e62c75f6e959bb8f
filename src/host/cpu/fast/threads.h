/* A pool of threads that share out numbered items: the order in which items run, and by whom, must
 * not matter to the result. The pool's threads take subnormal numbers for zero; the caller, who
 * works with them, sets its own mode (subnormals.h). */
#pragma once

typedef struct nl_threads nl_threads;

/* Does item `item`; `worker` is 0 .. workers - 1, and no two calls with one worker overlap. */
typedef void nl_work(void *context, int item, int worker);

/* count >= 1, the caller's thread included. Fewer are started where the system gives no more. */
nl_threads *nl_threads_open(int count);
void nl_threads_close(nl_threads *threads);
int nl_threads_count(const nl_threads *threads);

/* Runs items 0 .. items - 1 and returns when all are done. */
void nl_threads_run(nl_threads *threads, nl_work *work, void *context, int items);
