/* The first signal is noted, the second ends the process at once. */
#include <criterion/criterion.h>
#include <signal.h> // raise

#include "base/signals.h"

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

Test(signals, a_hangup_is_noted) {
    nl_signals_catch();
    raise(SIGHUP);
    cr_expect_eq(nl_signals_caught(), 129);
    nl_signals_release();
}

/* As nohup, or a script's background job, starts a program. */
Test(signals, what_was_ignored_stays_ignored) {
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};
    for (int i = 0; i < 3; i++) {
        struct sigaction now;
        signal(numbers[i], SIG_IGN);
        nl_signals_catch();
        raise(numbers[i]);
        cr_expect_eq(nl_signals_caught(), 0, "signal %d", numbers[i]);
        raise(numbers[(i + 1) % 3]);
        cr_expect_neq(nl_signals_caught(), 0, "the others are caught");
        nl_signals_release();
        cr_assert(sigaction(numbers[i], NULL, &now) == 0);
        cr_expect(now.sa_handler == SIG_IGN, "signal %d", numbers[i]);
        signal(numbers[i], SIG_DFL);
    }
}

static void of_the_caller(int number) {
    (void)number;
}

Test(signals, a_handler_of_the_caller_comes_back) {
    struct sigaction now;
    signal(SIGTERM, of_the_caller);
    nl_signals_catch();
    nl_signals_release();
    cr_assert(sigaction(SIGTERM, NULL, &now) == 0);
    cr_expect(now.sa_handler == of_the_caller);
}
