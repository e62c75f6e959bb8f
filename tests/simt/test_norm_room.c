/* The benchmark's norms on the device: that what it times is ready, and gives what it should. */
#include <criterion/criterion.h>

#include "support/norm_truth.h" // norm_is_right

static void check(const norm_room *room, nl_verify_case c, const char *name) {
    double worst;
    norm_work *work = room->open(&c);
    cr_assert(room->time(work, false, false, 2) > 0 && room->time(work, true, false, 1) > 0);
    cr_assert(norm_is_right(room, work, &c, name, &worst), "%s", name);
    room->close(work);
    nl_verify_case_free(&c);
}

Test(norm_room, a_case_is_ready_when_it_is_timed) {
    const norm_room *room = norm_room_cuda();
    cr_assert(room && room->cache() > 0);
    check(room, norm_case_make(3, 4, 6, 6, 0, 2), "batch norm with a pool");
    check(room, norm_case_make(2, 8, 5, 5, 2, 0), "group norm");
}
