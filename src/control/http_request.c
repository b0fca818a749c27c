/* http_request.c - what a handler sees: the parts of a request, and its answers.
 *
 * A request is one allocation: the struct, and behind it the text of its head,
 * into which everything points.  It is owned by its connection until it has been
 * answered (http_reply*, http_stream_end) or its client has gone. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/http_conn.h"
#include "wire/jsonw.h"

/* After the record that a follower is dropped there is room for one that says so. */
#define LAST_RECORD_MAX 4096
#define CHUNK_FRAME_MAX 32

static const struct status {
    int status;
    const char *reason;
    const char *code;   /* of an error, when nobody gave a better one */
    const char *header; /* that belongs to it */
} statuses[] = {
    { 200, "OK", NULL, "" },
    { 202, "Accepted", NULL, "" },
    { 204, "No Content", NULL, "" },
    { 400, "Bad Request", "EINVAL", "" },
    { 401, "Unauthorized", "EACCES", "WWW-Authenticate: Basic realm=\"drover\", charset=\"UTF-8\"\r\n" },
    { 403, "Forbidden", "EPERM", "" },
    { 404, "Not Found", "ENOENT", "" },
    { 405, "Method Not Allowed", "EOPNOTSUPP", "Allow: GET, POST\r\n" },
    { 408, "Request Timeout", "ETIMEDOUT", "" },
    { 409, "Conflict", "EBUSY", "" },
    { 411, "Length Required", "EINVAL", "" },
    { 413, "Content Too Large", "EMSGSIZE", "" },
    { 414, "URI Too Long", "ENAMETOOLONG", "" },
    { 417, "Expectation Failed", "EINVAL", "" },
    { 422, "Unprocessable Content", "EINVAL", "" },
    { 431, "Request Header Fields Too Large", "EMSGSIZE", "" },
    { 500, "Internal Server Error", "EIO", "" },
    { 501, "Not Implemented", "ENOSYS", "" },
    { 503, "Service Unavailable", "EAGAIN", "Retry-After: 1\r\n" },
    { 504, "Gateway Timeout", "ETIMEDOUT", "" },
    { 505, "HTTP Version Not Supported", "EPROTONOSUPPORT", "" },
};

static const struct status *find_status(int status)
{
    static const struct status other = { 0, "Other", "EIO", "" };
    for (size_t i = 0; i < ELEMENTS(statuses); i++)
        if (statuses[i].status == status)
            return &statuses[i];
    return &other;
}

struct http_request *http_request_new(struct http_conn *c, const char *head, size_t len)
{
    struct http_request *r = malloc(sizeof(*r) + len);
    if (r == NULL)
        return NULL;
    *r = (struct http_request){ .conn = c };
    memcpy(r->text, head, len);
    return r;
}

void http_request_free(struct http_request *r)
{
    if (r == NULL)
        return;
    if (r->body_counted)
        r->conn->server->bodies -= r->body.len;
    buf_done(&r->body);
    free(r->params);
    free(r);
}

/* --- asking ------------------------------------------------------------- */

const char *http_request_method(const struct http_request *r)
{
    return r->head.method;
}

const char *http_request_path(const struct http_request *r)
{
    return r->head.path;
}

const char *http_request_body(const struct http_request *r, size_t *len)
{
    if (len != NULL)
        *len = r->body.len;
    return r->body.data != NULL ? r->body.data : "";
}

const struct http_peer *http_request_peer(const struct http_request *r)
{
    return &r->conn->peer;
}

void http_request_on_close(struct http_request *r, http_close_fn fn, void *arg)
{
    r->on_close = fn;
    r->on_close_arg = arg;
}

/* Decodes `len` bytes to `to`; escapes were checked with the head.  In a query a
 * plus is a blank, as forms write it.  Returns the end, behind the NUL. */
static char *decode_part(const char *s, size_t len, char *to)
{
    if (http_decode(s, len, to, len + 1) < 0)
        len = 0, *to = '\0';
    for (size_t i = 0, n = 0; i < len; i++, n++) {
        if (s[i] == '+')
            to[n] = ' ';
        else if (s[i] == '%')
            i += 2;
    }
    return to + strlen(to) + 1;
}

/* "a=1&b" becomes "a NUL 1 NUL b NUL NUL". */
static void parse_query(struct http_request *r)
{
    const char *query = r->head.query != NULL ? r->head.query : "";
    char *to = malloc(2 * strlen(query) + 2);
    r->params = to;
    while (to != NULL && *query != '\0') {
        size_t len = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        to = decode_part(query, name, to);
        to = decode_part(query + name + (name < len), len - name - (name < len), to);
        r->n_params++;
        query += len + (query[len] == '&');
    }
}

const char *http_request_query(struct http_request *r, const char *name, size_t i)
{
    if (r->params == NULL)
        parse_query(r);
    const char *p = r->params;
    for (size_t n = 0; p != NULL && n < r->n_params; n++) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0 && i-- == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

/* --- answering ---------------------------------------------------------- */

/* The status line and headers; len < 0 is a stream.  Decides whether the
 * connection outlives the reply. */
static int format_head(struct http_conn *c, const struct http_head *head, int status, const char *type, ssize_t len,
                       char *out, size_t size)
{
    const char *more = c->request != NULL ? c->request->header : NULL;
    const struct status *st = find_status(status);
    bool plain_stream = len < 0 && head->http10;
    c->last = c->last || head == NULL || !head->keep_alive || plain_stream;
    char length[48] = "";
    if (len >= 0)
        snprintf(length, sizeof(length), "Content-Length: %zd\r\n", len);
    else if (!plain_stream)
        snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
    const char *connection = c->last ? "Connection: close\r\n" : head->http10 ? "Connection: keep-alive\r\n" : "";
    return snprintf(out, size,
                    "HTTP/1.1 %d %s\r\nContent-Type: %.100s\r\nCache-Control: no-store\r\n"
                    "X-Content-Type-Options: nosniff\r\n%s%s%s%.200s%s\r\n",
                    status, st->reason, type, length, st->header, connection, more != NULL ? more : "",
                    more != NULL ? "\r\n" : "");
}

static void send_reply(struct http_conn *c, const struct http_head *head, int status, const char *type,
                       const void *data, size_t len)
{
    char text[1024];
    int n = format_head(c, head, status, type, (ssize_t)len, text, sizeof(text));
    bool bare = head != NULL && strcmp(head->method, "HEAD") == 0;
    struct iovec iov[] = { { .iov_base = text, .iov_len = (size_t)n },
                           { .iov_base = (void *)(uintptr_t)data, .iov_len = bare ? 0 : len } };
    http_conn_send(c, iov, 2);
}

void http_send_error(struct http_conn *c, const struct http_head *head, int status, const char *code,
                     const char *message)
{
    _cleanup_buf_ struct buf b = BUF_INIT(HTTP_UNREAD_MAX);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_object(&j, "error");
    jsonw_string(&j, "code", code != NULL ? code : find_status(status)->code);
    jsonw_string(&j, "message", message);
    jsonw_object_end(&j);
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    if (b.error != 0)
        c->last = true; /* no memory for the words: the status alone has to do */
    send_reply(c, head, status, "application/json", b.data, b.error == 0 ? b.len : 0);
}

static void request_done(struct http_request *r)
{
    struct http_conn *c = r->conn;
    c->request = NULL;
    http_request_free(r);
    http_conn_answered(c);
}

void http_request_add_header(struct http_request *r, const char *line)
{
    r->header = line;
}

void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len)
{
    struct http_conn *c = r->conn;
    if (http_wait_must(c, len)) {
        http_wait_begin(c);
        return;
    }
    if (c->server->before_reply != NULL)
        c->server->before_reply(c->server->before_reply_arg);
    if (len > HTTP_REPLIES_MAX || c->server->unsent > HTTP_REPLIES_MAX - len)
        http_send_error(c, &r->head, 503, "ENOBUFS",
                        "too much is waiting to be read by clients: ask for less, or later");
    else
        send_reply(c, &r->head, status, type, data, len);
    request_done(r);
}

void http_reply_json(struct http_request *r, int status, const struct buf *json)
{
    if (json->error != 0)
        http_reply_error(r, 503, "ENOMEM", "out of memory for the answer");
    else
        http_reply(r, status, "application/json", json->data, json->len);
}

void http_reply_error(struct http_request *r, int status, const char *code, const char *format, ...)
{
    _cleanup_buf_ struct buf message = BUF_INIT(LAST_RECORD_MAX);
    va_list ap;
    va_start(ap, format);
    buf_vprintf(&message, format, ap);
    va_end(ap);
    http_send_error(r->conn, &r->head, status, code, message.error == 0 ? message.data : "");
    request_done(r);
}

/* --- streams ------------------------------------------------------------ */

int http_stream_begin(struct http_request *r, int status, const char *type)
{
    struct http_conn *c = r->conn;
    char text[1024];
    int n = format_head(c, &r->head, status, type, -1, text, sizeof(text));
    c->state = c->state == HTTP_PENDING ? HTTP_STREAM : c->state;
    c->streams = true;
    http_conn_queue(c, text, (size_t)n);
    return c->broken ? -ENOMEM : 0;
}

/* How much may lie unread, once there is something. */
static size_t unread_max(const struct http_conn *c)
{
    if (c->overflow)
        return HTTP_UNREAD_MAX + LAST_RECORD_MAX;
    return c->server->streamed > HTTP_STREAMS_CROWDED && http_conn_unsent(c) > 0 ? HTTP_UNREAD_CROWDED
                                                                                 : HTTP_UNREAD_MAX;
}

int http_stream_write(struct http_request *r, const void *data, size_t len)
{
    struct http_conn *c = r->conn;
    if (c->broken || c->state == HTTP_DEAD)
        return -EPIPE;
    if (len == 0)
        return 0;
    size_t max = unread_max(c);
    bool fits = len <= max && http_conn_unsent(c) <= max - len;
    bool alone =
        http_conn_unsent(c) <= max / 4 && len <= HTTP_RECORD_MAX && c->server->unsent <= HTTP_REPLIES_MAX - len;
    if (!fits && !alone) {
        c->overflow = true;
        return -ENOBUFS;
    }
    char frame[CHUNK_FRAME_MAX];
    if (!r->head.http10)
        http_conn_queue(c, frame, (size_t)snprintf(frame, sizeof(frame), "%zx\r\n", len));
    http_conn_queue(c, data, len);
    if (!r->head.http10)
        http_conn_queue(c, "\r\n", 2);
    return 0;
}

size_t http_stream_unread(const struct http_request *r)
{
    return http_conn_unsent(r->conn);
}

void http_stream_on_room(struct http_request *r, http_close_fn fn, void *arg)
{
    r->on_room = fn;
    r->on_room_arg = arg;
}

void http_stream_end(struct http_request *r)
{
    struct http_conn *c = r->conn;
    if (!r->head.http10)
        http_conn_queue(c, "0\r\n\r\n", 5);
    c->last = c->last || c->overflow;
    request_done(r);
}

void http_stream_cut(struct http_request *r, const void *last, size_t len)
{
    r->conn->overflow = true;
    http_stream_write(r, last, len);
    http_stream_end(r);
}
