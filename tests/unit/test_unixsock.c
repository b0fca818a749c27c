/* test_unixsock.c - sockets: what is replaced and what is not, modes, TCP, peers. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "os/unixsock.h"

static char dir[64];
static const struct unixsock_options own = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };

static const char *in_dir(const char *name)
{
    static char path[100]; /* fits into an address */
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/drover-unixsock.XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir); /* fails when anything was left behind */
}

static int connect_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static void test_mode_and_flags(void **state)
{
    (void)state;
    struct unixsock_options o = { .mode = 0660, .uid = geteuid(), .gid = getegid() };
    struct unixsock_id id;
    struct stat st;
    int fd = -1;
    const char *path = in_dir("s");
    assert_int_equal(unixsock_listen(path, &o, &fd, &id), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_true(S_ISSOCK(st.st_mode));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    int client = connect_unix(path);
    assert_true(client >= 0);
    int served = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    struct unixsock_peer peer = unixsock_peer(served);
    assert_true(peer.known);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    char text[64], expected[64];
    unixsock_peer_text(served, &peer, text, sizeof(text));
    snprintf(expected, sizeof(expected), "uid %ld pid %ld", (long)geteuid(), (long)getpid());
    assert_string_equal(text, expected);
    assert_false(unixsock_is_gone(served));
    shutdown(client, SHUT_WR);
    assert_false(unixsock_is_gone(served));
    close(client);
    assert_true(unixsock_is_gone(served));
    close(served);
    close(fd);
    unixsock_unlink(path, &id);
}

static void test_live_is_refused_and_stale_replaced(void **state)
{
    (void)state;
    struct unixsock_id first, second;
    int fd = -1, again = -1;
    const char *path = in_dir("s");
    assert_int_equal(unixsock_listen(path, &own, &fd, &first), 0);
    assert_int_equal(unixsock_listen(path, &own, &again, &second), -EADDRINUSE);
    assert_int_equal(again, -1);
    close(fd); /* stale now */
    assert_int_equal(unixsock_listen(path, &own, &again, &second), 0);
    unixsock_unlink(path, &first); /* no longer its own */
    int client = connect_unix(path);
    assert_true(client >= 0);
    close(client);
    close(again);
    unixsock_unlink(path, &second);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_full_backlog_is_alive(void **state)
{
    (void)state;
    struct unixsock_id id;
    int fd = -1, n = 0, clients[256];
    const char *path = in_dir("s");
    assert_int_equal(unixsock_listen(path, &own, &fd, &id), 0);
    listen(fd, 1);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    do
        clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (connect(clients[n++], (const struct sockaddr *)&a, sizeof(a)) == 0 && n < 256);
    int again = -1;
    struct unixsock_id other;
    assert_int_equal(unixsock_listen(path, &own, &again, &other), -EADDRINUSE);
    while (n > 0)
        close(clients[--n]);
    close(fd);
    unixsock_unlink(path, &id);
}

static void test_other_files_are_left_alone(void **state)
{
    (void)state;
    struct unixsock_id id;
    int fd = -1;
    const char *path = in_dir("f");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(unixsock_listen(path, &own, &fd, &id), -ENOTSOCK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    id = (struct unixsock_id){ .dev = st.st_dev, .ino = st.st_ino };
    unixsock_unlink(path, &id);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    assert_int_equal(symlink("nowhere", path), 0);
    assert_int_equal(unixsock_listen(path, &own, &fd, &id), -ENOTSOCK);
    unlink(path);
    int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_int_equal(bind(datagram, (const struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(unixsock_listen(path, &own, &fd, &id), -EADDRINUSE);
    close(datagram);
    unlink(path);
}

static void test_bad_paths(void **state)
{
    (void)state;
    struct unixsock_id id;
    int fd = -1;
    char path[256];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(unixsock_listen(path, &own, &fd, &id), -ENAMETOOLONG);
    assert_int_equal(unixsock_listen("", &own, &fd, &id), -EINVAL);
    assert_int_equal(unixsock_listen(in_dir("no/such"), &own, &fd, &id), -ENOENT);
    assert_int_equal(fd, -1);
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    getsockname(fd, (struct sockaddr *)&a, &len);
    return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&a)->sin6_port)
                                   : ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static void test_tcp(void **state)
{
    (void)state;
    static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]", "::1" };
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        int fd = -1, again = -1;
        int r = unixsock_listen_tcp(hosts[i], 0, &fd);
        if (i >= 2 && (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT))
            continue; /* this machine has no IPv6 */
        assert_int_equal(r, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(unixsock_listen_tcp(hosts[i], port_of(fd), &again), -EADDRINUSE);
        assert_true(unixsock_is_loopback(fd));
        assert_false(unixsock_peer(fd).known);
        close(fd);
    }
    int fd = -1;
    assert_int_equal(unixsock_listen_tcp("127.0.0.1", 65536, &fd), -EINVAL);
    assert_int_equal(unixsock_listen_tcp("256.1.1.1.invalid", 0, &fd) < 0, 1);
    assert_int_equal(fd, -1);
}

static void test_tcp_peer(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(unixsock_listen_tcp("127.0.0.1", 0, &fd), 0);
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    getsockname(fd, (struct sockaddr *)&a, &len);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&a, len), 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    poll(&p, 1, 1000);
    int served = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    char text[64], expected[64];
    struct unixsock_peer peer = unixsock_peer(served);
    assert_false(peer.known);
    unixsock_peer_text(served, &peer, text, sizeof(text));
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", port_of(client));
    assert_string_equal(text, expected);
    close(served);
    close(client);
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mode_and_flags),
        TEST(test_live_is_refused_and_stale_replaced),
        TEST(test_full_backlog_is_alive),
        TEST(test_other_files_are_left_alone),
        TEST(test_bad_paths),
        TEST(test_tcp),
        TEST(test_tcp_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
