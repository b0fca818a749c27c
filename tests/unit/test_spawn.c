/* test_spawn.c - real children: what they inherit and whose they are.
 * tests/tools/inherits.c tells what arrived.
 *
 * As root it tests more: changes of identity need it. */
#include "cmocka_all.h"

#include "spawn_asserts.h"

#define NOBODY 65534

/* -- what a child gets ------------------------------------------------------ */

static void test_descriptors_are_exact(void **state)
{
    (void)state;
    int leaked = dup(0); /* inheritable, as a careless library would leave it */
    int sockets[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    struct spawn_plan plan = plan_inherits();
    plan.n_fds = 6;
    plan.fds[3] = sockets[0];
    plan.fds[4] = -1; /* a hole stays a hole */
    plan.fds[5] = plan.fds[0];
    const char *text = run_inherits(&plan);
    for (int i = 0; i < 6; i++)
        if (i != 4)
            assert_descriptor(text, i, plan.fds[i]);
    assert_int_equal(count_lines(text, "fd "), 5);
    assert_null(strstr(text, "cloexec=1"));
    close(leaked);
    close(sockets[0]);
    close(sockets[1]);

    plan = plan_inherits();
    plan.n_fds = 0;
    assert_int_equal(count_lines(run_inherits(&plan), "fd "), 0);
}

static void test_argv_and_environment(void **state)
{
    (void)state;
    struct spawn_plan plan = plan_inherits();
    plan.argv = (char **)WORDS("a name of its own", output, "", "two words");
    plan.envp = (char **)WORDS("A=1", "B=", "ODD");
    const char *text = run_inherits(&plan);
    char expected[400];
    snprintf(expected, sizeof(expected), "argv 0 a name of its own\nargv 1 %s\nargv 2 \nargv 3 two words\n", output);
    assert_lines(text, "argv ", expected);
    assert_lines(text, "env ", "env A=1\nenv B=\nenv ODD\n");
}

/* The kernel's own calls, since libc keeps two signals from us that our starter may
 * have left ignored all the same. */
struct kernel_action {
    unsigned long words[4];
};

static void with_all_ignored(bool learned)
{
    struct kernel_action before[65] = { 0 }, ignore = { { (unsigned long)(uintptr_t)SIG_IGN } };
    unsigned long all = ~0UL, mask;
    struct spawn_plan plan = plan_inherits();
    for (int s = 1; s <= 64; s++)
        syscall(SYS_rt_sigaction, s, &ignore, &before[s], 8);
    signal(SIGCHLD, SIG_DFL); /* or nothing could be reaped */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
    if (learned)
        spawn_learn_signals();
    const char *text = run_inherits(&plan);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
    for (int s = 1; s <= 64; s++)
        syscall(SYS_rt_sigaction, s, &before[s], NULL, 8);
    assert_lines(text, "SigIgn", "SigIgn 0000000000000000\n");
    assert_lines(text, "SigBlk", "SigBlk 0000000000000000\n");
    assert_lines(text, "SigPnd", "SigPnd 0000000000000000\n");
}

static void test_signals(void **state)
{
    (void)state;
    with_all_ignored(false);
    with_all_ignored(true);
}

static void test_own_mask_comes_back(void **state)
{
    (void)state;
    sigset_t one, before, after;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_SETMASK, &one, &before);
    struct spawn_plan plan = plan_inherits();
    run_inherits(&plan);
    sigprocmask(SIG_SETMASK, &before, &after);
    assert_int_equal(sigismember(&after, SIGUSR1), 1);
    assert_int_equal(sigismember(&after, SIGTERM), 0);
}

static void test_directory_and_umask(void **state)
{
    (void)state;
    struct spawn_plan plan = plan_inherits();
    plan.directory = "/proc";
    plan.umask = 0127;
    const char *text = run_inherits(&plan);
    assert_lines(text, "cwd ", "cwd /proc\n");
    assert_lines(text, "umask ", "umask 0127\n");
    plan = plan_inherits();
    mode_t mine = umask(031);
    text = run_inherits(&plan);
    umask(mine);
    assert_lines(text, "umask ", "umask 0031\n");
    char cwd[4096], line[5000];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(line, sizeof(line), "cwd %s\n", cwd);
    assert_lines(text, "cwd ", line);
}

static void test_process_group(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct spawn_plan plan = plan_inherits();
        struct spawned child;
        assert_int_equal(spawn(&plan, &child), 0);
        /* from now on, not from when the child gets its turn: a stop may follow at once */
        int there = kill(-child.pid, 0);
        assert_int_equal(fcntl(child.pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(child.error_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fcntl(child.error_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        struct end end = end_of(&child);
        assert_int_equal(end.report.stage, SPAWN_STAGE_NONE);
        assert_int_equal(there, 0);
    }
    struct spawn_plan plan = plan_inherits();
    const char *text = run_inherits(&plan);
    assert_int_equal(number_of(text, "pgid "), number_of(text, "pid "));
    assert_int_equal(number_of(text, "ppid "), getpid());
    assert_int_equal(number_of(text, "sid "), getsid(0));
}

/* A signal that arrives before exec is not lost. */
static void test_signal_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct spawn_plan plan = plan_of("/bin/sleep", WORDS("sleep", "100"));
        struct spawned child;
        assert_int_equal(spawn(&plan, &child), 0);
        assert_int_equal(i % 2 ? pidfd_signal(child.pidfd, SIGTERM) : pidfd_signal_group(child.pid, SIGTERM), 0);
        struct end end = end_of(&child);
        assert_true(WIFSIGNALED(end.status));
        assert_int_equal(WTERMSIG(end.status), SIGTERM);
    }
}

static void test_nofile_is_restored(void **state)
{
    (void)state;
    struct rlimit before, raised;
    getrlimit(RLIMIT_NOFILE, &before);
    raised = before;
    raised.rlim_cur = before.rlim_max < 2000 ? before.rlim_max : 2000;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
    int many[300];
    for (size_t i = 0; i < ELEMENTS(many); i++) /* the daemon has more open than a job may */
        many[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct spawn_plan plan = plan_inherits();
    plan.restore_nofile = true;
    plan.nofile_soft = 64;
    plan.nofile_hard = 128;
    int swap = plan.fds[0];
    plan.fds[0] = 1; /* needs a place to move to, too */
    plan.fds[1] = swap;
    const char *text = run_inherits(&plan);
    for (size_t i = 0; i < ELEMENTS(many); i++)
        close(many[i]);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_lines(text, "limit nofile", "limit nofile 64 128\n");
}

/* -- what it gives up --------------------------------------------------------- */

static struct confinement confinement(void)
{
    return (struct confinement){ .nice = CONFINEMENT_UNSET,
                                 .ionice = CONFINEMENT_UNSET,
                                 .oom_score_adj = CONFINEMENT_UNSET };
}

static void test_limits(void **state)
{
    (void)state;
    struct confinement c = confinement();
    c.limits_set = 1U << RLIMIT_NOFILE | 1U << RLIMIT_CORE;
    c.limits[RLIMIT_NOFILE] = (struct confinement_limit){ 20, 30 };
    c.limits[RLIMIT_FSIZE] = (struct confinement_limit){ 1, 1 }; /* not set */
    struct spawn_plan plan = plan_inherits();
    plan.confinement = &c;
    plan.restore_nofile = true; /* its own limit wins */
    plan.nofile_soft = plan.nofile_hard = 64;
    const char *text = run_inherits(&plan);
    assert_lines(text, "limit nofile", "limit nofile 20 30\n");
    assert_lines(text, "limit core", "limit core 0 0\n");
    c.limits[RLIMIT_NOFILE] = (struct confinement_limit){ 5, 4 };
    assert_fails(&plan, SPAWN_STAGE_LIMITS, EINVAL);
}

static void test_steps_that_fail(void **state)
{
    (void)state;
    struct spawn_plan plan = plan_inherits();
    struct confinement c = confinement();
    plan.confinement = &c;
    c.oom_score_adj = 5000;
    assert_fails(&plan, SPAWN_STAGE_OOM, EINVAL);
    c = confinement();
    c.ionice = 7 << 13;
    assert_fails(&plan, SPAWN_STAGE_IONICE, EINVAL);
    c = confinement();
    c.cpus_set = true;
    assert_fails(&plan, SPAWN_STAGE_AFFINITY, EINVAL);
    c = confinement();
    c.capabilities_set = true;
    c.capabilities = 1ULL << 63; /* no kernel has that many */
    assert_fails(&plan, SPAWN_STAGE_CAPABILITIES, geteuid() == 0 ? EINVAL : EPERM);
}

static void test_capabilities(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct confinement c = confinement();
    struct spawn_identity id = { .uid = NOBODY, .gid = NOBODY };
    struct spawn_plan plan = plan_inherits();
    c.capabilities_set = true;
    c.capabilities = 1U << 10;
    plan.confinement = &c;
    plan.identity = &id;
    const char *text = run_inherits(&plan);
    assert_lines(text, "CapEff", "CapEff 0000000000000400\n");
    assert_lines(text, "Uid ", "Uid 65534 65534 65534 65534\n");
    plan.identity = NULL;
    assert_lines(run_inherits(&plan), "CapEff", "CapEff 0000000000000400\n");
    c.capabilities = 0;
    assert_lines(run_inherits(&plan), "CapEff", "CapEff 0000000000000000\n");
}

/* -- what it opens itself ------------------------------------------------------- */

static void test_opens(void **state)
{
    (void)state;
    struct spawn_plan plan = plan_inherits();
    struct spawn_open opens[] = {
        { 0, O_RDONLY, "/dev/zero", 0 }, { 3, 0, NULL, 2 }, { 5, O_RDWR, "/dev/null", 0 }, { 7, 0, NULL, 0 }
    };
    plan.n_fds = 8;
    plan.fds[0] = plan.fds[3] = plan.fds[4] = plan.fds[5] = plan.fds[6] = plan.fds[7] = -1;
    plan.opens = opens;
    plan.n_opens = ELEMENTS(opens);
    const char *text = run_inherits(&plan);
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_descriptor(text, 0, zero);
    assert_descriptor(text, 2, plan.fds[2]);
    assert_descriptor(text, 3, plan.fds[2]);
    assert_descriptor(text, 5, null);
    assert_descriptor(text, 7, zero);
    assert_int_equal(count_lines(text, "fd "), 6);
    assert_null(strstr(text, "cloexec=1"));
    close(zero);
    close(null);
    opens[2].path = "/no/such/file";
    struct spawned child;
    assert_int_equal(spawn(&plan, &child), 0);
    struct end end = end_of(&child);
    assert_int_equal(end.report.stage, SPAWN_STAGE_STDIO);
    assert_int_equal(end.report.error, ENOENT);
    assert_int_equal(end.report.index, 5);
}

/* -- permutations ----------------------------------------------------------- */

#define PLACES 10

/* Gives the numbers 0..9 to files of our own for one spawn; only then the old ones
 * come back, since messages need them. */
static const char *run_permuted(struct spawn_plan *plan, const int bank[PLACES], const bool present[PLACES])
{
    int saved[PLACES];
    for (int i = 0; i < PLACES; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 300);
        if (present[i])
            dup3(bank[i], i, O_CLOEXEC);
        else
            close(i);
    }
    const char *text = run_inherits(plan);
    for (int i = 0; i < PLACES; i++) {
        if (saved[i] >= 0)
            dup2(saved[i], i);
        else
            close(i);
        if (saved[i] >= 0)
            close(saved[i]);
    }
    return text;
}

static void open_bank(int bank[PLACES])
{
    for (int i = 0; i < PLACES; i++) {
        int fd = memfd_create("bank", MFD_CLOEXEC);
        bank[i] = fcntl(fd, F_DUPFD_CLOEXEC, 200);
        assert_true(bank[i] >= 200);
        close(fd);
    }
}

static void assert_permuted(const int *wanted, unsigned n, const int bank[PLACES], const bool present[PLACES])
{
    struct spawn_plan plan = plan_inherits();
    plan.n_fds = n;
    memcpy(plan.fds, wanted, n * sizeof(*wanted));
    const char *text = run_permuted(&plan, bank, present);
    int open = 0;
    for (unsigned i = 0; i < n; i++) {
        if (wanted[i] < 0)
            continue;
        open++;
        assert_descriptor(text, (int)i, wanted[i] < PLACES ? bank[wanted[i]] : wanted[i]);
    }
    assert_int_equal(count_lines(text, "fd "), open);
}

static void test_chosen_permutations(void **state)
{
    (void)state;
    static const int lists[][4] = {
        { 0, 1, 2, 3 }, { 0, 2, 1, 3 },  { 1, 2, 0, 3 },   { 3, 2, 1, 0 },     { 0, 0, 0, 0 },
        { 9, 9, 0, 0 }, { -1, 0, 1, 2 }, { 3, -1, -1, 0 }, { -1, -1, -1, -1 }, { 5, 0, 0, 6 },
    };
    bool all[PLACES];
    int bank[PLACES];
    memset(all, 1, sizeof(all));
    open_bank(bank);
    for (size_t i = 0; i < ELEMENTS(lists); i++)
        assert_permuted(lists[i], 4, bank, all);
    for (int i = 0; i < PLACES; i++)
        close(bank[i]);
}

static void test_random_permutations(void **state)
{
    (void)state;
    int bank[PLACES];
    open_bank(bank);
    srand(20240131); /* the same lists in every run */
    for (int round = 0; round < 200; round++) {
        bool present[PLACES];
        int wanted[SPAWN_FDS_MAX];
        unsigned n = (unsigned)rand() % 16;
        for (int i = 0; i < PLACES; i++)
            present[i] = rand() % 4 != 0;
        for (unsigned i = 0; i < n; i++) {
            int source = rand() % (PLACES + 4);
            wanted[i] = source >= PLACES ? bank[source - PLACES] : present[source] ? source : -1;
        }
        assert_permuted(wanted, n, bank, present);
    }
    for (int i = 0; i < PLACES; i++)
        close(bank[i]);
}

/* -- identity --------------------------------------------------------------- */

static void test_identity(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    static const gid_t groups[] = { 12345, NOBODY, 54321 };
    struct spawn_identity id = { .uid = NOBODY, .gid = 4242, .groups = groups, .n_groups = ELEMENTS(groups) };
    struct spawn_plan plan = plan_inherits();
    plan.identity = &id;
    const char *text = run_inherits(&plan);
    assert_lines(text, "Uid ", "Uid 65534 65534 65534 65534\n");
    assert_lines(text, "Gid ", "Gid 4242 4242 4242 4242\n");
    assert_lines(text, "Groups", "Groups 12345 54321 65534\n");
    assert_lines(text, "CapEff", "CapEff 0000000000000000\n");
    id.n_groups = 0; /* root's own groups do not stay either */
    text = run_inherits(&plan);
    assert_lines(text, "Groups", "Groups\n");
    id = (struct spawn_identity){ .uid = 0, .gid = 0 };
    assert_lines(run_inherits(&plan), "Uid ", "Uid 0 0 0 0\n");
}

static void test_nobody_stays_root_by_accident(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    /* -1 means "leave as it is" to the kernel */
    struct spawn_identity id = { .uid = (uid_t)-1, .gid = NOBODY };
    struct spawn_plan plan = plan_inherits();
    plan.identity = &id;
    assert_fails(&plan, SPAWN_STAGE_VERIFY, EPERM);
    id = (struct spawn_identity){ .uid = NOBODY, .gid = (gid_t)-1 };
    assert_fails(&plan, SPAWN_STAGE_VERIFY, EPERM);
}

/* The kernel's own word on how many descriptors fit into the table as it is. */
static long table_size(void)
{
    char line[128];
    long size = -1;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (size < 0 && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "FDSize: %ld", &size) != 1)
            size = -1;
    fclose(f);
    return size;
}

static void test_table_is_made_for_what_is_expected(void **state)
{
    (void)state;
    spawn_expect_fds(700); /* any limit of open files that is usual has room for a thousand */
    assert_true(table_size() >= 700);
    long size = table_size();
    spawn_expect_fds(10);
    assert_int_equal(table_size(), size);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_are_exact),
        cmocka_unit_test(test_argv_and_environment),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_own_mask_comes_back),
        cmocka_unit_test(test_directory_and_umask),
        cmocka_unit_test(test_process_group),
        cmocka_unit_test(test_signal_at_once),
        cmocka_unit_test(test_nofile_is_restored),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_steps_that_fail),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_chosen_permutations),
        cmocka_unit_test(test_random_permutations),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_nobody_stays_root_by_accident),
        cmocka_unit_test(test_table_is_made_for_what_is_expected),
    };
    return cmocka_run_group_tests(tests, spawn_setup, spawn_teardown);
}
