/* http.c - the server: listeners, who is let in, and deadlines.
 *
 * Every connection counts against one limit; the last places are for root and
 * the daemon's own user, so that nobody can lock out the operator.  Who comes
 * when it is full is still accepted (a few at a time) to be told 503.
 *
 * One timer serves all deadlines: it is set for the earliest and, when it fires,
 * looks through the 64 connections.  A request that is answered at once costs no
 * timer call, and a server without connections has no timer.
 *
 * Without descriptors a listener stays readable for ever.  One descriptor is kept
 * in reserve: it is given up to take the client in and turn it away; if even that
 * fails, listening pauses for a tenth of a second. */
#include "control/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "control/http_conn.h"
#include "os/unixsock.h"

#define ACCEPTS_A_TURN 16
#define REFUSED_MAX 16
#define PAUSE (100 * USEC_PER_MSEC)

static const struct http_timeouts default_timeouts = {
    .header = HTTP_HEADER_DEADLINE,
    .body = HTTP_BODY_DEADLINE,
    .idle = HTTP_IDLE_DEADLINE,
    .stall = HTTP_STALL_DEADLINE,
    .crowded = HTTP_STALL_DEADLINE_CROWDED,
    .awaited = HTTP_STALL_DEADLINE_AWAITED,
    .half_closed = USEC_PER_SEC,
    .linger = 2 * USEC_PER_SEC,
};

int http_server_new(struct loop *loop, http_handler_fn handler, void *arg, struct http_server **ret)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->loop = loop;
    s->handler = handler;
    s->arg = arg;
    s->timer_at = USEC_INFINITY;
    s->timeouts = default_timeouts;
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *ret = s;
    return 0;
}

/* The daemon ends on purpose: whoever follows it need not look for the next one. */
static void end_stream(struct http_conn *c)
{
    struct iovec iov = { (char *)"0\r\n\r\n", 5 };
    if (c->state == HTTP_STREAM && !c->request->head.http10 && http_conn_unsent(c) == 0)
        http_conn_send(c, &iov, 1);
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    http_server_close_listeners(s);
    struct http_conn *c;
    while ((c = LIST_FIRST(&s->conns)) != NULL) {
        end_stream(c);
        http_conn_gone(c);
    }
    while ((c = LIST_FIRST(&s->dead)) != NULL)
        http_conn_free(c);
    loop_timer_clear(&s->timer);
    loop_undefer(s->loop, &s->room);
    cleanup_close(&s->reserve);
    free(s);
}

bool http_server_idle(const struct http_server *s)
{
    return s->unsent == 0;
}

size_t http_server_connections(const struct http_server *s)
{
    return s->n_conns;
}

/* --- deadlines ---------------------------------------------------------- */

static void watch_listener(struct http_listener *l);

static void expire(void *arg)
{
    struct http_server *s = arg;
    usec_t now = loop_now(s->loop);
    s->timer_at = USEC_INFINITY;
    if (s->resume_at != 0 && now >= s->resume_at) {
        s->resume_at = 0;
        struct http_listener *l;
        LIST_FOREACH(l, &s->listeners, link)
        watch_listener(l);
    }
    usec_t next = s->resume_at != 0 ? s->resume_at : USEC_INFINITY;
    struct http_conn *c = LIST_FIRST(&s->conns);
    while (c != NULL) {
        struct http_conn *after = LIST_NEXT(c, link);
        if (c->deadline <= now)
            http_conn_expired(c);
        if (c->state != HTTP_DEAD && c->deadline < next)
            next = c->deadline;
        c = after;
    }
    http_server_deadline(s, next);
}

void http_server_deadline(struct http_server *s, usec_t at)
{
    if (at >= s->timer_at)
        return;
    if (loop_timer_set(s->loop, &s->timer, at, expire, s) == 0)
        s->timer_at = at;
}

/* --- accepting ---------------------------------------------------------- */

static void pause_listeners(struct http_server *s)
{
    struct http_listener *l;
    s->resume_at = usec_add(loop_now(s->loop), PAUSE);
    LIST_FOREACH(l, &s->listeners, link)
    watch_listener(l);
    http_server_deadline(s, s->resume_at);
}

/* Turns one client away with the reserved descriptor; false when that failed too. */
static bool turn_away(struct http_server *s, int listener)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (s->reserve < 0)
        return false;
    cleanup_close(&s->reserve);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        ssize_t ignored = send(fd, busy, sizeof(busy) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)ignored;
        close(fd);
    }
    s->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && s->reserve >= 0;
}

static struct http_peer identify(int fd)
{
    struct unixsock_peer id = unixsock_peer(fd);
    struct http_peer peer = { .known = id.known, .uid = id.uid, .gid = id.gid, .pid = id.pid };
    unixsock_peer_text(fd, &id, peer.text, sizeof(peer.text));
    return peer;
}

/* Small replies at once; and a peer whose machine has vanished is found by the kernel. */
static void tune_tcp(int fd)
{
    const int on = 1, idle = 60, interval = 20, count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static void admit(struct http_listener *l, int fd)
{
    struct http_server *s = l->server;
    struct http_peer peer = identify(fd);
    bool trusted = peer.known && (peer.uid == 0 || peer.uid == geteuid());
    size_t places = HTTP_CONNECTIONS_MAX - (trusted ? 0 : HTTP_CONNECTIONS_RESERVED);
    bool refused = s->n_conns >= places;
    if (refused && s->n_refused >= REFUSED_MAX) {
        close(fd);
        return;
    }
    if (!l->access.is_unix)
        tune_tcp(fd);
    http_conn_open(l, fd, &peer, refused);
}

static void accept_ready(int listener, unsigned what, void *arg)
{
    (void)what;
    struct http_listener *l = arg;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            admit(l, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN)
            return;
        bool short_of_fds = errno == EMFILE || errno == ENFILE;
        if (!short_of_fds || !turn_away(l->server, listener)) {
            pause_listeners(l->server);
            return;
        }
    }
}

/* --- listeners ---------------------------------------------------------- */

static void watch_listener(struct http_listener *l)
{
    unsigned what = l->server->resume_at == 0 ? LOOP_READ : 0;
    loop_io_set(l->server->loop, &l->event, l->fd, what, LOOP_CONTROL, accept_ready, l);
}

void http_listener_unref(struct http_listener *l)
{
    if (--l->refs > 0)
        return;
    free((void *)(uintptr_t)l->access.username);
    free((void *)(uintptr_t)l->access.password);
    free(l);
}

static int copy_text(const char *from, const char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return from != NULL && *to == NULL ? -ENOMEM : 0;
}

int http_server_listen(struct http_server *s, int fd, const struct http_access *access)
{
    _cleanup_close_ int owned = fd;
    struct http_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    *l = (struct http_listener){
        .server = s, .fd = fd, .refs = 1, .access = { .is_unix = access->is_unix, .lasts = access->lasts }
    };
    int r = copy_text(access->username, &l->access.username);
    if (r == 0)
        r = copy_text(access->password, &l->access.password);
    if (r == 0)
        r = loop_io_set(s->loop, &l->event, fd, LOOP_READ, LOOP_CONTROL, accept_ready, l);
    if (r < 0) {
        http_listener_unref(l);
        return r;
    }
    TAKE_FD(owned);
    LIST_INSERT_HEAD(&s->listeners, l, link);
    return 0;
}

void http_server_before_reply(struct http_server *s, http_close_fn fn, void *arg)
{
    s->before_reply = fn;
    s->before_reply_arg = arg;
}

void http_server_close_listeners(struct http_server *s)
{
    struct http_listener *l;
    while ((l = LIST_FIRST(&s->listeners)) != NULL) {
        LIST_REMOVE(l, link);
        loop_io_clear(&l->event);
        cleanup_close(&l->fd);
        http_listener_unref(l);
    }
}

void http_server_end_listening(struct http_server *s)
{
    const struct http_listener *l;
    LIST_FOREACH(l, &s->listeners, link)
    if (!l->access.lasts)
        shutdown(l->fd, SHUT_RDWR);
    http_server_close_listeners(s);
}
