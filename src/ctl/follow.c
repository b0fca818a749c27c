/* follow.c - see follow.h. */
#include "ctl/follow.h"

#include <errno.h>
#include <poll.h>

#define FOLLOW_LAST_MS 50            /* this long nothing new: all was read */
#define FOLLOW_LAST_MAX USEC_PER_SEC /* and no longer than this in all */

int follow_add(struct follow *f, const char *path, reply_sink sink, void *arg)
{
    if (f->n == FOLLOW_MAX)
        return -E2BIG;
    struct follow_stream *s = &f->streams[f->n];
    int e = client_new(&f->ctl->endpoint, &s->client);
    if (e < 0)
        return e;
    reply_init(&s->reply, sink, arg);
    f->n++;
    struct client_request q = { .method = "GET", .path = path, .patience = CLIENT_PATIENCE, .endless = true };
    e = client_begin(s->client, &q);
    if (e < 0)
        ctl_connection_failed(f->ctl, e);
    return e;
}

static void follow_end(struct follow_stream *s)
{
    client_free(s->client);
    s->client = NULL;
}

/* Fills in what to poll; the number of streams that are still open, and in *silent of those without an answer. */
static size_t follow_watch(const struct follow *f, struct pollfd *p, size_t *silent)
{
    size_t open = 0;
    *silent = 0;
    for (size_t i = 0; i < f->n; i++) {
        const struct follow_stream *s = &f->streams[i];
        p[i] = (struct pollfd){ .fd = s->client != NULL ? client_fd(s->client) : -1, .events = POLLIN };
        open += s->client != NULL;
        *silent += s->client != NULL && !reply_began(&s->reply);
    }
    return open;
}

static void follow_read(struct follow *f, const struct pollfd *p)
{
    for (size_t i = 0; i < f->n; i++) {
        struct follow_stream *s = &f->streams[i];
        if (p[i].revents == 0 || s->client == NULL)
            continue;
        int e = client_receive(s->client, &s->reply);
        if (e < 0)
            ctl_connection_failed(f->ctl, e);
        if (e != 0)
            follow_end(s);
    }
    fflush(stdout);
}

/* How long to wait: until an answer is overdue, or hardly at all when a sink wants to leave. */
static int follow_limit(const struct follow *f, size_t silent, usec_t end)
{
    if (f->leave)
        return FOLLOW_LAST_MS;
    return silent > 0 ? (int)(usec_sub(end, client_now()) / USEC_PER_MSEC + 1) : -1;
}

int follow_run(struct follow *f, int fd, int (*fn)(void *arg), void *arg)
{
    struct pollfd p[FOLLOW_MAX + 2];
    usec_t end = usec_add(client_now(), CLIENT_PATIENCE);
    size_t silent;
    while (follow_watch(f, p, &silent) > 0) {
        p[f->n] = (struct pollfd){ .fd = f->leave ? -1 : fd, .events = POLLIN };
        p[f->n + 1] = (struct pollfd){ .fd = f->ctl->interrupt_fd, .events = POLLIN };
        int n = poll(p, f->n + 2, follow_limit(f, silent, end));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (f->leave && (n == 0 || client_now() >= end))
            return 0;
        if (n == 0 && client_now() >= end) {
            ctl_connection_failed(f->ctl, -ETIMEDOUT);
            return -ETIMEDOUT;
        }
        if (n <= 0)
            continue;
        if (p[f->n + 1].revents != 0)
            return -EINTR;
        bool stayed = !f->leave;
        follow_read(f, p);
        if (stayed && f->leave)
            end = usec_add(client_now(), FOLLOW_LAST_MAX);
        int e = p[f->n].revents != 0 ? fn(arg) : 0;
        if (e != 0)
            return e;
    }
    return 0;
}

void follow_done(struct follow *f)
{
    for (size_t i = 0; i < f->n; i++) {
        follow_end(&f->streams[i]);
        reply_done(&f->streams[i].reply);
    }
    f->n = 0;
}
