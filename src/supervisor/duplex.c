/* duplex.c - see duplex.h.  Owns its socket and the bytes that it keeps. */
#include "supervisor/duplex.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK (16 * 1024)
#define DRAIN_MAX (1024 * 1024) /* more than a socket holds: whoever still writes does not keep us here */

static void keep(struct duplex *d, const char *data, size_t len)
{
    size_t room = DUPLEX_KEPT - d->kept.len;
    if (len > room)
        buf_consume(&d->kept, len - room);
    buf_add(&d->kept, data, len);
    d->kept.error = 0; /* without memory less is kept */
}

/* Bytes read, 0 when there are none now, -1 at the end. */
static ssize_t read_once(struct duplex *d)
{
    char data[CHUNK];
    ssize_t n = read(d->feed.fd, data, sizeof(data));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    keep(d, data, (size_t)n);
    d->output(d->number, data, (size_t)n, d->arg);
    return n;
}

/* At the end of what it writes it may still read. */
static void on_readable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct duplex *d = arg;
    if (read_once(d) < 0)
        loop_io_clear(&d->io);
}

void duplex_drain(struct duplex *d)
{
    ssize_t n = 0;
    for (size_t total = 0; d->feed.fd >= 0 && total < DRAIN_MAX && (n = read_once(d)) > 0; total += (size_t)n)
        continue;
    loop_io_clear(&d->io);
    feed_end(&d->feed);
}

int duplex_new(struct loop *loop, int fd, int number, void (*output)(int, const char *, size_t, void *), void *arg,
               struct duplex **ret)
{
    struct duplex *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    *d = (struct duplex){ .feed = { .loop = loop, .fd = fd, .socket = true },
                          .kept = BUF_INIT(DUPLEX_KEPT),
                          .number = number,
                          .output = output,
                          .arg = arg };
    int r = loop_io_set(loop, &d->io, fd, LOOP_READ, LOOP_DATA, on_readable, d);
    if (r < 0) {
        free(d);
        return r;
    }
    *ret = d;
    return 0;
}

void duplex_free_all(struct duplex *first)
{
    while (first != NULL) {
        struct duplex *d = first;
        first = d->next;
        loop_io_clear(&d->io);
        feed_end(&d->feed);
        buf_done(&d->kept);
        free(d);
    }
}

struct duplex *duplex_find(struct duplex *first, int number)
{
    while (first != NULL && first->number != number)
        first = first->next;
    return first;
}
