/* test_lockfile.c - one holder at a time, however the last one went; and the pidfile. */
#include "cmocka_all.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "os/lockfile.h"
#include "scratch.h"

static void assert_pid_in(const char *name, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof(text), "%d\n", pid);
    assert_content(name, text);
}

static void test_take_and_release(void **state)
{
    (void)state;
    int fd = -1, second = -1;
    pid_t holder = 77;
    assert_int_equal(lockfile_take("lock", &fd, &holder), 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); /* or a job would hold it */
    assert_pid_in("lock", getpid());
    int fds = count_fds();
    assert_int_equal(lockfile_take("lock", &second, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, getpid());
    assert_int_equal(second, -1);
    assert_int_equal(count_fds(), fds);
    lockfile_update(fd, 7);
    assert_pid_in("lock", 7);
    lockfile_release("lock", &fd);
    assert_int_equal(fd, -1);
    assert_null(content_of("lock"));
    lockfile_release("lock", &fd); /* of nothing */
    assert_int_equal(lockfile_take("lock", &fd, &holder), 0);
    lockfile_release("lock", &fd);
}

static void test_stale_file(void **state)
{
    (void)state;
    int fd = -1;
    pid_t holder;
    make_file("stale", "1\n and whatever else a crash may leave", 0600); /* a living pid, but no lock */
    assert_int_equal(lockfile_take("stale", &fd, &holder), 0);
    assert_pid_in("stale", getpid());
    lockfile_release("stale", &fd);
}

static void test_dies_with_its_holder(void **state)
{
    (void)state;
    int ends[2], fd = -1, status;
    pid_t holder;
    char byte = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        byte = lockfile_take("held", &fd, &holder) == 0 ? 'y' : 'n';
        if (write(ends[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(lockfile_take("held", &fd, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, pid);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(lockfile_take("held", &fd, &holder), 0);
    lockfile_release("held", &fd);
    close(ends[0]);
    close(ends[1]);
}

/* The old holder must not remove what is the new one's. */
static void test_replaced_file(void **state)
{
    (void)state;
    int old = -1, new = -1;
    pid_t holder;
    assert_int_equal(lockfile_take("replaced", &old, &holder), 0);
    assert_int_equal(unlink("replaced"), 0);
    assert_int_equal(lockfile_take("replaced", &new, &holder), 0);
    lockfile_release("replaced", &old);
    assert_pid_in("replaced", getpid());
    lockfile_release("replaced", &new);
}

static void test_unreadable_holder(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "x", "-5\n", "0\n", "99999999999999999999\n" };
    int fd = -1;
    make_file("odd", "", 0600);
    int held = open("odd", O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(held, LOCK_EX), 0);
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        pid_t holder = 77;
        assert_int_equal(ftruncate(held, 0), 0);
        assert_int_equal(pwrite(held, texts[i], strlen(texts[i]), 0), strlen(texts[i]));
        assert_int_equal(lockfile_take("odd", &fd, &holder), -EWOULDBLOCK);
        assert_int_equal(holder, 0);
    }
    close(held);
}

/* Whether the lock will be free in a moment, as far as anybody knows. */
static void test_owner(void **state)
{
    (void)state;
    int fd = -1;
    pid_t holder, pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(lockfile_take("owned", &fd, &holder), 0);
    assert_int_equal(lockfile_owner("owned", getpid()), LOCKFILE_RUNS);
    assert_int_equal(lockfile_owner("owned", 0), LOCKFILE_RUNS); /* nobody knows */
    assert_int_equal(lockfile_owner("none", getpid()), LOCKFILE_RUNS);
    lockfile_ending(fd, 1234567);
    assert_content("owned", "1234567\nending\n");
    lockfile_ending(fd, getpid());
    assert_int_equal(lockfile_owner("owned", getpid()), LOCKFILE_ENDS);
    assert_int_equal(lockfile_take("owned", &(int){ -1 }, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, getpid());
    lockfile_update(fd, getpid()); /* somebody has taken it over */
    assert_pid_in("owned", getpid());
    assert_int_equal(lockfile_owner("owned", getpid()), LOCKFILE_RUNS);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(lockfile_owner("owned", pid), LOCKFILE_DEAD); /* before anybody reaps it */
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(lockfile_owner("owned", pid), LOCKFILE_DEAD);
    lockfile_release("owned", &fd);
}

static void test_refused(void **state)
{
    (void)state;
    int fd = -1;
    pid_t holder;
    assert_int_equal(symlink("target", "link"), 0);
    assert_int_equal(lockfile_take("link", &fd, &holder), -ELOOP); /* somebody else's idea of a file */
    assert_null(content_of("target"));
    assert_int_equal(lockfile_take("no/such", &fd, &holder), -ENOENT);
    assert_int_equal(lockfile_take(".", &fd, &holder), -EISDIR);
    assert_int_equal(fd, -1);
}

/* Many at once: exactly one gets it, again and again. */
static void test_race(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        if (fork() != 0)
            continue;
        for (int round = 0; round < 200; round++) {
            int fd = -1;
            pid_t holder;
            if (lockfile_take("race", &fd, &holder) != 0)
                continue;
            int alone = open("inside", O_CREAT | O_EXCL | O_CLOEXEC, 0600);
            if (alone < 0)
                _exit(1); /* somebody else believes it, too */
            close(alone);
            unlink("inside");
            lockfile_release("race", &fd);
        }
        _exit(0);
    }
    for (int i = 0, status = -1; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
}

static void test_pidfile(void **state)
{
    (void)state;
    make_file("pid", "4294967295 and a long old text\n", 0644);
    assert_int_equal(pidfile_write("pid", 4711), 0);
    assert_content("pid", "4711\n");
    pidfile_remove("pid", 4712); /* another daemon's by now */
    assert_content("pid", "4711\n");
    pidfile_remove("pid", 4711);
    assert_null(content_of("pid"));
    pidfile_remove("pid", 4711);
    assert_int_equal(pidfile_write("no/such/pid", 1), -ENOENT);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    alarm(60);
    assert_int_equal(pidfile_write("fifo", 1), -ENXIO); /* and not a wait */
    pidfile_remove("fifo", 1);
    alarm(0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_release),
        cmocka_unit_test(test_stale_file),
        cmocka_unit_test(test_dies_with_its_holder),
        cmocka_unit_test(test_replaced_file),
        cmocka_unit_test(test_unreadable_holder),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_pidfile),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
