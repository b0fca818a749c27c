/* test_http_reply.c - what goes out: answers, streams, clients that do not read or hang up, and the end of it all. */
#include "cmocka_all.h"

#include "http_bench.h"
#include "scratch.h"

static void test_large_reply(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/large"));
    UNTIL(!http_server_idle(t.server)); /* more than the socket takes */
    const char *response = hear(fd);
    assert_int_equal(status_of(response), 200);
    assert_int_equal(strspn(body_of(response), "L"), sizeof(t.reply));
    assert_true(http_server_idle(t.server));
    say(fd, GET("/after"));
    assert_string_equal(body_of(hear(fd)), "/after");
    close(fd);
}

/* True when one of many got its whole answer, when it came to its turn. */
static bool has_its_turn(void)
{
    int fds[20];
    t.requests = 0;
    for (int i = 0; i < 20; i++) {
        fds[i] = dial();
        say(fds[i], GET("/large"));
    }
    UNTIL(t.requests >= 20);                          /* those that wait are handled again */
    assert_true(t.server->unsent <= sizeof(t.reply)); /* one is kept; the other answers wait for room */
    assert_true(t.server->n_waiting > 0);
    int good = dial();
    say(good, GET("/small")); /* which the socket takes at once */
    assert_string_equal(body_of(hear(good)), "/small");
    close(good);
    bool whole = strspn(body_of(hear(fds[19])), "L") == sizeof(t.reply);
    for (int i = 0; i < 20; i++)
        shutdown(fds[i], SHUT_WR); /* the others do not hang up, and still take nothing */
    UNTIL(http_server_connections(t.server) == 0);
    assert_int_equal(t.server->unsent, 0);
    assert_int_equal(t.server->n_waiting, 0);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    return whole;
}

static void test_reply_that_nobody_reads(void **state)
{
    (void)state;
    if (under_valgrind())
        skip();                         /* too slow for its short deadlines */
    t.server->timeouts.stall = 2000000; /* a sanitizer takes its time */
    t.server->timeouts.awaited = 50000;
    int tries = 0; /* where the machine stands still for so long, we are the one who does not read */
    while (!has_its_turn())
        assert_true(++tries < 10);
}

static void test_stream(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/stream"));
    UNTIL(t.pending != NULL);
    http_stream_write(t.pending, "one\n", 4);
    http_stream_write(t.pending, "", 0);
    run_for(t.loop, 2000);
    http_stream_write(t.pending, "two\n", 4);
    http_stream_end(t.pending);
    const char *response = hear(fd);
    assert_int_equal(status_of(response), 200);
    assert_string_equal(body_of(response), "4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n");
    say(fd, GET("/after"));
    assert_string_equal(body_of(hear(fd)), "/after");
    close(fd);
    fd = dial();
    t.pending = NULL;
    say(fd, "GET /stream HTTP/1.0\r\n\r\n");
    UNTIL(t.pending != NULL);
    http_stream_write(t.pending, "plain", 5);
    http_stream_end(t.pending);
    assert_string_equal(body_of(hear(fd)), "plain");
    close(fd);
    assert_int_equal(t.closed, 0);
}

static void test_slow_follower(void **state)
{
    (void)state;
    int fd = dial(), r;
    say(fd, GET("/stream"));
    UNTIL(t.pending != NULL);
    memset(t.body, 'x', 10000);
    do {
        run_for(t.loop, 200);
        r = http_stream_write(t.pending, t.body, 10000);
        assert_true(http_stream_unread(t.pending) <= HTTP_UNREAD_MAX + 100);
    } while (r == 0);
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(http_stream_write(t.pending, "dropped\n", 8), 0);
    assert_int_equal(http_stream_write(t.pending, t.body, 10000), -ENOBUFS);
    http_stream_end(t.pending);
    const char *response = hear(fd);
    const char *last = "8\r\ndropped\n\r\n0\r\n\r\n";
    assert_string_equal(response + strlen(response) - strlen(last), last);
    UNTIL(is_closed(fd));
    close(fd);
}

static void test_hang_up(void **state)
{
    (void)state;
    static const char *const requests[] = { GET("/wait"), GET("/stream"), GET("/wait") GET("/more") };
    t.server->timeouts.half_closed = 1000 * USEC_PER_SEC; /* nobody has to look for it */
    for (size_t i = 0; i < 3; i++) {
        int fd = dial();
        t.pending = NULL;
        t.closed = 0;
        say(fd, requests[i]);
        UNTIL(t.pending != NULL);
        close(fd);
        UNTIL(t.closed > 0);
        assert_int_equal(t.closed, 1);
    }
    UNTIL(http_server_connections(t.server) == 0);
}

/* One that has sent so much ahead that it is not read any more. */
static void test_hang_up_of_a_paused_client(void **state)
{
    (void)state;
    t.server->timeouts.half_closed = 20000;
    int fd = dial();
    say(fd, GET("/wait"));
    UNTIL(t.pending != NULL);
    memset(t.reply, 'x', 60000);
    say_bytes(fd, t.reply, 60000);
    run_for(t.loop, 3000);
    uint64_t turns = loop_turns(t.loop);
    run_for(t.loop, 30000);
    assert_true(loop_turns(t.loop) - turns < 6);
    close(fd);
    UNTIL(t.closed == 1);
}

static void test_hang_up_while_writing(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/stream"));
    UNTIL(t.pending != NULL);
    close(fd);
    /* found out inside a write: told later, not from inside */
    struct http_request *r = t.pending;
    memset(t.body, 'x', 100000);
    assert_int_equal(http_stream_write(r, t.body, 100000), 0);
    assert_int_equal(t.closed, 0);
    UNTIL(t.closed > 0);
    assert_int_equal(t.closed, 1);
    fd = dial();
    t.pending = NULL;
    say(fd, GET("/wait"));
    UNTIL(t.pending != NULL);
    close(fd);
    http_reply(t.pending, 200, "text/plain", t.body, 100000); /* answered: no on_close any more */
    run_for(t.loop, 2000);
    assert_int_equal(t.closed, 1);
    UNTIL(http_server_connections(t.server) == 0);
}

static void test_half_closed_client_gets_its_reply(void **state)
{
    (void)state;
    t.server->timeouts.half_closed = 10000;
    int fd = dial();
    say(fd, GET("/a") GET("/wait"));
    shutdown(fd, SHUT_WR); /* as nc does */
    UNTIL(t.pending != NULL);
    run_for(t.loop, 50000); /* several looks at it */
    assert_int_equal(t.closed, 0);
    http_reply(t.pending, 200, "text/plain", "late", 4);
    assert_int_equal(status_of(hear(fd)), 200);
    UNTIL(is_closed(fd));
    close(fd);
    fd = dial();
    t.pending = NULL;
    say(fd, GET("/wait"));
    shutdown(fd, SHUT_WR);
    UNTIL(t.pending != NULL);
    run_for(t.loop, 5000);
    close(fd); /* now it is gone */
    UNTIL(t.closed == 1);
}

static void test_half_closed_tcp_client_is_gone(void **state)
{
    (void)state;
    listen_tcp(NULL);
    t.server->timeouts.half_closed = 50000;
    int fd = dial_tcp();
    say(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    shutdown(fd, SHUT_WR);
    UNTIL(t.pending != NULL);
    http_reply(t.pending, 200, "text/plain", "soon", 4);
    assert_string_equal(body_of(hear(fd)), "soon");
    close(fd);
    fd = dial_tcp();
    t.pending = NULL;
    say(fd, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    UNTIL(t.pending != NULL);
    close(fd);
    UNTIL(t.closed == 1);
}

static void test_free_with_everything_open(void **state)
{
    (void)state;
    int a = dial(), b = dial(), c = dial(), d = dial();
    say(a, GET("/wait"));
    UNTIL(t.pending != NULL);
    say(b, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    say(c, GET("/large"));
    say(d, "junk\r\n\r\n");
    run_for(t.loop, 5000);
    http_server_free(t.server);
    assert_int_equal(t.closed, 1);
    run_for(t.loop, 1000);
    close(a), close(b), close(c), close(d);
    assert_int_equal(http_server_new(t.loop, handle, &t, &t.server), 0);
}

static void test_listeners_go_connections_stay(void **state)
{
    (void)state;
    listen_unix("user", "pw");
    int fd = dial();
    UNTIL(http_server_connections(t.server) == 1);
    http_server_close_listeners(t.server);
    say(fd, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n");
    assert_int_equal(status_of(hear(fd)), 200);
    close(fd);
    UNTIL(http_server_connections(t.server) == 0);
}

static void test_nothing_leaks(void **state)
{
    (void)state;
    int before = count_fds();
    for (int i = 0; i < 300; i++) {
        int fd = dial();
        say(fd, i % 3 == 0 ? GET("/a") : i % 3 == 1 ? "junk\r\n\r\n" : "GET / HT");
        if (i % 3 != 2 && i % 2 == 0)
            hear(fd);
        close(fd);
        run_for(t.loop, 300);
    }
    UNTIL(http_server_connections(t.server) == 0);
    assert_int_equal(count_fds(), before);
    assert_true(sizeof(struct http_conn) < 640); /* what an idle connection holds */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_large_reply, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_reply_that_nobody_reads, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_stream, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_slow_follower, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_hang_up, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_hang_up_of_a_paused_client, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_hang_up_while_writing, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_half_closed_client_gets_its_reply, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_half_closed_tcp_client_is_gone, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_everything_open, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_listeners_go_connections_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_leaks, setup_unix, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
