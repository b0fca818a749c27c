/* http_conn.c - one connection, from accept to close.
 *
 * Bytes that arrive go to `in`, where http_take.c makes a request of them, one at
 * a time: what a client sends ahead waits in `in`, and when a head's worth is
 * waiting no more is read.  A reply goes straight to the
 * socket; only what the socket does not take rests in `out`.  Both buffers give
 * their memory back when they are empty.
 *
 * What to watch the descriptor for follows from the state, in conn_watch() alone.
 * A handler may answer from anywhere, so nothing here frees a connection on the
 * spot: it is closed (HTTP_DEAD) and freed at the end of the turn; and a write
 * that fails inside a handler's call only marks it, so that on_close never runs
 * inside a call of the one it tells.
 *
 * Hang-ups.  While a request is unanswered the client's side is still read.  End
 * of file with both directions shut (a unix client that closed or died, a TCP
 * reset) means gone, at once.  Otherwise the client may have only shut down its
 * sending side, as nc does after a request: on a unix socket the kernel tells the
 * difference for as long as it matters, so it is asked once a second; on TCP it
 * does not, so such a client has a second for its reply and is gone then.
 *
 * Owns the descriptor, both buffers and the request. */
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "control/http_conn.h"
#include "os/unixsock.h"

static void conn_watch(struct http_conn *c);

void http_conn_deadline(struct http_conn *c, usec_t after)
{
    c->deadline = usec_add(loop_now(c->server->loop), after);
    http_server_deadline(c->server, c->deadline);
}

size_t http_conn_unsent(const struct http_conn *c)
{
    return c->out.len - c->out_sent;
}

static void count_unsent(struct http_conn *c, ssize_t more)
{
    c->server->unsent += (size_t)more;
    if (c->streams)
        c->server->streamed += (size_t)more;
}

/* --- the end of a connection -------------------------------------------- */

void http_conn_free(struct http_conn *c)
{
    struct http_server *s = c->server;
    loop_undefer(s->loop, &c->work);
    LIST_REMOVE(c, link);
    http_request_free(c->request);
    http_listener_unref(c->listener);
    free(c);
    if (s->bloated && s->bodies == 0) {
        s->bloated = false;
        malloc_trim(0);
    }
}

static void conn_work(void *arg);

void http_conn_kill(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->state == HTTP_DEAD)
        return;
    loop_io_clear(&c->event);
    cleanup_close(&c->fd);
    LIST_REMOVE(c, link);
    LIST_INSERT_HEAD(&s->dead, c, link);
    *(c->refused ? &s->n_refused : &s->n_conns) -= 1;
    count_unsent(c, -(ssize_t)http_conn_unsent(c));
    http_wait_end(c);
    http_wait_look(s);
    buf_done(&c->in);
    buf_done(&c->out);
    c->out_sent = 0;
    c->state = HTTP_DEAD;
    loop_defer(s->loop, &c->work, conn_work, c);
    if (LIST_EMPTY(&s->conns) && s->resume_at == 0) {
        loop_timer_clear(&s->timer); /* nobody connected, nobody woken */
        s->timer_at = USEC_INFINITY;
    }
}

void http_conn_gone(struct http_conn *c)
{
    struct http_request *r = c->request;
    http_conn_kill(c);
    if (r == NULL)
        return;
    http_close_fn fn = r->on_close;
    r->on_close = NULL;
    if (fn != NULL)
        fn(r->on_close_arg);
    /* it may have ended the request itself, as it would a living one */
    http_request_free(TAKE_PTR(c->request));
}

static void conn_broken(struct http_conn *c)
{
    c->broken = true;
    loop_defer(c->server->loop, &c->work, conn_work, c);
}

/* --- writing ------------------------------------------------------------ */

static void add_out(struct http_conn *c, const char *data, size_t len)
{
    if (buf_add(&c->out, data, len) < 0)
        conn_broken(c);
    else
        count_unsent(c, (ssize_t)len);
}

/* Bytes that the socket took; 0 when it takes none now, or never again. */
static size_t conn_write(struct http_conn *c, struct iovec *iov, int n)
{
    struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
    ssize_t r = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (r >= 0)
        return (size_t)r;
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
        conn_broken(c);
    return 0;
}

void http_conn_send(struct http_conn *c, struct iovec *iov, int n)
{
    if (c->broken || c->state == HTTP_DEAD)
        return;
    size_t sent = http_conn_unsent(c) == 0 ? conn_write(c, iov, n) : 0;
    for (int i = 0; i < n && !c->broken; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        if (skip < iov[i].iov_len)
            add_out(c, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
    }
}

/* Streams come in small pieces, several a turn: they travel together. */
void http_conn_queue(struct http_conn *c, const void *data, size_t len)
{
    if (c->broken || c->state == HTTP_DEAD)
        return;
    add_out(c, data, len);
    loop_defer(c->server->loop, &c->work, conn_work, c);
}

static bool is_crowded(const struct http_server *s)
{
    return s->unsent - s->streamed > HTTP_REPLIES_CROWDED;
}

/* Clients that take nothing may keep us waiting, but not many with large replies:
 * then those that have been waited for longest go first.  Who reads on, however
 * slowly, stays; so do followers that were dropped, whose share has its own limit. */
static usec_t patience(const struct http_server *s)
{
    return s->n_waiting > 0 ? s->timeouts.awaited : is_crowded(s) ? s->timeouts.crowded : s->timeouts.stall;
}

void http_conn_hurry(struct http_server *s)
{
    usec_t latest = usec_add(loop_now(s->loop), patience(s));
    struct http_conn *c;
    LIST_FOREACH(c, &s->conns, link)
    if (c->state == HTTP_FLUSH && !c->overflow && c->deadline > latest)
        http_conn_deadline(c, patience(s));
}

static usec_t patience_with(const struct http_conn *c)
{
    return c->overflow ? c->server->timeouts.stall : patience(c->server);
}

static void wait_for_reader(struct http_conn *c)
{
    c->took = loop_now(c->server->loop);
    http_conn_deadline(c, patience_with(c));
}

/* Its deadline may be from when there was a crowd. */
static bool has_patience(struct http_conn *c)
{
    usec_t end = usec_add(c->took, patience_with(c)), now = loop_now(c->server->loop);
    if (c->state != HTTP_FLUSH || now >= end)
        return false;
    http_conn_deadline(c, end - now);
    return true;
}

static void conn_flush(struct http_conn *c)
{
    struct iovec rest = { .iov_base = c->out.data + c->out_sent, .iov_len = http_conn_unsent(c) };
    size_t sent = conn_write(c, &rest, 1);
    c->out_sent += sent;
    count_unsent(c, -(ssize_t)sent);
    if (sent > 0 && c->state == HTTP_FLUSH)
        wait_for_reader(c);
    if (sent > 0)
        http_wait_look(c->server);
    if (c->out_sent == c->out.len) {
        buf_done(&c->out);
        c->out_sent = 0;
    } else if (c->out_sent > c->out.len / 2) {
        buf_consume(&c->out, c->out_sent); /* seldom, so that a large reply is not moved for each piece */
        c->out_sent = 0;
    }
}

/* --- from one request to the next --------------------------------------- */

static void conn_next(struct http_conn *c)
{
    c->state = HTTP_HEAD;
    c->heading = c->streams = false;
    http_conn_deadline(c, c->server->timeouts.idle);
    if (c->in.len > 0) {
        loop_defer(c->server->loop, &c->work, conn_work, c); /* the next turn, so that others have theirs */
        return;
    }
    buf_done(&c->in);
    if (c->eof)
        http_conn_kill(c);
}

static void conn_flushed(struct http_conn *c)
{
    if (!c->last) {
        conn_next(c);
    } else if (c->linger && !c->eof) {
        shutdown(c->fd, SHUT_WR);
        buf_done(&c->in);
        c->state = HTTP_LINGER;
        http_conn_deadline(c, c->server->timeouts.linger);
    } else {
        http_conn_kill(c);
    }
}

void http_conn_answered(struct http_conn *c)
{
    if (c->state == HTTP_DEAD)
        return;
    c->state = HTTP_FLUSH;
    if (http_conn_unsent(c) > 0)
        conn_flush(c);
    if (c->broken)
        return;
    if (http_conn_unsent(c) == 0)
        conn_flushed(c);
    else
        wait_for_reader(c);
    if (is_crowded(c->server))
        http_conn_hurry(c->server);
    conn_watch(c);
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
{
    struct http_request *r = TAKE_PTR(c->request);
    c->last = c->linger = true;
    http_send_error(c, r != NULL && r->head.method != NULL ? &r->head : NULL, status, NULL, why);
    http_request_free(r);
    buf_done(&c->in);
    http_conn_answered(c);
}

/* --- events ------------------------------------------------------------- */

static void conn_eof(struct http_conn *c)
{
    c->eof = true;
    bool waiting = c->state == HTTP_PENDING || c->state == HTTP_STREAM || c->state == HTTP_FLUSH;
    if (unixsock_is_gone(c->fd))
        http_conn_gone(c);
    else if (!waiting)
        http_conn_kill(c);
    else if (c->state != HTTP_FLUSH)
        http_conn_deadline(c, c->server->timeouts.half_closed);
}

static void conn_readable(struct http_conn *c)
{
    struct http_server *s = c->server;
    ssize_t n = read(c->fd, s->scratch, sizeof(s->scratch));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        http_conn_gone(c);
    } else if (n == 0) {
        conn_eof(c);
    } else if (c->state != HTTP_LINGER) {
        if (buf_add(&c->in, s->scratch, (size_t)n) < 0)
            http_conn_gone(c);
        else
            http_conn_advance(c);
    }
}

static void tell_room(struct http_conn *c)
{
    struct http_request *r = c->request;
    if (c->state == HTTP_STREAM && r != NULL && r->on_room != NULL && http_conn_unsent(c) == 0)
        r->on_room(r->on_room_arg);
}

static void conn_writable(struct http_conn *c)
{
    if (http_conn_unsent(c) > 0) {
        conn_flush(c);
        if (!c->broken)
            tell_room(c);
    }
    if (!c->broken && c->state == HTTP_FLUSH && http_conn_unsent(c) == 0)
        conn_flushed(c);
}

static void conn_ready(int fd, unsigned what, void *arg)
{
    (void)fd;
    struct http_conn *c = arg;
    if (what & LOOP_WRITE)
        conn_writable(c);
    if ((what & LOOP_READ) && c->state != HTTP_DEAD && !c->broken)
        conn_readable(c);
    conn_watch(c);
}

static void conn_work(void *arg)
{
    struct http_conn *c = arg;
    if (c->state == HTTP_DEAD) {
        http_conn_free(c);
        return;
    }
    if (!c->broken)
        conn_writable(c);
    if (c->broken) {
        http_conn_gone(c);
        return;
    }
    http_conn_advance(c);
    conn_watch(c);
}

/* The only place that says what the descriptor is watched for. */
static void conn_watch(struct http_conn *c)
{
    if (c->state == HTTP_DEAD || c->broken)
        return;
    bool room = c->state == HTTP_LINGER || c->in.len < HTTP_HEADER_MAX;
    unsigned what = !c->eof && room ? LOOP_READ : 0;
    what |= http_conn_unsent(c) > 0 ? LOOP_WRITE : 0;
    bool unseen = what == 0 && (c->state == HTTP_PENDING || c->state == HTTP_STREAM);
    if (unseen && c->deadline == USEC_INFINITY)
        http_conn_deadline(c, c->server->timeouts.half_closed); /* its hang-up is looked for */
    if (loop_io_set(c->server->loop, &c->event, c->fd, what, LOOP_CONTROL, conn_ready, c) < 0)
        conn_broken(c);
}

void http_conn_expired(struct http_conn *c)
{
    c->deadline = USEC_INFINITY;
    switch (c->state) {
    case HTTP_HEAD:
        if (c->in.len > 0)
            http_conn_refuse(c, 408, "the head of the request did not come in time");
        else
            http_conn_kill(c);
        break;
    case HTTP_BODY:
        http_conn_refuse(c, 408, "the body of the request did not come in time");
        break;
    case HTTP_PENDING:
    case HTTP_STREAM:
        if (unixsock_is_gone(c->fd) || (c->eof && !c->peer.known))
            http_conn_gone(c);
        else if (c->eof)
            http_conn_deadline(c, c->server->timeouts.half_closed);
        break;
    case HTTP_FLUSH:
    case HTTP_LINGER:
        if (!has_patience(c))
            http_conn_kill(c);
        break;
    case HTTP_DEAD:
        break;
    }
    conn_watch(c);
}

int http_conn_open(struct http_listener *l, int fd, const struct http_peer *peer, bool refused)
{
    struct http_server *s = l->server;
    struct http_conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        cleanup_close(&fd);
        return -ENOMEM;
    }
    *c = (struct http_conn){ .server = s, .listener = l, .fd = fd, .peer = *peer, .refused = refused };
    c->in = BUF_INIT(HTTP_HEADER_MAX + sizeof(s->scratch));
    c->out = BUF_INIT(HTTP_REPLIES_MAX + HTTP_UNREAD_MAX);
    c->heading = true;
    LIST_INSERT_HEAD(&s->conns, c, link);
    l->refs++;
    *(refused ? &s->n_refused : &s->n_conns) += 1;
    http_conn_deadline(c, s->timeouts.header);
    if (refused)
        http_conn_refuse(c, 503, "too many connections: close some or try again");
    else
        conn_watch(c);
    return 0;
}
