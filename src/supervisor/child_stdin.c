/* child_stdin.c - bytes for a process that reads at its own pace.
 *
 * Owns the queue of what its pipe has not taken yet: made when the pipe is full,
 * bounded, gone as soon as it is empty. */
#include "supervisor/child_stdin.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "supervisor/supervisor.h"

struct stdin_queue {
    struct loop_event event;
    struct buf bytes;
    bool close_after;
};

static void queue_free(struct child *c)
{
    if (c->stdin_queue == NULL)
        return;
    loop_io_clear(&c->stdin_queue->event);
    buf_done(&c->stdin_queue->bytes);
    free(TAKE_PTR(c->stdin_queue));
}

void child_stdin_end(struct child *c)
{
    queue_free(c);
    cleanup_close(&c->stdin_fd);
}

/* Bytes taken by the pipe; 0 when it is full; -EPIPE when nobody reads. */
static ssize_t write_now(struct child *c, const char *data, size_t len)
{
    ssize_t n = write(c->stdin_fd, data, len);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void on_writable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct child *c = arg;
    struct stdin_queue *q = c->stdin_queue;
    ssize_t n = write_now(c, q->bytes.data, q->bytes.len);
    if (n < 0) {
        c->stdin_broken = true;
        queue_free(c);
        return;
    }
    buf_consume(&q->bytes, (size_t)n);
    if (q->bytes.len > 0)
        return;
    bool close_after = q->close_after;
    queue_free(c);
    if (close_after)
        cleanup_close(&c->stdin_fd);
}

static int queue_add(struct child *c, const char *data, size_t len)
{
    struct stdin_queue *q = c->stdin_queue;
    if (q == NULL) {
        q = calloc(1, sizeof(*q));
        if (q == NULL)
            return -ENOMEM;
        q->bytes = BUF_INIT(STDIN_QUEUE_MAX);
        int r = loop_io_set(c->supervisor->loop, &q->event, c->stdin_fd, LOOP_WRITE, LOOP_DATA, on_writable, c);
        if (r < 0) {
            free(q);
            return r;
        }
        c->stdin_queue = q;
    }
    int r = buf_add(&q->bytes, data, len);
    q->bytes.error = 0; /* a refusal is told to the sender; the queue goes on */
    return r;
}

int child_write_stdin(struct child *c, const void *data, size_t len)
{
    if (c->process.pid == 0)
        return -ESRCH;
    if (c->stdin_fd < 0 || c->stdin_broken)
        return -EPIPE;
    size_t queued = c->stdin_queue != NULL ? c->stdin_queue->bytes.len : 0;
    if (queued + len > STDIN_QUEUE_MAX) /* whole or not at all, so that the sender knows where it stands */
        return -ENOBUFS;
    ssize_t n = queued > 0 ? 0 : write_now(c, data, len);
    if (n < 0) {
        c->stdin_broken = true;
        return -EPIPE;
    }
    return (size_t)n == len ? 0 : queue_add(c, (const char *)data + n, len - (size_t)n);
}

void child_close_stdin(struct child *c)
{
    if (c->stdin_queue != NULL)
        c->stdin_queue->close_after = true;
    else
        cleanup_close(&c->stdin_fd);
}
