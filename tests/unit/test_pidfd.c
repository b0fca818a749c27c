/* test_pidfd.c - children held by a descriptor: signalled and reaped, each once. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "os/pidfd.h"

struct held {
    pid_t pid;
    int fd;
};

/* A child in a group of its own that ends as `fn` says. */
static struct held child_of(void (*fn)(int), int arg)
{
    struct held h = { .pid = fork() };
    if (h.pid == 0) {
        setpgid(0, 0);
        fn(arg);
        _exit(99);
    }
    assert_true(h.pid > 0);
    setpgid(h.pid, h.pid);
    h.fd = (int)syscall(SYS_pidfd_open, h.pid, 0);
    assert_true(h.fd >= 0);
    return h;
}

static void exits(int status)
{
    _exit(status);
}

static void waits(int unused)
{
    (void)unused;
    alarm(60);
    for (;;)
        pause();
}

static int status_of(struct held h)
{
    struct pollfd p = { .fd = h.fd, .events = POLLIN };
    int status = -1;
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(pidfd_reap(h.fd, &status, NULL), 1);
    return status;
}

static void test_exit_statuses(void **state)
{
    (void)state;
    static const int all[] = { 0, 1, 2, 127, 128, 255 };
    for (size_t i = 0; i < ELEMENTS(all); i++) {
        struct held h = child_of(exits, all[i]);
        int status = status_of(h);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), all[i]);
        close(h.fd);
    }
}

static void test_signals(void **state)
{
    (void)state;
    static const int all[] = { SIGTERM, SIGKILL, SIGHUP, SIGUSR1, 40 };
    for (size_t i = 0; i < ELEMENTS(all); i++) {
        struct held h = child_of(waits, 0);
        int status = -1;
        assert_int_equal(pidfd_reap(h.fd, &status, NULL), 0); /* it lives */
        assert_int_equal(status, -1);
        assert_int_equal(pidfd_signal(h.fd, all[i]), 0);
        status = status_of(h);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), all[i]);
        close(h.fd);
    }
}

static void test_reaped_once(void **state)
{
    (void)state;
    struct held h = child_of(exits, 3);
    int status = -1;
    status_of(h);
    assert_int_equal(pidfd_reap(h.fd, &status, NULL), -ECHILD);
    assert_int_equal(pidfd_signal(h.fd, SIGTERM), -ESRCH); /* and never somebody else with that number */
    assert_int_equal(status, -1);
    close(h.fd);
    assert_int_equal(pidfd_signal(-1, SIGTERM), -EBADF);
    assert_int_equal(pidfd_reap(-1, &status, NULL), -EINVAL);
}

static void burns(int unused)
{
    (void)unused;
    struct rusage u = { .ru_utime = { 0, 0 } };
    while (u.ru_utime.tv_sec == 0 && u.ru_utime.tv_usec < 30000)
        getrusage(RUSAGE_SELF, &u);
    _exit(0);
}

static void test_usage(void **state)
{
    (void)state;
    struct held h = child_of(burns, 0);
    struct pollfd p = { .fd = h.fd, .events = POLLIN };
    struct rusage usage = { .ru_maxrss = 0 };
    int status = -1;
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(pidfd_reap(h.fd, &status, &usage), 1);
    assert_true(usage.ru_utime.tv_sec > 0 || usage.ru_utime.tv_usec >= 30000);
    assert_true(usage.ru_maxrss > 0);
    close(h.fd);
}

static void has_a_child(int tell)
{
    if (fork() == 0) {
        alarm(60); /* whatever becomes of the test */
        for (;;)
            pause();
    }
    if (write(tell, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void test_group(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct held h = child_of(has_a_child, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(pidfd_signal_group(h.pid, SIGTERM), 0);
    assert_int_equal(WTERMSIG(status_of(h)), SIGTERM);
    struct pollfd p = { .fd = ends[0], .events = POLLIN };
    assert_int_equal(poll(&p, 1, 20000), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the grandchild, which held the pipe, is gone, too */
    close(ends[0]);
    close(h.fd);
}

static void test_never_ourselves(void **state)
{
    (void)state;
    /* to kill(2), 0 is our own group, -1 everybody; signal 0 only asks */
    assert_true(pidfd_signal_group(0, 0) < 0);
    assert_true(pidfd_signal_group(1, 0) < 0);
    assert_true(pidfd_signal_group(-getpgrp(), 0) < 0);
}

static void test_not_permitted(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct held root = child_of(waits, 0);
    pid_t nobody = fork();
    if (nobody == 0)
        _exit(setresuid(65534, 65534, 65534) < 0 || pidfd_signal(root.fd, SIGTERM) != -EPERM);
    int status = -1;
    assert_int_equal(waitpid(nobody, &status, 0), nobody);
    assert_int_equal(status, 0);
    assert_int_equal(pidfd_signal(root.fd, SIGKILL), 0);
    status_of(root);
    close(root.fd);
}

int main(void)
{
    signal(SIGHUP, SIG_DFL); /* children inherit what nohup(1) has had us ignore */
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_statuses), cmocka_unit_test(test_signals), cmocka_unit_test(test_reaped_once),
        cmocka_unit_test(test_usage),         cmocka_unit_test(test_group),   cmocka_unit_test(test_never_ourselves),
        cmocka_unit_test(test_not_permitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
