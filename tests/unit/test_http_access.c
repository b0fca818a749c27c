/* test_http_access.c - who is let in: passwords, hosts and origins, connections, descriptors that run out. */
#include "cmocka_all.h"

#include "http_bench.h"

static void test_password(void **state)
{
    (void)state;
    listen_unix("user", "{SHA}A94A8FE5CCB19BA61C4C0873D391E987982FBBD3"); /* test */
    assert_int_equal(ask(GET("/")), 401);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjp0ZXN0\r\n\r\n"), 200);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: basic  dXNlcjp0ZXN0\r\n\r\n"), 200);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjp0ZXN1\r\n\r\n"), 401);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcg==\r\n\r\n"), 401);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic !!!\r\n\r\n"), 401);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer dXNlcjp0ZXN0\r\n\r\n"), 401);
    int fd = dial();
    say(fd, GET("/"));
    assert_non_null(strstr(hear(fd), "WWW-Authenticate: Basic realm="));
    close(fd);
}

static void test_plain_password(void **state)
{
    (void)state;
    listen_unix("user", "test");
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjp0ZXN0\r\n\r\n"), 200);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjp0ZXM=\r\n\r\n"), 401);
    assert_int_equal(ask("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjo=\r\n\r\n"), 401);
}

static void test_host_and_origin(void **state)
{
    (void)state;
    listen_tcp(NULL);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"), 200);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: localhost:9001\r\n\r\n"), 200);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: [::1]:9001\r\n\r\n"), 200);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: evil.example:9001\r\n\r\n"), 403);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: localhost:9001\r\nOrigin: http://localhost:9001\r\n\r\n"), 200);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: localhost:9001\r\nOrigin: http://evil.example\r\n\r\n"), 403);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: localhost:9001\r\nOrigin: null\r\n\r\n"), 403);
    assert_int_equal(ask_tcp("GET / HTTP/1.0\r\n\r\n"), 200);
    int fd = dial_tcp();
    say(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    UNTIL(t.pending != NULL);
    assert_false(http_request_peer(t.pending)->known);
    assert_int_equal(strncmp(http_request_peer(t.pending)->text, "127.0.0.1:", 10), 0);
    close(fd);
}

static void test_host_with_password(void **state)
{
    (void)state;
    listen_tcp("user");
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: my.proxy.example\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n"),
                     200);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: my.proxy.example\r\n\r\n"), 401);
}

static void test_connection_limit(void **state)
{
    (void)state;
    int fds[HTTP_CONNECTIONS_MAX];
    for (int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        fds[i] = dial();
        run_for(t.loop, 500);
    }
    UNTIL(http_server_connections(t.server) == HTTP_CONNECTIONS_MAX);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(GET("/")), 503);
    assert_int_equal(t.requests, 0);
    close(fds[0]);
    UNTIL(http_server_connections(t.server) < HTTP_CONNECTIONS_MAX);
    assert_int_equal(ask(GET("/")), 200);
    for (int i = 1; i < HTTP_CONNECTIONS_MAX; i++)
        close(fds[i]);
    UNTIL(http_server_connections(t.server) == 0);
}

static void test_reserved_places(void **state)
{
    (void)state;
    listen_tcp(NULL); /* whose clients nobody vouches for */
    int fds[HTTP_CONNECTIONS_MAX], n = HTTP_CONNECTIONS_MAX - HTTP_CONNECTIONS_RESERVED;
    for (int i = 0; i < n; i++) {
        fds[i] = dial_tcp();
        run_for(t.loop, 500);
    }
    UNTIL(http_server_connections(t.server) == (size_t)n);
    assert_int_equal(ask_tcp("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 503);
    assert_int_equal(ask(GET("/")), 200); /* we are the daemon's uid */
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void test_no_descriptors_left(void **state)
{
    (void)state;
    if (under_valgrind())
        skip(); /* it plays the limit itself: it accepts, and then throws the descriptor away */
    struct rlimit few = t.descriptors;
    int first = dial(), second = dial(), third = dial();
    int next = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(next);
    few.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &few);
    uint64_t turns = loop_turns(t.loop);
    run_for(t.loop, 50000);
    assert_true(loop_turns(t.loop) - turns < 20); /* it does not spin */
    assert_int_equal(status_of(hear(first)), 503);
    assert_int_equal(status_of(hear(second)), 503);
    assert_int_equal(status_of(hear(third)), 503);
    close(first), close(second), close(third);
    close(t.server->reserve);
    t.server->reserve = -1; /* not even that */
    few.rlim_cur++;
    setrlimit(RLIMIT_NOFILE, &few);
    first = dial();
    few.rlim_cur = (rlim_t)first;
    setrlimit(RLIMIT_NOFILE, &few);
    turns = loop_turns(t.loop);
    run_for(t.loop, 50000);
    assert_true(loop_turns(t.loop) - turns < 20);
    setrlimit(RLIMIT_NOFILE, &t.descriptors);
    say(first, GET("/"));
    assert_int_equal(status_of(hear(first)), 200); /* taken in once there are descriptors again */
    close(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_password, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_password, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_and_origin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_with_password, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_limit, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_reserved_places, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors_left, setup_unix, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
