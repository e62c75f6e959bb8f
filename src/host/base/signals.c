/* Stopping by signal. The handler, in whatever thread, only notes the exit code; training looks at
 * it between two steps, where the state is whole, and evaluation between two parts of a pass. */
#include "signals.h"

#include <signal.h>    // sigaction
#include <stdatomic.h> // atomic_int
#include <stdbool.h>   // bool
#include <unistd.h>    // _exit

#include "normlab/error.h" // NL_ESIGINT

static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
enum { SIGNALS = sizeof numbers / sizeof *numbers };

static struct sigaction before[SIGNALS];
static bool catching;
static atomic_int caught; /* lock-free, as in a handler it has to be */

static void note(int number) {
    const int code = number == SIGINT ? NL_ESIGINT : number == SIGHUP ? NL_ESIGHUP : NL_ESIGTERM;
    if (atomic_exchange(&caught, code)) _exit(code);
}

void nl_signals_catch(void) {
    NL_ASSERT(!catching);
    catching = true;
    caught = 0;
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        NL_ASSERT(sigaction(numbers[i], NULL, &before[i]) == 0);
        /* nohup and the shell's background jobs ignore signals on purpose. */
        if (before[i].sa_handler == SIG_IGN) continue;
        NL_ASSERT(sigaction(numbers[i], &action, NULL) == 0);
    }
}

void nl_signals_release(void) {
    if (!catching) return;
    catching = false;
    for (int i = 0; i < SIGNALS; i++) NL_ASSERT(sigaction(numbers[i], &before[i], NULL) == 0);
    caught = 0;
}

int nl_signals_caught(void) {
    return caught;
}
