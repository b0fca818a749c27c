/* test_notify.c - sd_notify: the text, the addresses, and a datagram that arrives. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>

#include "os/sdnotify.h"
#include "wire/notify.h"

static void test_text(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(4096);
    notify_reloading(&b, 12345);
    notify_ready(&b);
    notify_status(&b, "12 of 13\nrunning\033[1m");
    notify_stopping(&b);
    assert_string_equal(b.data, "RELOADING=1\nMONOTONIC_USEC=12345\nREADY=1\nSTATUS=12 of 13 running [1m\n"
                                "STOPPING=1\n");
}

static void test_addresses(void **state)
{
    (void)state;
    struct sockaddr_un a;
    socklen_t len = 0;
    char text[200];
    assert_int_equal(notify_address("/run/systemd/notify", &a, &len), 0);
    assert_string_equal(a.sun_path, "/run/systemd/notify");
    assert_int_equal(notify_address("@abc", &a, &len), 0);
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 4);
    assert_memory_equal(a.sun_path, "\0abc", 4);
    assert_int_equal(notify_address("", &a, &len), -EINVAL);
    assert_int_equal(notify_address("@", &a, &len), -EINVAL);
    assert_int_equal(notify_address("relative", &a, &len), -EINVAL);
    assert_int_equal(notify_address("vsock:2:1", &a, &len), -EINVAL);
    memset(text, 'x', sizeof(text));
    text[0] = '@';
    text[108] = '\0';
    assert_int_equal(notify_address(text, &a, &len), 0);
    text[0] = '/';
    assert_int_equal(notify_address(text, &a, &len), -ENAMETOOLONG);
    text[107] = '\0';
    assert_int_equal(notify_address(text, &a, &len), 0);
}

static int manager(const struct sockaddr_un *a, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)a, len), 0);
    return fd;
}

static void open_with(struct sdnotify *n, const char *value)
{
    setenv("NOTIFY_SOCKET", value, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    unsetenv("WATCHDOG_PID");
    assert_int_equal(sdnotify_open(n), 0);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
}

static void test_datagram_arrives(void **state)
{
    (void)state;
    char name[64], text[64] = "";
    struct sockaddr_un a;
    socklen_t len;
    snprintf(name, sizeof(name), "@drover-test-%ld", (long)getpid());
    assert_int_equal(notify_address(name, &a, &len), 0);
    int fd = manager(&a, len);
    struct sdnotify n = SDNOTIFY_INIT;
    open_with(&n, name);
    assert_int_equal(n.watchdog, 3000000);
    assert_true(fcntl(n.fd, F_GETFD) & FD_CLOEXEC);
    struct buf b = BUF_INIT(64);
    notify_ready(&b);
    assert_int_equal(sdnotify_send(&n, &b), 0);
    assert_int_equal(recv(fd, text, sizeof(text), 0), 8);
    assert_string_equal(text, "READY=1\n");
    /* one that does not read costs an error, not time */
    int r = 0;
    for (int i = 0; i < 100000 && r == 0; i++)
        r = sdnotify_send(&n, &b);
    assert_int_equal(r, -EAGAIN);
    close(fd);
    assert_int_equal(sdnotify_send(&n, &b), -ECONNREFUSED);
    fd = manager(&a, len); /* it came back */
    assert_int_equal(sdnotify_send(&n, &b), 0);
    close(fd);
    sdnotify_close(&n);
    assert_int_equal(sdnotify_send(&n, &b), 0);
    buf_done(&b);
}

static void test_no_manager(void **state)
{
    (void)state;
    struct sdnotify n = SDNOTIFY_INIT;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(sdnotify_open(&n), 0);
    assert_int_equal(n.fd, -1);
    setenv("NOTIFY_SOCKET", "nonsense", 1);
    assert_int_equal(sdnotify_open(&n), -EINVAL);
    assert_null(getenv("NOTIFY_SOCKET"));
    setenv("WATCHDOG_PID", "1", 1); /* meant for somebody else */
    setenv("WATCHDOG_USEC", "5", 1);
    setenv("NOTIFY_SOCKET", "@x", 1);
    assert_int_equal(sdnotify_open(&n), 0);
    assert_int_equal(n.watchdog, 0);
    sdnotify_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_datagram_arrives),
        cmocka_unit_test(test_no_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
