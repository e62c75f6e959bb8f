/* The benchmark's norms on the device: that what it times is ready, and gives what it should. */
#include <criterion/criterion.h>
#include <stdlib.h> // free

#include "normlab/error.h" // nl_alloc
#include "support/norm_room.h"
#include "support/norm_truth.h" // norm_host_check

static void check(const norm_room *room, norm_case c, const char *name) {
    norm_host h;
    norm_host_make(&h, &c);
    norm_work *work = room->open(&c, h.x, h.dy, h.gamma, h.beta);
    float *y = nl_alloc((size_t)h.out, sizeof *y, "y");
    float *dx = nl_alloc((size_t)h.in, sizeof *dx, "dx");
    float *dgamma = nl_alloc((size_t)c.c, sizeof *dgamma, "dgamma");
    float *dbeta = nl_alloc((size_t)c.c, sizeof *dbeta, "dbeta");
    double worst;
    cr_assert(room->time(work, false, false, 2) > 0 && room->time(work, true, false, 1) > 0);
    room->read(work, y, dx, dgamma, dbeta);
    cr_assert(norm_host_check(&h, name, y, dx, dgamma, dbeta, &worst), "%s", name);
    room->close(work);
    norm_host_free(&h);
    free(y);
    free(dx);
    free(dgamma);
    free(dbeta);
}

Test(norm_room, a_case_is_ready_when_it_is_timed) {
    const norm_room *room = norm_room_cuda();
    cr_assert(room && room->cache() > 0);
    check(room, (norm_case){3, 4, 6, 6, 0, 2}, "batch norm with a pool");
    check(room, (norm_case){2, 8, 5, 5, 2, 1}, "group norm");
}
