/* http_bench.h - an HTTP server on a real loop, its handler, and clients over real sockets.
 *
 * The handler notes what it was given and answers by path; `t` is all there is of it. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control/http_conn.h"
#include "loop_bench.h"
#include "os/unixsock.h"

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

static inline void on_close(void *arg)
{
    assert_ptr_equal(arg, &t);
    t.closed++;
    t.pending = NULL;
}

static inline void wait_for_test(struct http_request *r)
{
    t.pending = r;
    http_request_on_close(r, on_close, &t);
}

static inline void answer_query(struct http_request *r)
{
    const char *a0 = http_request_query(r, "a", 0), *a1 = http_request_query(r, "a", 1);
    const char *b = http_request_query(r, "b", 0), *none = http_request_query(r, "none", 0);
    snprintf(t.note, sizeof(t.note), "%s|%s|%s|%s", a0 ? a0 : "-", a1 ? a1 : "-", b ? b : "-", none ? none : "-");
    http_reply(r, 200, "text/plain", t.note, strlen(t.note));
}

static inline void handle(struct http_request *r, void *arg)
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

#define UNTIL(condition) RUN_UNTIL(t.loop, condition)

static inline void listen_unix(const char *username, const char *password)
{
    struct unixsock_options o = { .mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1 };
    struct http_access access = { .is_unix = true, .username = username, .password = password };
    int fd = -1;
    assert_int_equal(unixsock_listen(t.path, &o, &fd, &t.id), 0);
    assert_int_equal(http_server_listen(t.server, fd, &access), 0);
}

static inline void listen_tcp(const char *username)
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

static inline int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    getrlimit(RLIMIT_NOFILE, &t.descriptors);
    snprintf(t.path, sizeof(t.path), "/tmp/drover-http-%ld.sock", (long)getpid());
    assert_int_equal(loop_new(&t.loop), 0);
    assert_int_equal(http_server_new(t.loop, handle, &t, &t.server), 0);
    return 0;
}

static inline int setup_unix(void **state)
{
    setup(state);
    listen_unix(NULL, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    setrlimit(RLIMIT_NOFILE, &t.descriptors);
    http_server_free(t.server);
    unixsock_unlink(t.path, &t.id);
    loop_free(t.loop);
    return 0;
}

static inline int dial(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", t.path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static inline int dial_tcp(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t.port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void say_bytes(int fd, const char *s, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, s, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* refused and closed: the answer tells */
        if (n < 0) {
            run_for(t.loop, 500);
            continue;
        }
        s += n;
        len -= (size_t)n;
    }
}

static inline void say(int fd, const char *s)
{
    say_bytes(fd, s, strlen(s));
}

/* A whole response, or all up to the end of file when there is no length. */
static inline bool is_whole(const char *text, size_t len)
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

static inline const char *hear(int fd)
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
            run_for(t.loop, 500);
            continue;
        }
        len += (size_t)n;
        received[len] = '\0';
    }
    return received;
}

static inline bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static inline int status_of(const char *response)
{
    return strncmp(response, "HTTP/1.1 ", 9) == 0 ? (int)strtol(response + 9, NULL, 10) : 0;
}

static inline const char *body_of(const char *response)
{
    const char *end = strstr(response, "\r\n\r\n");
    return end != NULL ? end + 4 : "";
}

/* the status that a request gets on a connection of its own */
static inline int ask(const char *request)
{
    int fd = dial();
    say(fd, request);
    int status = status_of(hear(fd));
    close(fd);
    return status;
}

static inline int ask_tcp(const char *request)
{
    int fd = dial_tcp();
    say(fd, request);
    int status = status_of(hear(fd));
    close(fd);
    return status;
}

#define GET(path_) "GET " path_ " HTTP/1.1\r\nHost: x\r\n\r\n"
