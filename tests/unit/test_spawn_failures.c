/* test_spawn_failures.c - children that cannot be made: which stage says so, with which
 * errno, and that nothing is left behind. */
#include "cmocka_all.h"

#include "spawn_asserts.h"

#define NOBODY 65534

/* -- what fails, where ------------------------------------------------------ */

static void test_stages(void **state)
{
    (void)state;
    struct spawn_plan plan = plan_inherits();
    plan.restore_nofile = true;
    plan.nofile_soft = 2;
    plan.nofile_hard = 1;
    assert_fails(&plan, SPAWN_STAGE_LIMITS, EINVAL);
    plan = plan_inherits();
    plan.fds[2] = 199;
    assert_fails(&plan, SPAWN_STAGE_DESCRIPTORS, EBADF);
    plan = plan_inherits();
    plan.directory = "/no/such";
    assert_fails(&plan, SPAWN_STAGE_DIRECTORY, ENOENT);
    plan.directory = "/dev/null";
    assert_fails(&plan, SPAWN_STAGE_DIRECTORY, ENOTDIR);
}

static void test_exec_fails(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        mode_t mode;
        int error;
    } cases[] = {
        { NULL, 0, ENOENT },
        { "#!/no/such/interpreter\n", 0755, ENOENT },
        { "#!/bin/sh\r\n", 0755, ENOENT },
        { "#!/bin/sh\n", 0644, EACCES },
        { "echo\n", 0755, ENOEXEC },
        { "", 0755, ENOEXEC },
        { "\177ELF no program", 0755, ENOEXEC },
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        if (cases[i].content != NULL)
            make_file("program", cases[i].content, cases[i].mode);
        struct spawn_plan plan = plan_of("program", WORDS("program"));
        assert_fails(&plan, SPAWN_STAGE_EXEC, cases[i].error);
        unlink("program");
    }
    struct spawn_plan plan = plan_of("/bin", WORDS("bin"));
    assert_fails(&plan, SPAWN_STAGE_EXEC, EACCES);
    char *big = calloc(1, 1 << 18);
    assert_non_null(big);
    memset(big, 'x', (1 << 18) - 1); /* one argument may have 128 KiB */
    plan = plan_of("/bin/true", WORDS("true", big));
    assert_fails(&plan, SPAWN_STAGE_EXEC, E2BIG);
    free(big);
}

static void test_stages_of_identity(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct spawn_identity id = { .uid = NOBODY, .gid = NOBODY, .n_groups = 70000 };
    gid_t *groups = calloc(id.n_groups, sizeof(*groups));
    id.groups = groups;
    struct spawn_plan plan = plan_inherits();
    plan.identity = &id;
    assert_fails(&plan, SPAWN_STAGE_GROUPS, EINVAL);
    free(groups);
    id.n_groups = 0;
    assert_int_equal(mkdir("private", 0700), 0);
    plan.directory = "private"; /* entered as the new user, not as root */
    assert_fails(&plan, SPAWN_STAGE_DIRECTORY, EACCES);
    rmdir("private");
}

/* The rest runs in a child of ours that is nobody; its exit status is the number of
 * the line that failed, 0 for none. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__;                                                                                           \
    } while (0)

static bool fails_at(struct spawn_plan *plan, enum spawn_stage stage, int error)
{
    struct spawned child;
    if (spawn(plan, &child) < 0)
        return false;
    struct end end = end_of(&child);
    return end.report.stage == stage && end.report.error == error;
}

static int as_ordinary_user(void)
{
    struct spawn_identity id = { .uid = getuid(), .gid = getgid() };
    struct spawn_plan plan = plan_of("/bin/true", WORDS("true"));
    plan.identity = &id;
    CHECK(fails_at(&plan, SPAWN_STAGE_NONE, 0)); /* its own user is no change */
    id.gid = 0;
    CHECK(fails_at(&plan, SPAWN_STAGE_GID, EPERM));
    id = (struct spawn_identity){ .uid = 0, .gid = getgid() };
    CHECK(fails_at(&plan, SPAWN_STAGE_UID, EPERM));
    return 0;
}

static int without_processes(void)
{
    struct spawn_plan plan = plan_of("/bin/true", WORDS("true"));
    struct spawned child;
    struct rlimit none = { 0, 0 };
    int fds = count_fds();
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    CHECK(spawn(&plan, &child) == -EAGAIN);
    CHECK(spawn_error_is_shortage(EAGAIN));
    CHECK(count_fds() == fds);
    return 0;
}

static int without_descriptors(void)
{
    struct spawn_plan plan = plan_of("/bin/true", WORDS("true"));
    struct spawned child;
    int next = dup(0);
    close(next);
    int fds = count_fds(), r = -EMFILE, failed = 0;
    for (rlim_t room = 0; r < 0; room++, failed++) { /* a pipe needs two, a pidfd one */
        struct rlimit l = { (rlim_t)next + room, (rlim_t)next + 400 };
        CHECK(setrlimit(RLIMIT_NOFILE, &l) == 0);
        r = spawn(&plan, &child);
        l.rlim_cur = l.rlim_max;
        CHECK(setrlimit(RLIMIT_NOFILE, &l) == 0);
        CHECK(r == 0 || r == -EMFILE);
        CHECK(r < 0 || end_of(&child).status == 0);
        CHECK(count_fds() == fds);
    }
    CHECK(failed > 3);
    return 0;
}

static void assert_as_nobody(int (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
            _exit(1);
        int line = fn();
        if (line != 0)
            fprintf(stderr, "line %d failed\n", line);
        _exit(line != 0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_ordinary_user(void **state)
{
    (void)state;
    assert_as_nobody(as_ordinary_user);
}

static void test_shortages(void **state)
{
    (void)state;
    assert_as_nobody(without_processes);
    assert_as_nobody(without_descriptors);
    static const int others[] = { 0, ENOENT, EPERM, EACCES, EINVAL };
    for (size_t i = 0; i < ELEMENTS(others); i++)
        assert_false(spawn_error_is_shortage(others[i]));
}

/* A descriptor that could not be made is passed through, with the reason. */
static void test_no_descriptor_to_raise(void **state)
{
    (void)state;
    errno = EMFILE;
    assert_int_equal(spawn_raise_fd(-1), -1);
    assert_int_equal(errno, EMFILE);
}

static void test_nothing_leaks(void **state)
{
    (void)state;
    int before = count_fds();
    for (int i = 0; i < 200; i++) {
        struct spawn_plan plan = plan_of(i % 2 ? "/bin/true" : "/no/such", WORDS("true"));
        struct spawned child;
        assert_int_equal(spawn(&plan, &child), 0);
        end_of(&child);
    }
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        /* first, since spawn() takes the heap away from whatever is forked after it */
        cmocka_unit_test(test_ordinary_user),
        cmocka_unit_test(test_shortages),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_exec_fails),
        cmocka_unit_test(test_stages_of_identity),
        cmocka_unit_test(test_no_descriptor_to_raise),
        cmocka_unit_test(test_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, spawn_setup, spawn_teardown);
}
