/* Stopping by signal. The handler only notes the exit code; the training loop looks at it between
 * two steps, where the state is whole. */
#include "signals.h"

#include <signal.h> // sigaction
#include <unistd.h> // _exit

#include "normlab/error.h" // NL_ESIGINT

static volatile sig_atomic_t caught;

static void note(int number) {
    const int code = number == SIGINT ? NL_ESIGINT : NL_ESIGTERM;
    if (caught) _exit(code);
    caught = code;
}

static void set(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    NL_ASSERT(sigaction(number, &action, NULL) == 0);
}

void nl_signals_catch(void) {
    caught = 0;
    set(SIGINT, note);
    set(SIGTERM, note);
    set(SIGXFSZ, SIG_IGN);
}

void nl_signals_release(void) {
    set(SIGINT, SIG_DFL);
    set(SIGTERM, SIG_DFL);
    set(SIGXFSZ, SIG_DFL);
    caught = 0;
}

int nl_signals_caught(void) {
    return caught;
}
