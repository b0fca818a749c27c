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
#include "scratch.h"

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

/* As mail.c has it: the roll knows first. */
static void put(const char *name, int fd)
{
    int before;
    assert_int_equal(roll_hold(&g.roll, roll_name(name), fd, &before), 0);
    store_put(&g, roll_name(name));
}

static void drop(const char *name)
{
    roll_drop(&g.roll, roll_name(name));
    store_drop(&g, roll_name(name));
}

/* How many of somebody else's it takes until it takes none. */
static int fill(void)
{
    int n = 0;
    while (sdnotify_send(&g.manager, &(struct buf){ .data = (char[]){ 'x' }, .len = 1 }) == 0)
        n++;
    return n;
}

static void empty(int n)
{
    char x[16];
    while (n-- > 0)
        assert_int_equal(recv(manager, x, sizeof(x), 0), 1);
}

static void test_not_used_unless_it_is_there(void **state)
{
    (void)state;
    static const char *const texts[] = { NULL, "0", "", "x", "-1", "12x", "99999999999999999999" };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        if (texts[i] != NULL)
            setenv("FDSTORE", texts[i], 1);
        store_open(&g);
        assert_int_equal(g.store.max, 0);
        assert_null(getenv("FDSTORE"));
    }
    put("a", 0);
    drop("a");
    told(NULL, false);
    setenv("FDSTORE", "4000", 1);
    store_open(&g);
    assert_int_equal(g.store.max, STORE_MAX);
}

static void test_put_and_drop(void **state)
{
    (void)state;
    setenv("FDSTORE", "2", 1);
    store_open(&g);
    put("eightchr", 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+eightchr\n", true);
    put("b", 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+b\n", true);
    put("c", 0); /* no room: not stored, so not removed either */
    drop("c");
    told(NULL, false);
    put("b", 0);
    told("FDSTOREREMOVE=1\nFDNAME=+b\n", false);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+b\n", true);
    drop("eightchr");
    told("FDSTOREREMOVE=1\nFDNAME=+eightchr\n", false);
    put("c", 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+c\n", true);
    store_clear(&g);
    told("FDSTOREREMOVE=1\nFDNAME=+c\n", false);
    told("FDSTOREREMOVE=1\nFDNAME=+b\n", false);
    told(NULL, false);
    assert_int_equal(g.store.n, 0);
}

/* What a socket without room refuses is told when it has some, and then as it is by then. */
static void test_what_is_owed(void **state)
{
    (void)state;
    setenv("FDSTORE", "4", 1);
    store_open(&g);
    put("stays", 0), put("goes", 0), put("changes", 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+stays\n", true);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+goes\n", true);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+changes\n", true);
    int descriptors = count_fds(), n = fill();
    drop("goes");
    put("changes", 1);
    put("new", 0);
    put("passing", 0), drop("passing");
    put("back", 0), drop("back"), put("back", 0); /* four are wanted, and one is still there that is not */
    put("fifth", 0);
    put("fleeting", 0), drop("fleeting"), put("changes", 0);
    assert_int_equal(count_fds(), descriptors);
    assert_true(store_is_whole(&g.store));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(g.store.n_owed, 4);
        assert_true(g.owe_at > 0);
        store_tell(&g);
    }
    empty(n);
    told(NULL, false);
    store_tell(&g);
    assert_int_equal(g.store.n_owed, 0);
    told("FDSTOREREMOVE=1\nFDNAME=+changes\n", false); /* before there is anything to add */
    told("FDSTOREREMOVE=1\nFDNAME=+goes\n", false);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+new\n", true);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+changes\n", true);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+back\n", true);
    told(NULL, false);
    assert_int_equal(count_fds(), descriptors);
    put("changes", 1); /* and from then on at once */
    told("FDSTOREREMOVE=1\nFDNAME=+changes\n", false);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+changes\n", true);
}

/* A manager that never listens costs what it is told, and no more. */
static void test_owed_for_ever(void **state)
{
    (void)state;
    setenv("FDSTORE", "512", 1);
    store_open(&g);
    int descriptors = count_fds(), n = fill();
    for (unsigned i = 0; i < 20000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i % 3000);
        (i % 7 == 0 ? drop(name) : put(name, 0));
        assert_true(g.store.n <= STORE_MAX);
    }
    assert_true(store_is_whole(&g.store));
    assert_int_equal(g.store.n_owed, STORE_MAX);
    assert_int_equal(count_fds(), descriptors);
    empty(n);
    while (g.store.n_owed > 0) {
        store_tell(&g);
        while (recv(manager, (char[256]){ 0 }, 256, 0) > 0)
            continue;
    }
    assert_int_equal(g.store.n, STORE_MAX);
    fill();
    for (unsigned i = 0; i < 3000; i++) { /* all there go, and as many others come */
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        drop(name);
        snprintf(name, sizeof(name), "m%u", i);
        put(name, 0);
        assert_true(g.store.n <= 2 * STORE_MAX);
    }
    assert_int_equal(g.store.n, 2 * STORE_MAX);
    assert_int_equal(g.store.n_owed, 2 * STORE_MAX);
}

/* The end is told, too, and waits for that; in a child, which has an end. */
static void test_the_end_is_told(void **state)
{
    (void)state;
    int status = -1;
    setenv("FDSTORE", "10", 1);
    store_open(&g);
    put("ending", 0);
    told("FDSTORE=1\nFDPOLL=0\nFDNAME=+ending\n", true);
    int n = fill();
    pid_t pid = fork();
    if (pid == 0) {
        store_clear(&g);
        for (int tries = 0; g.store.n > 0 && tries < 10; tries++) /* its parent may be kept from running for a while */
            mail_finish(&g);
        _exit((int)g.store.n);
    }
    fcntl(manager, F_SETFL, 0);
    setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 20 }, sizeof(struct timeval));
    empty(n);
    told("FDSTOREREMOVE=1\nFDNAME=+ending\n", false);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    n = fill();
    store_clear(&g);
    mail_finish(&g); /* nobody listens: it ends all the same */
    assert_int_equal(g.store.n_owed, 1);
    empty(n);
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
    if (g.roll.n_held != 2 || g.store.n != 2 || o1 < 256 || lock < 256)
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
        TEST(test_what_is_owed),
        TEST(test_owed_for_ever),
        TEST(test_the_end_is_told),
        TEST(test_what_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
