/* http_take.c - bytes that a connection has read become a request.
 *
 * Takes from `in` what is complete: a head, then its body.  All that is checked
 * before a handler sees a request is checked here, and as early as it can be: a
 * body that is too large or not allowed is refused before it is read. */
#include <errno.h>
#include <string.h>

#include "control/http_auth.h"
#include "control/http_conn.h"
#include "os/unixsock.h"

static void dispatch(struct http_conn *c)
{
    struct http_server *s = c->server;
    c->state = HTTP_PENDING;
    c->deadline = USEC_INFINITY;
    s->handler(c->request, s->arg);
}

static size_t body_max(const char *path)
{
    static const char suffix[] = "/message";
    size_t len = strlen(path), n = sizeof(suffix) - 1;
    return len >= n && strcmp(path + len - n, suffix) == 0 ? HTTP_BODY_MAX_MESSAGE : HTTP_BODY_MAX;
}

/* 0, or the status that refuses the request before its body was read. */
static int check_request(struct http_conn *c, const struct http_head *head, const char **why)
{
    const struct http_access *access = &c->listener->access;
    const char *problem = NULL;
    if (!access->is_unix)
        problem = http_origin_problem(head, unixsock_is_loopback(c->fd), access->username != NULL);
    *why = problem;
    if (problem != NULL)
        return 403;
    *why = "a name and a password are asked for, and these are not they";
    if (!http_auth_is_right(access, http_head_find(head, "Authorization")))
        return 401;
    *why = "only GET and POST are of use here";
    if (strcmp(head->method, "HEAD") == 0)
        return 405;
    *why = "the body is larger than this path takes";
    if (head->content_length > (int64_t)body_max(head->path))
        return 413;
    *why = "a body was announced without Content-Length or chunks";
    bool announced = head->expect_continue || http_head_find(head, "Content-Type") != NULL;
    if (announced && head->content_length < 0 && !head->chunked && strcmp(head->method, "GET") != 0)
        return 411;
    return 0;
}

static void expect_body(struct http_conn *c, struct http_request *r)
{
    r->body = BUF_INIT(body_max(r->head.path));
    r->body_counted = true;
    c->state = HTTP_BODY;
    http_conn_deadline(c, c->server->timeouts.body);
    if (r->head.expect_continue && c->in.len == 0) {
        char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        struct iovec iov = { .iov_base = go_on, .iov_len = sizeof(go_on) - 1 };
        http_conn_send(c, &iov, 1);
    }
}

static void start_request(struct http_conn *c, size_t head_len)
{
    struct http_request *r = http_request_new(c, c->in.data, head_len);
    if (r == NULL) {
        http_conn_refuse(c, 503, "out of memory");
        return;
    }
    c->request = r;
    c->heading = false;
    buf_consume(&c->in, head_len);
    const char *why;
    int status = http_head_parse(r->text, head_len, &r->head);
    why = r->head.wrong;
    if (status == 0)
        status = check_request(c, &r->head, &why);
    if (status != 0)
        http_conn_refuse(c, status, why);
    else if (r->head.chunked || r->head.content_length > 0)
        expect_body(c, r);
    else
        dispatch(c);
}

static void take_head(struct http_conn *c)
{
    size_t blank = c->in.len > 0 ? strspn(c->in.data, "\r\n") : 0; /* some clients end a body with a line of its own */
    buf_consume(&c->in, blank);
    size_t end = c->in.len > 0 ? http_head_end(c->in.data, c->in.len, 0) : 0;
    if (end > 0 && end <= HTTP_HEADER_MAX) {
        start_request(c, end);
    } else if (end > 0 || c->in.len >= HTTP_HEADER_MAX) {
        bool line = memchr(c->in.data, '\n', HTTP_HEADER_MAX) != NULL;
        http_conn_refuse(c, line ? 431 : 414,
                         line ? "the head has more than 8192 bytes" : "the request line has no end");
    } else if (c->eof) {
        http_conn_kill(c);
    } else if (c->in.len > 0 && !c->heading) {
        c->heading = true;
        http_conn_deadline(c, c->server->timeouts.header);
    }
}

/* Moves what is there into the body: 1 when it is whole, 0 when not yet, or a
 * negative errno. */
static int feed_body(struct http_conn *c, struct http_request *r)
{
    size_t used, before = r->body.len;
    int done;
    if (r->head.chunked) {
        done = http_chunks_feed(&r->chunks, c->in.data, c->in.len, &used, &r->body);
    } else {
        size_t left = (size_t)r->head.content_length - r->body.len;
        used = left < c->in.len ? left : c->in.len;
        done = buf_add(&r->body, c->in.data, used);
        if (done == 0)
            done = used == left;
    }
    c->server->bodies += r->body.len - before;
    c->server->bloated |= c->server->bodies > HTTP_BODY_BUDGET / 4;
    buf_consume(&c->in, used);
    return done;
}

static void take_body(struct http_conn *c)
{
    struct http_request *r = c->request;
    int done = c->in.len > 0 ? feed_body(c, r) : 0;
    if (c->in.len == 0)
        buf_done(&c->in);
    if (done == -ENOBUFS) {
        http_conn_refuse(c, 413, "the body is larger than this path takes");
    } else if (done == -EINVAL) {
        http_conn_refuse(c, 400, "the body is not made of chunks");
    } else if (done < 0 || c->server->bodies > HTTP_BODY_BUDGET) {
        http_conn_refuse(c, 503, "too many bodies are being sent at once: try again");
    } else if (done > 0) {
        c->server->bodies -= r->body.len;
        r->body_counted = false;
        dispatch(c);
    } else if (c->eof) {
        http_conn_kill(c);
    }
}

void http_conn_advance(struct http_conn *c)
{
    if (c->state == HTTP_HEAD)
        take_head(c);
    if (c->state == HTTP_BODY)
        take_body(c);
}
