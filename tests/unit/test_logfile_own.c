/* test_logfile_own.c - logs that are the daemon's own descriptors: /dev/stdout,
 * /dev/stderr, /dev/fd/N as a pipe, a socket, a file, a terminal.  Whatever the
 * reader does, nobody is held up. */
#include "cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "os/logfile.h"
#include "scratch.h"

static struct logfile_table *table;

static int setup(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* as in the daemon */
    return scratch_enter(state) != 0 || logfile_table_new(&table) != 0;
}

static int teardown(void **state)
{
    logfile_table_free(table);
    return scratch_leave(state);
}

static struct logfile *opened_fd(int fd)
{
    char path[32];
    struct logfile *f = NULL;
    snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    assert_int_equal(logfile_open(table, path, 100, 3, &f), 0);
    assert_false(logfile_is_file(f));
    assert_int_equal(logfile_clear(f), -EINVAL);
    return f;
}

static size_t drain(int fd)
{
    char block[65536];
    size_t total = 0;
    ssize_t n;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (poll(&p, 1, 0) > 0 && (n = read(fd, block, sizeof(block))) > 0)
        total += (size_t)n;
    return total;
}

/* Fills what is behind `f`, reads it, fills again: no wait, no loss, and the flags
 * of the descriptor, which is shared with whoever started us, stay as they were. */
static void fill(struct logfile *f, int ours, int reader)
{
    int flags = fcntl(ours, F_GETFL);
    char block[10000];
    memset(block, 'x', sizeof(block));
    alarm(60); /* a wait would be for ever */
    for (int round = 0; round < 3; round++) {
        size_t total = 0, written;
        int r;
        while ((r = logfile_write(f, block, sizeof(block), &written)) == 0) {
            assert_int_equal(written, sizeof(block));
            total += written;
        }
        assert_int_equal(r, -EAGAIN);
        assert_true(written < sizeof(block));
        total += written;
        assert_int_equal(logfile_room(f), 0);
        assert_int_equal(drain(reader), total);
        assert_true(logfile_room(f) > 0);
    }
    alarm(0);
    assert_int_equal(fcntl(ours, F_GETFL), flags);
    assert_int_equal(logfile_rotations(f), 0);
}

static void test_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int fds = count_fds();
    struct logfile *f = opened_fd(ends[1]);
    fill(f, ends[1], ends[0]);
    close(ends[0]);
    size_t written;
    assert_int_equal(logfile_write(f, "x", 1, &written), -EPIPE);
    logfile_unref(f);
    assert_int_equal(count_fds(), fds - 1);
    close(ends[1]);
}

static void test_socket(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    struct logfile *f = opened_fd(ends[1]);
    fill(f, ends[1], ends[0]);
    close(ends[0]);
    size_t written;
    assert_int_equal(logfile_write(f, "x", 1, &written), -EPIPE);
    logfile_unref(f);
    close(ends[1]);
}

static void test_regular_file(void **state)
{
    (void)state;
    int fd = open("stdout.txt", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "ours ", 5), 5);
    struct logfile *f = opened_fd(fd);
    assert_int_equal(logfile_room(f), SIZE_MAX);
    char line[200];
    size_t written;
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(logfile_write(f, line, sizeof(line), &written), 0); /* max_bytes is not for it */
    assert_int_equal(logfile_write(f, "theirs ", 7, &written), 0);
    assert_int_equal(write(fd, "ours", 4), 4); /* one offset: neither overwrites the other */
    assert_int_equal(logfile_rotations(f), 0);
    struct stat st;
    assert_int_equal(stat("stdout.txt", &st), 0);
    assert_int_equal(st.st_size, 5 + 200 + 7 + 4);
    assert_int_equal(logfile_reopen_all(table), 0); /* and leaves it alone */
    logfile_unref(f);
    close(fd);
}

static void test_pseudo_terminal(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    struct logfile *f = opened_fd(slave);
    char block[4096];
    size_t written, total = 0;
    memset(block, 'x', sizeof(block));
    alarm(60);
    while (logfile_write(f, block, sizeof(block), &written) == 0 && total < 1 << 22)
        total += written;
    assert_true(total < 1 << 22); /* nobody reads: it says so */
    alarm(0);
    logfile_unref(f);
    close(slave);
    close(master);
}

/* A pipe that root made and an ordinary user inherits, as in a container: it may be
 * written, but not opened again. */
static int inherited_pipe(int reader, int writer, int fill_it)
{
    static char block[1 << 20];
    struct logfile *f = NULL;
    size_t written;
    char path[32];
    if (setresuid(65534, 65534, 65534) < 0)
        return 2;
    snprintf(path, sizeof(path), "/dev/fd/%d", writer);
    if (logfile_open(table, path, 0, 0, &f) != 0)
        return 3;
    alarm(60);
    if (logfile_write(f, "hello", 5, &written) != 0 || drain(reader) != 5)
        return 4;
    if (logfile_write(f, block, fill_it != 0 ? sizeof(block) : 100, &written) != (fill_it != 0 ? -EAGAIN : 0))
        return 5;
    if ((fcntl(writer, F_GETFL) & O_NONBLOCK) != 0)
        return 6;
    close(reader);
    if (poll(&(struct pollfd){ .fd = writer }, 1, -1) != 1) /* until our parent has closed it, too */
        return 8;
    return logfile_write(f, "x", 1, &written) == -EPIPE ? 0 : 7;
}

static void test_pipe_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    for (int fill_it = 0; fill_it < 2; fill_it++) {
        int ends[2], status = -1;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0)
            _exit(inherited_pipe(ends[0], ends[1], fill_it));
        close(ends[0]); /* or the reader would still be there */
        close(ends[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void test_names(void **state)
{
    (void)state;
    struct logfile *out, *err, *one;
    assert_int_equal(logfile_open(table, "/dev/stdout", 0, 0, &out), 0);
    assert_int_equal(logfile_open(table, "/dev/stderr", 0, 0, &err), 0);
    assert_int_equal(logfile_open(table, "/dev/fd/1", 0, 0, &one), 0);
    logfile_unref(out);
    logfile_unref(err);
    logfile_unref(one);
    struct logfile *f = NULL;
    assert_int_equal(logfile_open(table, "/dev/fd/199", 0, 0, &f), -EBADF);
    static const char *const odd[] = { "/dev/fd/", "/dev/fd/x", "/dev/fd/1x", "/dev/fd/-1",
                                       "/dev/fd/99999999999999999999" };
    for (size_t i = 0; i < ELEMENTS(odd); i++)
        assert_true(logfile_open(table, odd[i], 0, 0, &f) < 0);
    assert_null(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_socket),
        cmocka_unit_test(test_regular_file),
        cmocka_unit_test(test_pseudo_terminal),
        cmocka_unit_test(test_pipe_of_another_user),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
