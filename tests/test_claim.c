/* Claims: never two owners, whatever the file system can, however owners end. flock and link are
 * played here, so that they refuse as Lustre, NFS or a memory stick do. */
#include <criterion/criterion.h>
#include <errno.h>       // errno
#include <fcntl.h>       // AT_FDCWD
#include <signal.h>      // raise
#include <stdatomic.h>   // atomic_int
#include <stdio.h>       // snprintf
#include <stdlib.h>      // free
#include <string.h>      // strstr
#include <sys/file.h>    // flock
#include <sys/mman.h>    // mmap
#include <sys/syscall.h> // SYS_flock
#include <sys/wait.h>    // waitpid
#include <unistd.h>      // fork

#include "base/claim.h"
#include "base/process.h"
#include "support/idx_set.h" // temp_dir_make
#include "support/toy.h"     // toy_train

static int no_flock, no_link; /* errno of the refusal, or 0 */
static bool slow;             /* a process may stop for a while before it makes a file */

int flock(int file, int operation) {
    errno = no_flock;
    return no_flock ? -1 : (int)syscall(SYS_flock, file, operation);
}

int link(const char *from, const char *to) {
    if (slow && rand() % 4 == 0) usleep((useconds_t)(rand() % 4000));
    errno = no_link;
    return no_link ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static const struct {
    const char *name;
    int flock, link;
} systems[] = {
    {"all", 0, 0},          {"ENOSYS", ENOSYS, 0},
    {"ENOLCK", ENOLCK, 0},  {"EOPNOTSUPP", EOPNOTSUPP, 0},
    {"no links", 0, EPERM}, {"neither", ENOLCK, EOPNOTSUPP},
};
enum { SYSTEMS = sizeof systems / sizeof *systems };

static void use(int system) {
    no_flock = systems[system].flock;
    no_link = systems[system].link;
}

/* The code of a child that claims the folder; it is killed with the claim, or gives it back. */
static int claim_in_child(const char *folder, bool killed) {
    const pid_t child = fork();
    if (child == 0) {
        nl_claim claim;
        const int code = nl_claim_take(&claim, folder, NULL, NULL);
        if (!code && killed) raise(SIGKILL);
        nl_claim_release(&claim, folder);
        _exit(code);
    }
    int status = 0;
    cr_assert(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : NL_OK;
}

static bool has_claim(const char *folder) {
    char path[600];
    snprintf(path, sizeof path, "%s/.claim", folder);
    return access(path, F_OK) == 0;
}

/* ---- one after the other -------------------------------------------------------------------- */

Test(claim, keeps_others_off_until_it_is_given_back) {
    for (int i = 0; i < SYSTEMS; i++) {
        char *dir = temp_dir_make();
        nl_claim claim, second;
        nl_error err;
        use(i);
        cr_expect_not(nl_claim_is_held(dir, &err));
        cr_expect_not(has_claim(dir), "looking creates nothing");
        cr_assert(nl_claim_take(&claim, dir, NULL, &err) == NL_OK, "%s: %s", systems[i].name,
                  err.what);
        cr_expect(nl_claim_is_held(dir, &err), "%s", systems[i].name);
        cr_expect(nl_claim_take(&second, dir, NULL, &err) == NL_EUSAGE, "%s", systems[i].name);
        cr_expect(strstr(err.what, "another process is training here"), "%s", err.what);
        cr_expect(strstr(err.hint, "process "), "%s", err.hint);
        cr_expect_not(second.held);
        nl_claim_release(&second, dir); /* of nothing */
        cr_expect(claim_in_child(dir, false) == NL_EUSAGE, "%s", systems[i].name);
        nl_claim_release(&claim, dir);
        cr_expect_not(has_claim(dir));
        cr_expect_not(nl_claim_is_held(dir, &err));
        cr_expect(claim_in_child(dir, false) == NL_OK, "%s", systems[i].name);
        temp_dir_remove(dir);
    }
}

/* Killed again and again, taken again and again, with locks now here, now there. */
Test(claim, of_a_killed_owner_is_inherited) {
    for (int i = 0; i < SYSTEMS * SYSTEMS; i++) {
        char *dir = temp_dir_make();
        nl_claim claim;
        nl_error err = {0};
        for (int killed = 0; killed < 3; killed++) {
            use(killed % 2 ? i / SYSTEMS : i % SYSTEMS);
            cr_assert(claim_in_child(dir, true) == NL_OK);
            cr_expect(has_claim(dir));
            cr_expect_not(nl_claim_is_held(dir, &err));
        }
        use(i / SYSTEMS);
        cr_assert(nl_claim_take(&claim, dir, NULL, &err) == NL_OK, "%s", err.hint);
        use(i % SYSTEMS);
        cr_expect(nl_claim_is_held(dir, &err), "%d", i);
        cr_expect(claim_in_child(dir, false) == NL_EUSAGE, "%d", i);
        nl_claim_release(&claim, dir);
        cr_expect_not(has_claim(dir), "the dead ones are gone too");
        temp_dir_remove(dir);
    }
}

/* ---- side by side --------------------------------------------------------------------------- */

typedef struct arena {
    atomic_int inside, taken, killed, broken;
} arena;

enum { CHILDREN = 12, ROUNDS = 25 };

/* Takes the folder as often as it can; every few times it dies in it, and another goes on. */
static void contend(arena *a, const char *folder, int child, bool mixed) {
    if (mixed) use((child / 2) % SYSTEMS);
    slow = true;
    srand((unsigned)child);
    for (int round = 0; round < ROUNDS; round++) {
        nl_claim claim;
        if (nl_claim_take(&claim, folder, NULL, NULL) != NL_OK) {
            usleep(500);
            continue;
        }
        if (atomic_fetch_add(&a->inside, 1) != 0) atomic_store(&a->broken, 1);
        usleep(200);
        atomic_fetch_add(&a->taken, 1);
        atomic_fetch_sub(&a->inside, 1);
        if ((child + round) % 5 == 0) {
            atomic_fetch_add(&a->killed, 1);
            raise(SIGKILL);
        }
        nl_claim_release(&claim, folder);
    }
}

static void run_side_by_side(bool mixed) {
    arena *a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *dir = temp_dir_make();
    cr_assert(a != MAP_FAILED);
    for (int generation = 0; generation < 3; generation++) {
        pid_t children[CHILDREN];
        for (int i = 0; i < CHILDREN; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                contend(a, dir, i + generation, mixed);
                _exit(0);
            }
        }
        for (int i = 0; i < CHILDREN; i++) cr_assert(waitpid(children[i], NULL, 0) == children[i]);
    }
    cr_expect(atomic_load(&a->broken) == 0, "two at once");
    cr_expect(atomic_load(&a->taken) > CHILDREN && atomic_load(&a->killed) > 0);
    nl_claim claim;
    nl_error err = {0};
    cr_expect(nl_claim_take(&claim, dir, NULL, &err) == NL_OK, "free in the end: %s", err.hint);
    nl_claim_release(&claim, dir);
    munmap(a, sizeof *a);
    temp_dir_remove(dir);
}

Test(claim, never_two_owners) {
    for (int i = 0; i < SYSTEMS; i++) {
        use(i);
        run_side_by_side(false);
    }
}

Test(claim, never_two_owners_of_different_means) {
    run_side_by_side(true);
}

/* ---- claims of others ----------------------------------------------------------------------- */

static void write_claim(const char *dir, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/.claim", dir);
    idx_set_save(path, text, strlen(text), false);
}

/* As a process of this machine would be noted, but for what `change` does to it. */
static void write_owner(const char *dir, const char *locks, void (*change)(nl_process *)) {
    char line[512], text[600];
    nl_process process;
    nl_process_self(&process);
    change(&process);
    nl_process_format(line, sizeof line, &process);
    snprintf(text, sizeof text, "normlab-claim 0123456789abcdef %s %s\n", locks, line);
    write_claim(dir, text);
}

static void leave(nl_process *p) {
    (void)p;
}
static void start_earlier(nl_process *p) {
    p->start--;
}
static void boot_otherwise(nl_process *p) {
    p->boot[0] = p->boot[0] == 'a' ? 'b' : 'a';
    snprintf(p->host, sizeof p->host, "node17");
}
static void count_otherwise(nl_process *p) {
    snprintf(p->space, sizeof p->space, "pid:[1]");
}
static void never_lived(nl_process *p) {
    p->pid = 0x7ffffffe;
}

Test(claim, tells_the_living_from_the_dead) {
    static const struct {
        const char *what, *locks;
        void (*change)(nl_process *);
        bool refused, refused_without_lock;
        const char *hint;
    } owners[] = {
        {"this one", "none", leave, true, true, "process "},
        {"its number's earlier owner", "none", start_earlier, false, false, ""},
        {"no such process", "none", never_lived, false, false, ""},
        {"another machine", "none", boot_otherwise, true, true, "on node17, if it was not killed"},
        {"another container", "none", count_otherwise, true, true, "remove "},
        {"another machine, with a lock", "flock", boot_otherwise, false, true, "remove "},
        {"this one, with a lock that is free", "flock", leave, false, true, "process "},
    };
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        for (int locks = 0; locks < 2; locks++) {
            char *dir = temp_dir_make();
            nl_claim claim;
            nl_error err = {0};
            const bool refused = locks ? owners[i].refused : owners[i].refused_without_lock;
            use(locks ? 0 : 2);
            write_owner(dir, owners[i].locks, owners[i].change);
            const int code = nl_claim_take(&claim, dir, NULL, &err);
            cr_expect(code == (refused ? NL_EUSAGE : NL_OK), "%s: %s", owners[i].what, err.hint);
            if (refused) cr_expect(strstr(err.hint, owners[i].hint), "%s", err.hint);
            nl_claim_release(&claim, dir);
            temp_dir_remove(dir);
        }
}

Test(claim, that_cannot_be_read_stands) {
    static const char *const texts[] = {
        "",
        "normlab-claim",
        "normlab-claim 0123456789abcdef none 1 2 boot space",
        "normlab-claim 0123456789abcdef none 1 2 boot space host", /* cut before its end */
        "normlab-claim 0123 none 1 2 boot space host\n",
        "normlab-claim ../../../../etc none 1 2 boot space host\n",
        "normlab-claim 0123456789abcdef none -1 2 boot space host\n",
    };
    char *dir = temp_dir_make();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nl_claim claim;
        nl_error err = {0};
        write_claim(dir, texts[i]);
        cr_expect(nl_claim_take(&claim, dir, NULL, &err) == NL_EUSAGE, "'%s'", texts[i]);
        cr_expect(strstr(err.hint, "/.claim, which says nothing"), "%s", err.hint);
    }
    temp_dir_remove(dir);
}

/* A claim whose heir is itself. */
Test(claim, that_leads_in_a_circle_stands) {
    char *dir = temp_dir_make(), path[600], first[600];
    nl_claim claim;
    nl_error err = {0};
    write_owner(dir, "none", never_lived);
    snprintf(first, sizeof first, "%s/.claim", dir);
    snprintf(path, sizeof path, "%s/.claim.0123456789abcdef", dir);
    cr_assert(link(first, path) == 0);
    cr_expect(nl_claim_take(&claim, dir, NULL, &err) == NL_EUSAGE);
    temp_dir_remove(dir);
}

/* Removed by hand while it was held, and the folder taken by another: not given back with it. */
Test(claim, of_another_is_left_alone) {
    char *dir = temp_dir_make(), path[600];
    nl_claim claim, second;
    use(2);
    snprintf(path, sizeof path, "%s/.claim", dir);
    cr_assert(nl_claim_take(&claim, dir, NULL, NULL) == NL_OK && unlink(path) == 0);
    cr_assert(nl_claim_take(&second, dir, NULL, NULL) == NL_OK);
    nl_claim_release(&claim, dir);
    cr_expect(has_claim(dir));
    nl_claim_release(&second, dir);
    cr_expect_not(has_claim(dir));
    temp_dir_remove(dir);
}

Test(claim, errors_of_the_file_system_stay_errors) {
    char *dir = temp_dir_make(), path[600];
    nl_claim claim;
    nl_error err = {0};
    no_flock = EIO;
    cr_expect(nl_claim_take(&claim, dir, NULL, &err) == NL_EWRITE);
    cr_expect(strstr(err.what, "cannot lock: Input/output error"), "%s", err.what);
    use(0);
    no_link = EIO;
    cr_expect(nl_claim_take(&claim, dir, NULL, &err) == NL_EWRITE);
    cr_expect(strstr(err.what, "cannot claim the folder: Input/output error"), "%s", err.what);
    use(0);
    snprintf(path, sizeof path, "%s/none", dir);
    cr_expect(nl_claim_take(&claim, path, NULL, &err) == NL_EWRITE);
    cr_expect_not(nl_claim_is_held(path, NULL));
    cr_expect_not(nl_claim_is_held(dir, NULL), "nothing is left of the failures");
    cr_expect_not(has_claim(dir));
    temp_dir_remove(dir);
}

/* ---- a study -------------------------------------------------------------------------------- */

Test(claim, studies_are_trained_without_locks) {
    static const int refusals[] = {ENOSYS, ENOLCK, EOPNOTSUPP};
    for (int i = 0; i < 3; i++) {
        toy t;
        nl_error err = {0};
        toy_open(&t);
        no_flock = refusals[i];
        cr_assert(toy_train(&t, &err) == NL_OK, "%s", err.what);
        cr_expect(toy_train(&t, &err) == NL_EUSAGE && strstr(err.what, "already there"));
        t.study.options.overwrite = true;
        cr_assert(toy_train(&t, &err) == NL_OK, "%s", err.what);
        char unit[400];
        nl_claim claim;
        snprintf(unit, sizeof unit, "%s/toy/seed-3", t.out);
        cr_expect_not(has_claim(unit));
        cr_assert(nl_claim_take(&claim, unit, NULL, &err) == NL_OK);
        cr_expect(toy_train(&t, &err) == NL_EUSAGE && strstr(err.what, "another process"));
        nl_claim_release(&claim, unit);
        toy_close(&t);
    }
}
