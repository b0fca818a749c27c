/* follow.c - see follow.h.
 *
 * Owns the connections; one poll(2) waits for all of them and for Ctrl-C. */
#include "ctl/follow.h"

#include <errno.h>
#include <poll.h>

#define FOLLOW_LAST_MS 50            /* this long nothing new: all was read */
#define FOLLOW_LAST_MAX USEC_PER_SEC /* and no longer than this in all */

static int follow_ask(struct follow_stream *s)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    if (source_path(s->source, &path) < 0)
        return path.error;
    reply_done(&s->reply);
    reply_init(&s->reply, source_sink, s->source);
    s->reply.began = source_began;
    s->source->more = false;
    s->again_at = 0;
    struct client_request q = { .method = "GET", .path = path.data, .patience = CLIENT_PATIENCE, .endless = true };
    return client_begin(s->client, &q);
}

int follow_add(struct follow *f, struct source *source)
{
    if (f->n == FOLLOW_MAX)
        return -E2BIG;
    struct follow_stream *s = &f->streams[f->n];
    *s = (struct follow_stream){ .source = source };
    int e = client_new(&f->ctl->endpoint, &s->client);
    if (e < 0)
        return e;
    reply_init(&s->reply, NULL, NULL);
    f->n++;
    e = follow_ask(s);
    if (e < 0)
        ctl_connection_failed(f->ctl, e);
    return e;
}

static void follow_end(struct follow_stream *s)
{
    client_free(s->client);
    s->client = NULL;
}

/* It goes on some time, or the user is told. */
static void follow_lost(struct follow *f, struct follow_stream *s, int error)
{
    s->again_at = gap_next(&s->source->gap, error);
    if (s->again_at != 0)
        return;
    ctl_connection_failed(f->ctl, error);
    follow_end(s);
}

static void follow_again(struct follow *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct follow_stream *s = &f->streams[i];
        if (s->client == NULL || s->again_at == 0 || client_now() < s->again_at)
            continue;
        int e = follow_ask(s);
        if (e < 0)
            follow_lost(f, s, e);
    }
}

struct follow_view {
    size_t open, silent; /* streams that have not ended; those of them that have not been answered */
    usec_t again_at;     /* when the first of those that were lost is tried; 0: none is lost */
};

static struct follow_view follow_watch(const struct follow *f, struct pollfd *p)
{
    struct follow_view v = { 0 };
    for (size_t i = 0; i < f->n; i++) {
        const struct follow_stream *s = &f->streams[i];
        bool lost = s->client != NULL && s->again_at != 0;
        p[i] = (struct pollfd){ .fd = s->client != NULL && !lost ? client_fd(s->client) : -1, .events = POLLIN };
        v.open += s->client != NULL;
        v.silent += s->client != NULL && !lost && !reply_began(&s->reply);
        if (lost && (v.again_at == 0 || s->again_at < v.again_at))
            v.again_at = s->again_at;
    }
    return v;
}

static void follow_read(struct follow *f, const struct pollfd *p)
{
    for (size_t i = 0; i < f->n; i++) {
        struct follow_stream *s = &f->streams[i];
        if (p[i].revents == 0 || s->client == NULL)
            continue;
        int e = client_receive(s->client, &s->reply);
        if (e < 0)
            follow_lost(f, s, e);
        else if (e > 0 && s->source->more)
            s->again_at = client_now();
        else if (e > 0)
            follow_end(s);
    }
    fflush(stdout);
}

static int until(usec_t at)
{
    return (int)(usec_sub(at, client_now()) / USEC_PER_MSEC + 1);
}

/* How long to wait: until an answer is overdue, or hardly at all when a sink wants to leave. */
static int follow_limit(const struct follow *f, const struct follow_view *v, usec_t end)
{
    if (f->leave)
        return FOLLOW_LAST_MS;
    if (v->again_at != 0)
        return until(v->again_at);
    return v->silent > 0 ? until(end) : -1;
}

/* What a look at the descriptors brought; 0: nothing that ends it. */
static int follow_turn(struct follow *f, struct pollfd *p, int (*fn)(void *arg), void *arg, usec_t *end)
{
    if (p[f->n + 1].revents != 0)
        return -EINTR;
    bool stayed = !f->leave;
    follow_read(f, p);
    if (stayed && f->leave)
        *end = usec_add(client_now(), FOLLOW_LAST_MAX);
    return p[f->n].revents != 0 ? fn(arg) : 0;
}

int follow_run(struct follow *f, int fd, int (*fn)(void *arg), void *arg)
{
    struct pollfd p[FOLLOW_MAX + 2];
    usec_t end = usec_add(client_now(), CLIENT_PATIENCE);
    struct follow_view v;
    while ((v = follow_watch(f, p)).open > 0) {
        p[f->n] = (struct pollfd){ .fd = f->leave ? -1 : fd, .events = POLLIN };
        p[f->n + 1] = (struct pollfd){ .fd = f->ctl->interrupt_fd, .events = POLLIN };
        int n = poll(p, f->n + 2, follow_limit(f, &v, end));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (f->leave && (n == 0 || client_now() >= end))
            return 0;
        if (v.again_at != 0) {
            end = usec_add(client_now(), CLIENT_PATIENCE);
            follow_again(f);
        }
        if (n == 0 && v.silent > 0 && client_now() >= end) {
            ctl_connection_failed(f->ctl, -ETIMEDOUT);
            return -ETIMEDOUT;
        }
        int e = n > 0 ? follow_turn(f, p, fn, arg, &end) : 0;
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
