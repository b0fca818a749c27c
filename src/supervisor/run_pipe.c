/* run_pipe.c - see run_pipe.h.
 *
 * Owns the descriptors.  Keeps no bytes: what was read is handed on at once, and
 * what is to be written is its owner's until it is written, so that neither a
 * client nor a job can make the daemon grow. */
#include "supervisor/run_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/logmove.h"
#include "os/logmove_give.h"
#include "supervisor/kept.h"

#define CHUNK (16 * 1024)
#define LAST_MAX (1024 * 1024) /* more than a pipe holds: whoever still writes does not keep us */

/* -- what it prints --------------------------------------------------------- */

static void close_pipe(struct run_pipe *p)
{
    loop_io_clear(&p->io);
    kept_close(&p->fd);
}

/* Through a pipe that the guardian holds, where that can be: until they are on record a
 * kill leaves them there. */
static ssize_t take(struct run_pipe *p, char data[CHUNK], struct move **move)
{
    ssize_t n = -ENOBUFS;
    if (p->mover != NULL) {
        p->before(p, p->arg);
        n = mover_take(p->mover, p->fd, data, CHUNK, 0, 0, move);
    }
    if (n < 0 && n != -EAGAIN && n != -EINTR) {
        n = read(p->fd, data, CHUNK);
        n = n < 0 ? -errno : n;
    }
    return n;
}

/* Bytes read; 0 when there are none now, or ever again. */
static size_t read_once(struct run_pipe *p)
{
    char data[CHUNK];
    struct move *move = NULL;
    ssize_t n = take(p, data, &move);
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n <= 0)
        close_pipe(p);
    p->fn(p, n > 0 ? data : NULL, n > 0 ? (size_t)n : 0, p->arg);
    if (move != NULL)
        mover_end(p->mover, &move, NULL, 0, 0);
    if (n > 0 && p->after != NULL)
        p->after(p, p->arg);
    return n > 0 ? (size_t)n : 0;
}

static void on_readable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    read_once(arg);
}

int run_pipe_new(struct loop *loop, int fd, int number, run_pipe_fn fn, void *arg, struct run_pipe **ret)
{
    struct run_pipe *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *p = (struct run_pipe){ .loop = loop, .fn = fn, .arg = arg, .fd = fd, .number = number };
    int r = loop_io_set(loop, &p->io, fd, LOOP_READ, LOOP_DATA, on_readable, p);
    if (r < 0) {
        run_pipe_free_all(p);
        return r;
    }
    *ret = p;
    return 0;
}

void run_pipe_pause(struct run_pipe *p, bool paused)
{
    p->paused = paused;
    if (p->fd >= 0)
        loop_io_set(p->loop, &p->io, p->fd, paused ? 0 : LOOP_READ, LOOP_DATA, on_readable, p);
}

void run_pipe_finish(struct run_pipe *p)
{
    size_t n = 0;
    for (size_t total = 0; p->fd >= 0 && !p->paused && total < LAST_MAX && (n = read_once(p)) > 0; total += n)
        continue;
    if (p->fd < 0 || p->paused)
        return;
    close_pipe(p);
    p->fn(p, NULL, 0, p->arg);
}

void run_pipe_free_all(struct run_pipe *first)
{
    while (first != NULL) {
        struct run_pipe *p = first;
        first = p->next;
        close_pipe(p);
        free(p);
    }
}

/* -- what it reads ---------------------------------------------------------- */

static void tell(struct run_feed *f, int result)
{
    void (*done)(int, void *) = f->done;
    f->done = NULL;
    f->data = NULL;
    f->left = 0;
    f->busy = false;
    free(TAKE_PTR(f->own));
    if (done != NULL)
        done(result, f->arg);
}

void run_feed_close(struct run_feed *f)
{
    loop_io_clear(&f->io);
    if (f->socket && f->fd >= 0)
        shutdown(f->fd, SHUT_WR);
    kept_close(&f->fd);
    tell(f, -EPIPE);
}

static void taken(struct run_feed *f)
{
    loop_io_clear(&f->io);
    if (f->eof) {
        if (f->socket)
            shutdown(f->fd, SHUT_WR);
        *f->ended |= UINT64_C(1) << f->number;
        kept_close(&f->fd);
    }
    tell(f, 0);
}

/* Counted, and in a way that a kill does not spoil, unless there are no descriptors for that. */
static ssize_t give(struct run_feed *f)
{
    ssize_t n = f->mover != NULL ? mover_give(f->mover, f->fd, f->data, f->left, f->given) : -ENOBUFS;
    if (n >= 0 || n == -EAGAIN || n == -EINTR || n == -EPIPE)
        return n;
    n = f->socket ? send(f->fd, f->data, f->left, MSG_NOSIGNAL) : write(f->fd, f->data, f->left);
    if (n < 0)
        return -errno;
    *f->given += (uint64_t)n;
    return n;
}

static void write_some(struct run_feed *f)
{
    ssize_t n = f->left > 0 ? give(f) : 0;
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n < 0) {
        run_feed_close(f);
        return;
    }
    f->data += n;
    f->left -= (size_t)n;
    if (f->left == 0)
        taken(f);
}

static void on_writable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    write_some(arg);
}

static int watch(struct run_feed *f)
{
    return loop_io_set(f->loop, &f->io, f->fd, LOOP_WRITE, LOOP_DATA, on_writable, f);
}

int run_feed_new(struct loop *loop, int fd, int number, struct run_feed **ret)
{
    struct run_feed *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        close(fd);
        return -ENOMEM;
    }
    *f = (struct run_feed){ .loop = loop, .fd = fd, .number = number, .socket = number >= 3 };
    *ret = f;
    return 0;
}

int run_feed_write(struct run_feed *f, const void *data, size_t len, bool eof, void (*done)(int result, void *arg),
                   void *arg)
{
    if (f->fd < 0)
        return -EPIPE;
    if (f->busy)
        return -EBUSY;
    int r = f->held ? 0 : watch(f);
    if (r < 0)
        return r;
    f->busy = true;
    f->data = data;
    f->left = len;
    f->eof = eof;
    f->done = done;
    f->arg = arg;
    return 0;
}

void run_feed_release(struct run_feed *f)
{
    f->held = false;
    if (f->busy && watch(f) < 0)
        run_feed_close(f);
}

void run_feed_cancel(struct run_feed *f)
{
    f->done = NULL;
    loop_io_clear(&f->io);
    tell(f, 0);
}

void run_feed_free_all(struct run_feed *first)
{
    while (first != NULL) {
        struct run_feed *f = first;
        first = f->next;
        run_feed_close(f);
        free(f);
    }
}
