/* The descriptor store of the service manager, which is played here. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/store.h"

static struct guardian g;
static int manager = -1;

static int set_up(void **state)
{
    (void)state;
    char address[64];
    memset(&g, 0, sizeof(g));
    g.manager = SDNOTIFY_INIT;
    snprintf(address, sizeof(address), "@drover-store-%d", getpid());
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    memcpy(a.sun_path + 1, address + 1, strlen(address) - 1);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(manager, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))) < 0)
        return -1;
    setenv("NOTIFY_SOCKET", address, 1);
    return sdnotify_open(&g.manager);
}

static int tear_down(void **state)
{
    (void)state;
    sdnotify_close(&g.manager);
    cleanup_close(&manager);
    unsetenv("LISTEN_FDS"), unsetenv("LISTEN_PID"), unsetenv("LISTEN_FDNAMES"), unsetenv("FDSTORE");
    return 0;
}

/* The next message, and whether a descriptor came with it. */
static void told(const char *text, bool with_descriptor)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char got[256];
    struct msghdr m = { .msg_iov = &(struct iovec){ got, sizeof(got) - 1 },
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(manager, &m, MSG_CMSG_CLOEXEC);
    if (text == NULL) {
        assert_int_equal(n, -1);
        return;
    }
    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    assert_int_equal(c != NULL, with_descriptor);
    if (c != NULL)
        close(*(int *)(void *)CMSG_DATA(c));
}

static void test_not_used_unless_it_is_there(void **state)
{
    (void)state;
    static const char *const texts[] = { NULL, "0", "", "x", "-1", "12x", "99999999999999999999" };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        if (texts[i] != NULL)
            setenv("FDSTORE", texts[i], 1);
        store_open(&g);
        assert_int_equal(g.store_max, 0);
        assert_null(getenv("FDSTORE"));
    }
    store_put(&g, roll_name("a"), 0);
    store_drop(&g, roll_name("a"));
    told(NULL, false);
    setenv("FDSTORE", "4000", 1);
    store_open(&g);
    assert_int_equal(g.store_max, STORE_MAX);
}

static void test_put_and_drop(void **state)
{
    (void)state;
    setenv("FDSTORE", "2", 1);
    store_open(&g);
    store_put(&g, roll_name("eightchr"), 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+eightchr\n", true);
    store_put(&g, roll_name("b"), 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+b\n", true);
    store_put(&g, roll_name("c"), 0); /* no room: not stored, so not removed either */
    store_drop(&g, roll_name("c"));
    told(NULL, false);
    store_put(&g, roll_name("b"), 0);
    told("FDSTOREREMOVE=1\nFDNAME=+b\n", false);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+b\n", true);
    store_drop(&g, roll_name("eightchr"));
    told("FDSTOREREMOVE=1\nFDNAME=+eightchr\n", false);
    store_put(&g, roll_name("c"), 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+c\n", true);
    store_clear(&g);
    told("FDSTOREREMOVE=1\nFDNAME=+b\n", false);
    told("FDSTOREREMOVE=1\nFDNAME=+c\n", false);
    told(NULL, false);
    assert_int_equal(g.n_stored, 0);
}

/* In a child, since what is passed lies at fixed numbers; 0: as it should be. */
static int look_at_what_is_passed(void)
{
    char pid[16];
    for (int fd = 3; fd < 10; fd++)
        if (dup2(manager, fd) < 0)
            return 1;
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "6", 1);
    setenv("LISTEN_FDNAMES", "drover.socket:+o1:+morethaneight:+lock:+:+o1", 1);
    setenv("FDSTORE", "10", 1);
    store_open(&g);
    int o1 = roll_held(&g.roll, roll_name("o1")), lock = roll_held(&g.roll, roll_name("lock"));
    if (g.roll.n_held != 2 || g.n_stored != 2 || o1 < 256 || lock < 256)
        return 2;
    for (int fd = 3; fd < 10; fd++) /* theirs stays, ours has moved, and so has what cannot be ours */
        if ((fcntl(fd, F_GETFD) >= 0) != (fd == 3 || fd == 9))
            return fd + 10;
    return (fcntl(o1, F_GETFD) & FD_CLOEXEC) != 0 ? 0 : 3;
}

static void test_what_is_given_back(void **state)
{
    (void)state;
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(look_at_what_is_passed());
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    setenv("LISTEN_PID", "1", 1); /* meant for somebody else */
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "+a:+b:+c", 1);
    store_open(&g);
    assert_int_equal(g.roll.n_held, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_not_used_unless_it_is_there),
        TEST(test_put_and_drop),
        TEST(test_what_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
