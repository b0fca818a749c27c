/* fuzz_http.c - hostile bytes into the HTTP server, for libFuzzer.
 *
 * The first byte of an input chooses: the pure parsers, compared with themselves
 * over different splits of the same bytes, or a whole connection on a real loop,
 * whose handler uses every part of a request and answers in every way. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "control/http_conn.h"
#include "fuzz.h"

/* --- parsers ------------------------------------------------------------ */

static void fuzz_head(const char *data, size_t size)
{
    size_t end = http_head_end(data, size, 0), seen = 0, found = 0;
    for (size_t n = 0; n <= size && found == 0; n += 3) {
        found = http_head_end(data, n, seen);
        seen = n;
    }
    REQUIRE(found == 0 || found == end);
    if (end == 0)
        return;
    _cleanup_free_ char *text = malloc(end);
    REQUIRE(text != NULL);
    memcpy(text, data, end);
    struct http_head head;
    if (http_head_parse(text, end, &head) != 0) {
        REQUIRE(head.wrong != NULL);
        return;
    }
    char decoded[64];
    REQUIRE(head.path[0] == '/');
    REQUIRE(http_decode(head.path, strlen(head.path), decoded, sizeof(decoded)) != -EINVAL);
    REQUIRE(!(head.chunked && head.content_length >= 0));
    const char *host = http_head_find(&head, "Host");
    REQUIRE(host == head.host);
    http_head_find(&head, "no-such-header");
}

static int feed_split(const char *data, size_t size, size_t step, struct buf *body, size_t *total)
{
    struct http_chunks c = { 0 };
    int r = HTTP_CHUNKS_MORE;
    *total = 0;
    while (*total < size && r == HTTP_CHUNKS_MORE) {
        size_t used, n = size - *total < step ? size - *total : step;
        r = http_chunks_feed(&c, data + *total, n, &used, body);
        REQUIRE(used <= n && (r != HTTP_CHUNKS_MORE || used == n));
        *total += used;
    }
    return r;
}

static void fuzz_chunks(const char *data, size_t size)
{
    _cleanup_buf_ struct buf whole = BUF_INIT(4096), parts = BUF_INIT(4096);
    size_t used_whole, used_parts;
    int a = feed_split(data, size, size + 1, &whole, &used_whole);
    int b = feed_split(data, size, 1, &parts, &used_parts);
    REQUIRE(a == b);
    REQUIRE(a < 0 || (used_whole == used_parts && whole.len == parts.len));
}

/* --- a connection ------------------------------------------------------- */

struct bench {
    struct loop *loop;
    struct http_server *server;
    struct http_request *pending;
};

static void on_close(void *arg)
{
    ((struct bench *)arg)->pending = NULL;
}

static void handle(struct http_request *r, void *arg)
{
    struct bench *b = arg;
    size_t len;
    const char *body = http_request_body(r, &len), *path = http_request_path(r);
    REQUIRE(body[len] == '\0');
    REQUIRE(len <= HTTP_BODY_MAX || strstr(path, "/message") != NULL);
    http_request_query(r, "a", 1);
    switch (path[1]) {
    case 'w':
        b->pending = r;
        http_request_on_close(r, on_close, b);
        break;
    case 's':
        http_stream_begin(r, 200, "text/plain");
        http_stream_write(r, path, strlen(path));
        http_stream_end(r);
        break;
    case 'e':
        http_reply_error(r, 404, "ENOENT", "no %s", path);
        break;
    default:
        http_reply(r, 200, "text/plain", body, len);
    }
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void turn(struct bench *b)
{
    struct loop_work work = { 0 };
    loop_defer(b->loop, &work, stop, b->loop);
    REQUIRE(loop_run(b->loop) == 0);
}

static void fuzz_connection(const char *data, size_t size, size_t step)
{
    static struct loop *loop;
    if (loop == NULL)
        REQUIRE(loop_new(&loop) == 0);
    struct bench b = { .loop = loop };
    int pair[2];
    char sink[4096];
    REQUIRE(http_server_new(loop, handle, &b, &b.server) == 0);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    struct http_listener listener = { .server = b.server, .fd = -1, .refs = 1, .access = { .is_unix = true } };
    struct http_peer peer = { .known = true };
    REQUIRE(http_conn_open(&listener, pair[0], &peer, false) == 0);
    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        ssize_t sent = send(pair[1], data + at, n, MSG_NOSIGNAL);
        turn(&b);
        if (sent < 0 || recv(pair[1], sink, sizeof(sink), 0) == 0)
            break;
        if (b.pending != NULL && at % 2 == 0)
            http_reply(TAKE_PTR(b.pending), 200, "text/plain", "late", 4);
    }
    if (size % 2 == 0) {
        /* a half-closed client is only looked at once a second, so all it asked for is answered first */
        shutdown(pair[1], SHUT_WR);
        for (size_t i = 0; i < size && http_server_connections(b.server) > 0; i++) {
            turn(&b);
            if (b.pending != NULL)
                http_reply(TAKE_PTR(b.pending), 200, "text/plain", "late", 4);
            while (recv(pair[1], sink, sizeof(sink), 0) > 0)
                ;
        }
    }
    close(pair[1]);
    turn(&b);
    turn(&b);
    REQUIRE(http_server_connections(b.server) == 0);
    REQUIRE(b.pending == NULL && b.server->bodies == 0 && b.server->unsent == 0);
    http_server_free(b.server);
    REQUIRE(listener.refs == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *rest = (const char *)data + 1;
    switch (data[0] % 4) {
    case 0:
        fuzz_head(rest, size - 1);
        break;
    case 1:
        fuzz_chunks(rest, size - 1);
        break;
    default:
        fuzz_connection(rest, size - 1, 1 + data[0] / 4 * (size_t)7);
    }
    return 0;
}
