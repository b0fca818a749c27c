/* feed.c - see feed.h.
 *
 * Owns the descriptor, and the queue of what it has not taken yet: made when the
 * pipe is full, bounded, gone as soon as it is empty. */
#include "supervisor/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "supervisor/kept.h"

struct feed_queue {
    struct loop_io event;
    struct buf bytes;
    int own_fd; /* -1: it is the feed's that is watched */
    bool close_after;
};

static void queue_free(struct feed *f)
{
    if (f->queue == NULL)
        return;
    loop_io_clear(&f->queue->event);
    cleanup_close(&f->queue->own_fd);
    buf_done(&f->queue->bytes);
    free(TAKE_PTR(f->queue));
}

void feed_end(struct feed *f)
{
    queue_free(f);
    kept_close(&f->fd);
}

static void close_now(struct feed *f)
{
    f->broken = true;
    if (f->socket)
        shutdown(f->fd, SHUT_WR);
    else
        kept_close(&f->fd);
}

/* Bytes taken by the pipe; 0 when it is full; -EPIPE when nobody reads. */
static ssize_t write_now(struct feed *f, const char *data, size_t len)
{
    ssize_t n = write(f->fd, data, len);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void on_writable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct feed *f = arg;
    struct feed_queue *q = f->queue;
    ssize_t n = write_now(f, q->bytes.data, q->bytes.len);
    if (n < 0) {
        f->broken = true;
        queue_free(f);
        return;
    }
    buf_consume(&q->bytes, (size_t)n);
    if (q->bytes.len > 0)
        return;
    bool close_after = q->close_after;
    queue_free(f);
    if (close_after)
        close_now(f);
}

/* The other direction of a socket is watched by its owner, and a descriptor can be
 * watched once: this one gets a number of its own for as long as there is a queue. */
static int queue_watch(struct feed *f, struct feed_queue *q)
{
    if (f->socket) {
        q->own_fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
        if (q->own_fd < 0)
            return -errno;
    }
    return loop_io_set(f->loop, &q->event, f->socket ? q->own_fd : f->fd, LOOP_WRITE, LOOP_DATA, on_writable, f);
}

static int queue_add(struct feed *f, const char *data, size_t len)
{
    struct feed_queue *q = f->queue;
    if (q == NULL) {
        q = calloc(1, sizeof(*q));
        if (q == NULL)
            return -ENOMEM;
        q->bytes = BUF_INIT(FEED_QUEUE_MAX);
        q->own_fd = -1;
        int r = queue_watch(f, q);
        if (r < 0) {
            cleanup_close(&q->own_fd);
            free(q);
            return r;
        }
        f->queue = q;
    }
    int r = buf_add(&q->bytes, data, len);
    q->bytes.error = 0; /* a refusal is told to the sender; the queue goes on */
    return r;
}

int feed_write(struct feed *f, const void *data, size_t len)
{
    if (f->fd < 0 || f->broken || (f->queue != NULL && f->queue->close_after))
        return -EPIPE;
    size_t queued = f->queue != NULL ? f->queue->bytes.len : 0;
    if (queued + len > FEED_QUEUE_MAX) /* whole or not at all, so that the sender knows where it stands */
        return -ENOBUFS;
    if (len == 0)
        return 0;
    ssize_t n = queued > 0 ? 0 : write_now(f, data, len);
    if (n < 0) {
        f->broken = true;
        return -EPIPE;
    }
    return (size_t)n == len ? 0 : queue_add(f, (const char *)data + n, len - (size_t)n);
}

void feed_close(struct feed *f)
{
    if (f->queue != NULL)
        f->queue->close_after = true;
    else if (f->fd >= 0)
        close_now(f);
}
