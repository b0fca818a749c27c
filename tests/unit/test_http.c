/* test_http.c - the HTTP server on a real loop, over real sockets: requests in
 * all their forms, answers, streams, and every limit with its status. */
#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "control/http_conn.h"
#include "os/unixsock.h"

/* One server; the handler notes what it was given and answers by path. */
static struct {
    struct loop *loop;
    struct http_server *server;
    char path[64];
    struct unixsock_id id;
    unsigned port;
    struct http_request *pending;
    struct rlimit descriptors;
    unsigned requests, closed;
    char method[32], target[9000], body[HTTP_BODY_MAX_MESSAGE + 1], note[256];
    size_t body_len;
    char reply[4 << 20];
} t;

static void on_close(void *arg)
{
    assert_ptr_equal(arg, &t);
    t.closed++;
    t.pending = NULL;
}

static void wait_for_test(struct http_request *r)
{
    t.pending = r;
    http_request_on_close(r, on_close, &t);
}

static void answer_query(struct http_request *r)
{
    const char *a0 = http_request_query(r, "a", 0), *a1 = http_request_query(r, "a", 1);
    const char *b = http_request_query(r, "b", 0), *none = http_request_query(r, "none", 0);
    snprintf(t.note, sizeof(t.note), "%s|%s|%s|%s", a0 ? a0 : "-", a1 ? a1 : "-", b ? b : "-", none ? none : "-");
    http_reply(r, 200, "text/plain", t.note, strlen(t.note));
}

static void handle(struct http_request *r, void *arg)
{
    assert_ptr_equal(arg, &t);
    size_t len;
    const char *body = http_request_body(r, &len), *path = http_request_path(r);
    t.requests++;
    snprintf(t.method, sizeof(t.method), "%s", http_request_method(r));
    snprintf(t.target, sizeof(t.target), "%s", path);
    memcpy(t.body, body, len + 1);
    t.body_len = len;
    if (strncmp(path, "/wait", 5) == 0) {
        wait_for_test(r);
    } else if (strcmp(path, "/stream") == 0) {
        wait_for_test(r);
        assert_int_equal(http_stream_begin(r, 200, "application/x-ndjson"), 0);
    } else if (strcmp(path, "/query") == 0) {
        answer_query(r);
    } else if (strcmp(path, "/large") == 0) {
        memset(t.reply, 'L', sizeof(t.reply));
        http_reply(r, 200, "text/plain", t.reply, sizeof(t.reply));
    } else if (strcmp(path, "/error") == 0) {
        http_reply_error(r, 404, "ENOENT", "no such \"%s\"", "thing");
    } else {
        http_reply(r, 200, "text/plain", path, strlen(path));
    }
}

/* --- the bench ---------------------------------------------------------- */

static void stop(void *arg)
{
    loop_stop(arg);
}

static void run_for(usec_t d)
{
    struct loop_timer timer = { 0 };
    loop_timer_set(t.loop, &timer, loop_now(t.loop) + d, stop, t.loop);
    assert_int_equal(loop_run(t.loop), 0);
    loop_timer_clear(&timer);
}

#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        for (int tries_ = 0; !(condition); tries_++) {                                                                 \
            if (tries_ == 4000)                                                                                        \
                fail_msg("waited in vain for " #condition);                                                            \
            run_for(1000);                                                                                             \
        }                                                                                                              \
    } while (0)

static void listen_unix(const char *username, const char *password)
{
    struct unixsock_options o = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };
    struct http_access access = { .is_unix = true, .username = username, .password = password };
    int fd = -1;
    assert_int_equal(unixsock_listen(t.path, &o, &fd, &t.id), 0);
    assert_int_equal(http_server_listen(t.server, fd, &access), 0);
}

static void listen_tcp(const char *username)
{
    struct http_access access = { .username = username, .password = "pw" };
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    int fd = -1;
    assert_int_equal(unixsock_listen_tcp("127.0.0.1", 0, &fd), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    t.port = ntohs(a.sin_port);
    assert_int_equal(http_server_listen(t.server, fd, &access), 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    getrlimit(RLIMIT_NOFILE, &t.descriptors);
    snprintf(t.path, sizeof(t.path), "/tmp/drover-http-%ld.sock", (long)getpid());
    assert_int_equal(loop_new(&t.loop), 0);
    assert_int_equal(http_server_new(t.loop, handle, &t, &t.server), 0);
    return 0;
}

static int setup_unix(void **state)
{
    setup(state);
    listen_unix(NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    setrlimit(RLIMIT_NOFILE, &t.descriptors);
    http_server_free(t.server);
    unixsock_unlink(t.path, &t.id);
    loop_free(t.loop);
    return 0;
}

static int dial(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", t.path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int dial_tcp(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t.port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void say_bytes(int fd, const char *s, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, s, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* refused and closed: the answer tells */
        if (n < 0) {
            run_for(500);
            continue;
        }
        s += n;
        len -= (size_t)n;
    }
}

static void say(int fd, const char *s)
{
    say_bytes(fd, s, strlen(s));
}

/* A whole response, or all up to the end of file when there is no length. */
static bool is_whole(const char *text, size_t len)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    const char *length = strstr(text, "Content-Length: ");
    if (length != NULL && length < end)
        return (size_t)(text + len - (end + 4)) >= strtoul(length + 16, NULL, 10);
    return strstr(text, "Transfer-Encoding: chunked") != NULL
               ? memmem(end, (size_t)(text + len - end), "\r\n0\r\n\r\n", 7) != NULL
               : strncmp(text, "HTTP/1.1 100", 12) == 0;
}

static char received[(4 << 20) + 4096];

static const char *hear(int fd)
{
    size_t len = 0;
    received[0] = '\0';
    for (int tries = 0; tries < 4000 && !is_whole(received, len); tries++) {
        ssize_t n = recv(fd, received + len, sizeof(received) - 1 - len, 0);
        if (n == 0)
            break;
        if (n < 0) {
            if (errno != EAGAIN)
                break;
            run_for(500);
            continue;
        }
        len += (size_t)n;
        received[len] = '\0';
    }
    return received;
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static int status_of(const char *response)
{
    return strncmp(response, "HTTP/1.1 ", 9) == 0 ? (int)strtol(response + 9, NULL, 10) : 0;
}

static const char *body_of(const char *response)
{
    const char *end = strstr(response, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

/* the status that a request gets on a connection of its own */
static int ask(const char *request)
{
    int fd = dial();
    say(fd, request);
    int status = status_of(hear(fd));
    close(fd);
    return status;
}

static int ask_tcp(const char *request)
{
    int fd = dial_tcp();
    say(fd, request);
    int status = status_of(hear(fd));
    close(fd);
    return status;
}

#define GET(path_) "GET " path_ " HTTP/1.1\r\nHost: x\r\n\r\n"

/* --- requests ----------------------------------------------------------- */

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
        run_for(200);
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
    run_for(3000);
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
    assert_string_equal(http_request_header(t.pending, "Host"), "x");
    assert_string_equal(http_request_header(t.pending, "x-empty"), "");
    assert_string_equal(http_request_header(t.pending, "X-TWO"), "a, b");
    assert_null(http_request_header(t.pending, "X-Three"));
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
        run_for(30000);
        say(slow, "x"); /* dribbling does not help */
    }
    assert_int_equal(status_of(hear(slow)), 408);
    assert_int_equal(status_of(hear(slow_body)), 408);
    UNTIL(is_closed(silent));
    UNTIL(is_closed(idle));
    close(silent), close(slow), close(slow_body), close(idle);
    UNTIL(http_server_connections(t.server) == 0);
    uint64_t turns = loop_turns(t.loop);
    run_for(100000);
    assert_int_equal(loop_turns(t.loop) - turns, 1); /* nobody connected, nobody woken */
}

/* --- who is let in ------------------------------------------------------ */

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
        run_for(500);
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
        run_for(500);
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
    run_for(50000);
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
    run_for(50000);
    assert_true(loop_turns(t.loop) - turns < 20);
    setrlimit(RLIMIT_NOFILE, &t.descriptors);
    say(first, GET("/"));
    assert_int_equal(status_of(hear(first)), 200); /* taken in once there are descriptors again */
    close(first);
}

/* --- replies, streams, hang-ups ----------------------------------------- */

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
    run_for(2000);
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
        run_for(200);
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
    run_for(3000);
    uint64_t turns = loop_turns(t.loop);
    run_for(30000);
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
    run_for(2000);
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
    run_for(50000); /* several looks at it */
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
    run_for(5000);
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
    run_for(5000);
    http_server_free(t.server);
    assert_int_equal(t.closed, 1);
    run_for(1000);
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

static int count_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void test_nothing_leaks(void **state)
{
    (void)state;
    int before = count_descriptors();
    for (int i = 0; i < 300; i++) {
        int fd = dial();
        say(fd, i % 3 == 0 ? GET("/a") : i % 3 == 1 ? "junk\r\n\r\n" : "GET / HT");
        if (i % 3 != 2 && i % 2 == 0)
            hear(fd);
        close(fd);
        run_for(300);
    }
    UNTIL(http_server_connections(t.server) == 0);
    assert_int_equal(count_descriptors(), before);
    assert_true(sizeof(struct http_conn) < 640); /* what an idle connection holds */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_unix, teardown)
#define TEST_BARE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_get_and_keep_alive),
        TEST(test_byte_by_byte),
        TEST(test_pipelined),
        TEST(test_bodies),
        TEST(test_query_and_headers),
        TEST(test_error_body),
        TEST(test_http10_and_close),
        TEST(test_refusals),
        TEST(test_too_large),
        TEST(test_refusal_is_readable),
        TEST(test_body_budget),
        TEST(test_deadlines),
        TEST_BARE(test_password),
        TEST_BARE(test_plain_password),
        TEST_BARE(test_host_and_origin),
        TEST_BARE(test_host_with_password),
        TEST(test_connection_limit),
        TEST(test_reserved_places),
        TEST(test_no_descriptors_left),
        TEST(test_large_reply),
        TEST(test_reply_that_nobody_reads),
        TEST(test_stream),
        TEST(test_slow_follower),
        TEST(test_hang_up),
        TEST(test_hang_up_of_a_paused_client),
        TEST(test_hang_up_while_writing),
        TEST(test_half_closed_client_gets_its_reply),
        TEST(test_half_closed_tcp_client_is_gone),
        TEST(test_free_with_everything_open),
        TEST_BARE(test_listeners_go_connections_stay),
        TEST(test_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
