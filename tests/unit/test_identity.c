/* test_identity.c - one process is not taken for another that has its pid. */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/identity.h"
#include "os/pidfd.h"

static void wait_for_end(void)
{
    alarm(60);
    for (;;)
        pause();
}

static pid_t waiting_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        wait_for_end();
    assert_true(pid > 0);
    return pid;
}

/* With a pid of our choice; -1 where that is not allowed. */
static pid_t child_with_pid(pid_t pid)
{
    struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
    long got = syscall(SYS_clone3, &args, sizeof(args));
    if (got == 0)
        wait_for_end();
    return (pid_t)got;
}

static void end(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static struct identity known(pid_t pid)
{
    struct identity id;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(fd >= 0);
    assert_int_equal(identity_of(pid, fd, &id), 0);
    assert_int_equal(id.pid, pid);
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
    assert_in_range(id.start / (uint64_t)sysconf(_SC_CLK_TCK), now.tv_sec - 60, now.tv_sec);
    return id;
}

static bool is_there(struct identity id)
{
    _cleanup_close_ int fd = identity_open(&id);
    if (fd < 0)
        assert_int_equal(fd, -ESRCH);
    return fd >= 0;
}

static void test_the_same_one(void **state)
{
    (void)state;
    pid_t pid = waiting_child();
    struct identity id = known(pid);
    _cleanup_close_ int fd = identity_open(&id);
    assert_true(fd >= 0);
    assert_int_equal(pidfd_signal(fd, SIGKILL), 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_true(is_there(id)); /* dead, but not reaped: its status is still to be had */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(is_there(id));
    assert_int_equal(identity_of(pid, fd, &id), -ESRCH);
}

static void test_another_with_its_pid(void **state)
{
    (void)state;
    pid_t pid = waiting_child();
    struct identity id = known(pid), forged = id;
    forged.inode = id.inode != 0 ? id.inode + 1 : 0;
    forged.start += id.inode == 0;
    assert_false(is_there(forged));
    forged = id;
    forged.inode = 0; /* as of an older kernel */
    assert_true(is_there(forged));
    forged.start--;
    assert_false(is_there(forged));
    end(pid);
    if (child_with_pid(pid) == pid) {
        assert_int_equal(known(pid).pid, pid);
        assert_false(is_there(id));
        end(pid);
    } else {
        print_message("a pid of our choice is not allowed here: only forged identities were tried\n");
    }
}

static void test_nothing_known(void **state)
{
    (void)state;
    assert_false(is_there((struct identity){ .pid = 0 }));
    assert_false(is_there((struct identity){ .pid = -1, .start = 1 }));
    assert_false(is_there((struct identity){ .pid = getpid() }));
}

static void test_a_young_one(void **state)
{
    (void)state;
    struct identity id = { .inode = 7 };
    uint64_t before = identity_clock(), ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    pid_t pid = waiting_child();
    struct identity it = known(pid);
    assert_int_equal(identity_of_young(pid, it.start + 1, 1000000, &id), -ESRCH);
    assert_int_equal(identity_of_young(pid, it.start - 2 * ticks, 1000000, &id), -ESRCH);
    assert_int_equal(id.inode, 7);
    assert_in_range(it.start, before, identity_clock());
    assert_int_equal(identity_of_young(pid, before, 60000000, &id), 0);
    assert_memory_equal(&id, &it, sizeof(id));
    assert_true(is_there(id));
    end(pid);
    assert_int_equal(identity_of_young(pid, before, 60000000, &id), -ESRCH);
}

static void test_era(void **state)
{
    (void)state;
    struct identity_era a, b;
    assert_int_equal(identity_era(&a), 0);
    assert_int_equal(identity_era(&b), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(a.pid_namespace != 0);
    uint8_t none[16] = { 0 };
    assert_memory_not_equal(a.boot, none, sizeof(none));
}

int main(void)
{
    prctl(PR_SET_NAME, "x) R 1 2 (", 0, 0, 0); /* a process's own choice, and its children's */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_one),  cmocka_unit_test(test_another_with_its_pid),
        cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_a_young_one),
        cmocka_unit_test(test_era),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
