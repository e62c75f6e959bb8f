/* The first signal is noted, the second ends the process at once. */
#include <criterion/criterion.h>
#include <signal.h> // raise

#include "../src/host/core/signals.h"

Test(signals, the_first_is_noted) {
    nl_signals_catch();
    cr_expect_eq(nl_signals_caught(), 0);
    raise(SIGTERM);
    cr_expect_eq(nl_signals_caught(), 143);
    nl_signals_release();
    cr_expect_eq(nl_signals_caught(), 0);
    nl_signals_catch();
    raise(SIGINT);
    cr_expect_eq(nl_signals_caught(), 130);
    nl_signals_release();
}

Test(signals, the_second_ends_at_once, .exit_code = 143) {
    nl_signals_catch();
    raise(SIGINT);
    raise(SIGTERM);
}

Test(signals, released_they_kill_again, .signal = SIGINT) {
    nl_signals_catch();
    raise(SIGINT);
    nl_signals_release();
    raise(SIGINT);
}
