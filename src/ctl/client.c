/* client.c - see client.h.
 *
 * Plain sockets and poll.  Owns one descriptor.  The daemon may close a kept
 * connection at any time, so a descriptor that has become readable before we
 * asked anything is replaced; a request is sent a second time only if it is a
 * GET and not one byte came back. */
#include "ctl/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define CLIENT_HEAD_MAX (256 * 1024)
#define CLIENT_PIECE (64 * 1024)

struct client {
    const struct endpoint *endpoint;
    int fd;
    int interrupt_fd;
    bool kept;    /* the connection has answered a request before */
    bool cut_off; /* a request was not sent to its end: of no more use after the answer */
    char piece[CLIENT_PIECE];
};

int client_new(const struct endpoint *e, struct client **ret)
{
    struct client *c = malloc(sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->endpoint = e;
    c->fd = -1;
    c->interrupt_fd = -1;
    c->kept = false;
    c->cut_off = false;
    *ret = c;
    return 0;
}

void client_close(struct client *c)
{
    cleanup_close(&c->fd);
    c->kept = false;
    c->cut_off = false;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    client_close(c);
    free(c);
}

void client_interrupt_on(struct client *c, int fd)
{
    c->interrupt_fd = fd;
}

int client_fd(const struct client *c)
{
    return c->fd;
}

usec_t client_now(void)
{
    return usec_now(CLOCK_MONOTONIC);
}

/* connect(2) with a limit: a full backlog must not hold us for ever. */
static int client_dial(int family, const struct sockaddr *address, socklen_t len)
{
    _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval limit = { .tv_sec = (time_t)(CLIENT_PATIENCE / USEC_PER_SEC) };
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, address, len) < 0)
        return errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    return TAKE_FD(fd);
}

static int client_dial_unix(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len == 0)
        return -ENOENT;
    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len);
    return client_dial(AF_UNIX, (struct sockaddr *)&address, sizeof(address));
}

/* "host:port/..." or "[v6]:port" in place; the port is 80 when there is none. */
static void client_split_host(char *text, char **host, const char **port)
{
    text[strcspn(text, "/?#")] = '\0';
    char *at = strrchr(text, '@');
    *host = at != NULL ? at + 1 : text;
    char *rest = *host;
    if (**host == '[') {
        *host += 1;
        rest = *host + strcspn(*host, "]");
        if (*rest == ']')
            *rest++ = '\0';
    }
    char *colon = strrchr(rest, ':');
    *port = "80";
    if (colon != NULL) {
        *colon = '\0';
        *port = colon + 1;
    }
}

static int client_dial_tcp(const char *authority)
{
    _cleanup_free_ char *text = strdup(authority);
    if (text == NULL)
        return -ENOMEM;
    char *host;
    const char *port;
    client_split_host(text, &host, &port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -EHOSTUNREACH;
    int fd = -EHOSTUNREACH;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = client_dial(a->ai_family, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return fd;
}

static bool client_has_input(const struct client *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    return poll(&p, 1, 0) > 0;
}

int client_connect(struct client *c)
{
    if (c->fd >= 0 && !client_has_input(c))
        return 0;
    client_close(c);
    const char *url = c->endpoint->url;
    int fd = -EPROTONOSUPPORT;
    if (strncmp(url, "unix://", 7) == 0)
        fd = client_dial_unix(url + 7);
    else if (strncmp(url, "http://", 7) == 0)
        fd = client_dial_tcp(url + 7);
    if (fd < 0)
        return fd;
    c->fd = fd;
    return 0;
}

void client_base64(struct buf *b, const void *bytes, size_t len)
{
    const unsigned char *data = bytes;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)data[i] << 16;
        if (i + 1 < len)
            v |= (unsigned)data[i + 1] << 8;
        if (i + 2 < len)
            v |= data[i + 2];
        buf_putc(b, digits[v >> 18]);
        buf_putc(b, digits[v >> 12 & 63]);
        buf_putc(b, i + 1 < len ? digits[v >> 6 & 63] : '=');
        buf_putc(b, i + 2 < len ? digits[v & 63] : '=');
    }
}

static int client_compose(const struct client *c, const struct client_request *q, struct buf *b)
{
    const struct endpoint *e = c->endpoint;
    const char *host = strncmp(e->url, "http://", 7) == 0 ? e->url + 7 : "localhost";
    int host_len = (int)strcspn(host, "/?#");
    const char *at = memchr(host, '@', (size_t)host_len);
    if (at != NULL) {
        host_len -= (int)(at + 1 - host);
        host = at + 1;
    }
    buf_printf(b, "%s %s HTTP/1.1\r\nHost: %.*s\r\n", q->method, q->path, host_len, host);
    if (e->username != NULL && e->password != NULL) {
        _cleanup_buf_ struct buf plain = BUF_INIT(8192);
        buf_printf(&plain, "%s:%s", e->username, e->password);
        buf_puts(b, "Authorization: Basic ");
        if (plain.data != NULL)
            client_base64(b, plain.data, plain.len);
        buf_puts(b, "\r\n");
    }
    if (q->body != NULL || strcmp(q->method, "GET") != 0)
        buf_printf(b, "Content-Length: %zu\r\n", q->len);
    buf_puts(b, "\r\n");
    buf_add(b, q->body, q->len);
    return b->error;
}

enum { CLIENT_WRITABLE = 1, CLIENT_READABLE = 2 };

/* Waits for `events` on the connection: one of the above, or -ETIMEDOUT, -EINTR. */
static int client_wait(struct client *c, short events, usec_t patience)
{
    usec_t end = patience == USEC_INFINITY ? USEC_INFINITY : usec_add(client_now(), patience);
    for (;;) {
        struct pollfd p[2] = { { .fd = c->fd, .events = events }, { .fd = c->interrupt_fd, .events = POLLIN } };
        int limit = end == USEC_INFINITY ? -1 : (int)(usec_sub(end, client_now()) / USEC_PER_MSEC + 1);
        int n = poll(p, 2, limit);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[1].revents != 0)
            return -EINTR;
        if (n > 0)
            return p[0].revents & ~POLLOUT ? CLIENT_READABLE : CLIENT_WRITABLE;
        if (end != USEC_INFINITY && client_now() >= end)
            return -ETIMEDOUT;
    }
}

/* Sends all of it, unless an answer comes before the end: that is a refusal. */
static int client_send(struct client *c, const char *data, size_t len, usec_t patience)
{
    while (len > 0) {
        ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != EPIPE)
            return -errno;
        int r = errno == EPIPE ? CLIENT_READABLE : client_wait(c, POLLIN | POLLOUT, patience);
        if (r < 0)
            return r;
        if (r == CLIENT_READABLE) {
            c->cut_off = true;
            return 0;
        }
    }
    return 0;
}

int client_begin(struct client *c, const struct client_request *q)
{
    _cleanup_buf_ struct buf b = BUF_INIT(CLIENT_HEAD_MAX + q->len);
    int r = client_compose(c, q, &b);
    if (r < 0)
        return r == -ENOBUFS ? -E2BIG : r;
    r = client_connect(c);
    if (r < 0)
        return r;
    r = client_send(c, b.data, b.len, q->patience == USEC_INFINITY ? CLIENT_PATIENCE : q->patience);
    if (r < 0)
        client_close(c);
    return r;
}

/* A unix socket whose other end is closed says by the kind of its end whether all that
 * we had sent was read: if not, nobody has acted on it. */
static bool client_was_unread(const struct client *c, const struct reply *r, int error, bool eof)
{
    bool nothing = r->state == REPLY_STATUS && r->line.len == 0;
    return error == -ECONNRESET && nothing && (eof ? c->cut_off : strncmp(c->endpoint->url, "unix:", 5) == 0);
}

int client_receive(struct client *c, struct reply *r)
{
    ssize_t n = recv(c->fd, c->piece, sizeof(c->piece), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        int e = n == 0 ? reply_eof(r) : -errno;
        if (client_was_unread(c, r, e, n == 0))
            e = -ECONNABORTED;
        client_close(c);
        return e < 0 ? e : 1;
    }
    int e = reply_feed(r, c->piece, (size_t)n);
    if (e < 0)
        client_close(c);
    if (e < 0 || r->state != REPLY_DONE)
        return e;
    c->kept = true;
    if (r->close || c->cut_off)
        client_close(c);
    return 1;
}

static int client_answer(struct client *c, const struct client_request *q, struct reply *r)
{
    for (;;) {
        bool endless = q->endless && reply_began(r);
        int e = client_wait(c, POLLIN, endless ? USEC_INFINITY : q->patience);
        if (e > 0)
            e = client_receive(c, r);
        if (e < 0)
            client_close(c); /* the rest of the answer would be taken for the next one */
        if (e != 0)
            return e < 0 ? e : 0;
    }
}

int client_call(struct client *c, const struct client_request *q, struct reply *r)
{
    bool again = c->kept && strcmp(q->method, "GET") == 0;
    int e = client_begin(c, q);
    if (e == 0)
        e = client_answer(c, q, r);
    if ((e == -ECONNRESET || e == -ECONNABORTED) && again && r->state == REPLY_STATUS && r->line.len == 0) {
        e = client_begin(c, q);
        if (e == 0)
            e = client_answer(c, q, r);
    }
    return e;
}
