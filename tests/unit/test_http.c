/* test_http.c - requests in all their forms: what is read, and each limit and fault with its status. */
#include "cmocka_all.h"

#include "http_bench.h"

static void test_get_and_keep_alive(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        say(fd, GET("/v1/processes?x=1"));
        const char *response = hear(fd);
        assert_int_equal(status_of(response), 200);
        assert_string_equal(body_of(response), "/v1/processes");
        assert_string_equal(t.method, "GET");
    }
    assert_int_equal(http_server_connections(t.server), 1);
    close(fd);
    UNTIL(http_server_connections(t.server) == 0);
    assert_true(http_server_idle(t.server));
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    static const char request[] = "\r\nPOST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    int fd = dial();
    for (const char *p = request; *p != '\0'; p++) {
        say_bytes(fd, p, 1);
        run_for(t.loop, 200);
    }
    assert_int_equal(status_of(hear(fd)), 200);
    assert_string_equal(t.body, "hello");
    assert_int_equal(t.requests, 1);
    close(fd);
}

static void test_pipelined(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/1") "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" GET("/wait") GET("/4"));
    UNTIL(t.pending != NULL); /* the first two are answered */
    assert_string_equal(body_of(hear(fd)) + 2,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\n/2");
    run_for(t.loop, 3000);
    assert_int_equal(t.requests, 3); /* the fourth waits its turn */
    http_reply(t.pending, 200, "text/plain", "now", 3);
    UNTIL(t.requests == 4);
    close(fd);
}

static void test_bodies(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            "4\r\nWiki\r\n5;ext=1\r\npedia\r\n0\r\nTrailer: x\r\n\r\n");
    assert_int_equal(status_of(hear(fd)), 200);
    assert_string_equal(t.body, "Wikipedia");
    say(fd, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(status_of(hear(fd)), 200);
    assert_int_equal(t.body_len, 0);
    say(fd, "POST /c HTTP/1.1\r\nHost: x\r\n\r\n"); /* as curl -X POST */
    assert_int_equal(status_of(hear(fd)), 200);
    say(fd, "POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(status_of(hear(fd)), 100);
    say(fd, "a\0c");
    say_bytes(fd, "\0c", 2);
    assert_int_equal(status_of(hear(fd)), 200);
    assert_memory_equal(t.body, "a\0c", 4);
    close(fd);
    fd = dial();
    say(fd, "POST /v1/processes/x/message HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    memset(t.reply, 'm', HTTP_BODY_MAX_MESSAGE);
    say_bytes(fd, t.reply, HTTP_BODY_MAX_MESSAGE);
    assert_int_equal(status_of(hear(fd)), 200);
    assert_int_equal(t.body_len, HTTP_BODY_MAX_MESSAGE);
    assert_int_equal(t.server->bodies, 0);
    close(fd);
}

static void test_query_and_headers(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/query?a=1%2f2&b=x+y%2B&&a=&c"));
    assert_string_equal(body_of(hear(fd)), "1/2||x y+|-");
    say(fd, GET("/query"));
    assert_string_equal(body_of(hear(fd)), "-|-|-|-");
    say(fd, "GET /wait HTTP/1.1\r\nhOsT:\t x \r\nX-Empty:\r\nX-Two: a, b\t\r\n\r\n");
    UNTIL(t.pending != NULL);
    assert_string_equal(http_head_find(&t.pending->head, "Host"), "x");
    assert_string_equal(http_head_find(&t.pending->head, "x-empty"), "");
    assert_string_equal(http_head_find(&t.pending->head, "X-TWO"), "a, b");
    assert_null(http_head_find(&t.pending->head, "X-Three"));
    const struct http_peer *peer = http_request_peer(t.pending);
    assert_true(peer->known);
    assert_int_equal(peer->uid, geteuid());
    assert_int_equal(peer->pid, getpid());
    close(fd);
}

static void test_error_body(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, GET("/error"));
    const char *response = hear(fd);
    assert_int_equal(status_of(response), 404);
    assert_string_equal(body_of(response), "{\"error\":{\"code\":\"ENOENT\",\"message\":\"no such \\\"thing\\\"\"}}\n");
    say(fd, GET("/still-open"));
    assert_int_equal(status_of(hear(fd)), 200);
    close(fd);
}

static void test_http10_and_close(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /a HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(hear(fd), "Connection: close"));
    UNTIL(is_closed(fd));
    close(fd);
    fd = dial();
    say(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(hear(fd), "Connection: keep-alive"));
    say(fd, "GET /b HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n");
    assert_int_equal(status_of(hear(fd)), 200);
    UNTIL(is_closed(fd));
    close(fd);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        { "nonsense\r\n\r\n", 400 },
        { "GET /\r\n\r\n", 400 },
        { "GET / HTTP/2.0\r\n\r\n", 505 },
        { "GET / FTP/1.1\r\n\r\n", 400 },
        { "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET relative HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /%2 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /a\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nBad : y\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\na", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\na", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n", 417 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n", 411 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413 },
        { "POST /a/message HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413 },
        { "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = ask(cases[i].request);
        if (status != cases[i].status)
            fail_msg("case %zu: %d for %s", i, status, cases[i].request);
    }
    assert_int_equal(t.requests, 0);
    UNTIL(http_server_connections(t.server) == 0);
}

static void test_too_large(void **state)
{
    (void)state;
    static char request[20000];
    memset(request, 'a', sizeof(request) - 1);
    memcpy(request, "GET /", 5);
    int fd = dial();
    say_bytes(fd, request, 8192); /* the line has no end */
    assert_int_equal(status_of(hear(fd)), 414);
    close(fd);
    memcpy(request, "GET / HTTP/1.1\r\nHost: x\r\nX: ", 28);
    memcpy(request + 10000, "\r\n\r\n", 4);
    fd = dial();
    say_bytes(fd, request, 10004);
    assert_int_equal(status_of(hear(fd)), 431);
    close(fd);
    fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n");
    memset(t.reply, 'x', 65537);
    say_bytes(fd, t.reply, 65537);
    assert_int_equal(status_of(hear(fd)), 413);
    close(fd);
    assert_int_equal(t.requests, 0);
    UNTIL(http_server_connections(t.server) == 0);
    assert_int_equal(t.server->bodies, 0);
}

/* A client that goes on sending after it was refused can still read why. */
static void test_refusal_is_readable(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    memset(t.reply, 'x', 1000000);
    say_bytes(fd, t.reply, 1000000);
    assert_int_equal(status_of(hear(fd)), 413);
    UNTIL(is_closed(fd));
    close(fd);
}

static void test_body_budget(void **state)
{
    (void)state;
    int fds[2];
    memset(t.reply, 'm', HTTP_BODY_MAX_MESSAGE);
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        say(fds[i], "POST /a/message HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    }
    say_bytes(fds[0], t.reply, 1000000);
    UNTIL(t.server->bodies == 1000000);
    say_bytes(fds[1], t.reply, 100000);
    assert_int_equal(status_of(hear(fds[1])), 503);
    assert_int_equal(t.server->bodies, 1000000);
    say_bytes(fds[0], t.reply, 48576);
    assert_int_equal(status_of(hear(fds[0])), 200);
    assert_int_equal(t.server->bodies, 0);
    close(fds[0]);
    close(fds[1]);
}

static void test_deadlines(void **state)
{
    (void)state;
    t.server->timeouts.idle = 300000;
    int idle = dial();
    say(idle, GET("/"));
    assert_int_equal(status_of(hear(idle)), 200);
    t.server->timeouts.header = t.server->timeouts.body = 200000;
    int silent = dial(), slow = dial(), slow_body = dial();
    say(slow, "GET / HT");
    say(slow_body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
    for (int i = 0; i < 5; i++) {
        run_for(t.loop, 30000);
        say(slow, "x"); /* dribbling does not help */
    }
    assert_int_equal(status_of(hear(slow)), 408);
    assert_int_equal(status_of(hear(slow_body)), 408);
    UNTIL(is_closed(silent));
    UNTIL(is_closed(idle));
    close(silent), close(slow), close(slow_body), close(idle);
    UNTIL(http_server_connections(t.server) == 0);
    uint64_t turns = loop_turns(t.loop);
    run_for(t.loop, 100000);
    assert_int_equal(loop_turns(t.loop) - turns, 1); /* nobody connected, nobody woken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get_and_keep_alive, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_byte_by_byte, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_bodies, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_query_and_headers, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_error_body, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_http10_and_close, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_refusal_is_readable, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_body_budget, setup_unix, teardown),
        cmocka_unit_test_setup_teardown(test_deadlines, setup_unix, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
