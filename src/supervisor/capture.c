/* capture.c - moves what jobs print into their logs.
 *
 * Owns the read ends of the jobs' pipes.  Bytes pass through one buffer that all
 * streams share and are written in the same turn; what a log would not take (a
 * full disk, a stuck terminal) is stashed, a buffer at most, and the stream is
 * not read again until the log has taken it: the rest waits in the pipe, the job
 * waits with it, and nobody else notices. */
#include "supervisor/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK (64 * 1024)
#define DRAIN_MAX (1024 * 1024 + CHUNK) /* what a pipe of the largest usual size holds */
#define RETRY_FULL (250 * USEC_PER_MSEC)
#define RETRY_SLOW (20 * USEC_PER_MSEC)

struct stream_stash {
    struct loop_event timer;
    bool reported;
    size_t len, done;
    char data[];
};

static char chunk[CHUNK]; /* one loop, one thread: used within a call only */

static void on_readable(int fd, unsigned what, void *arg);

static void watch(struct stream *s, bool on)
{
    if (s->watched == on)
        return;
    s->watched = on;
    loop_io_set(s->loop, &s->io, s->fd, on ? LOOP_READ : 0, LOOP_DATA, on_readable, s);
}

static void report(struct stream *s, const char *reason, int error)
{
    if (s->owner->report != NULL)
        s->owner->report(s, reason, error, s->arg);
}

static void stash_free(struct stream *s)
{
    if (s->stash == NULL)
        return;
    loop_timer_clear(&s->stash->timer);
    free(TAKE_PTR(s->stash));
}

static void on_retry(void *arg);

static void stash_arm(struct stream *s, int error)
{
    bool slow = error == -EAGAIN;
    if (!slow && !s->stash->reported) {
        s->stash->reported = true;
        report(s, "full", error);
    }
    loop_timer_set(s->loop, &s->stash->timer, loop_now(s->loop) + (slow ? RETRY_SLOW : RETRY_FULL), on_retry, s);
}

/* Keeps the bytes that the log refused.  Without memory for that the stream
 * cannot keep its promise; the loss is reported, never silent. */
static void stash_put(struct stream *s, const char *data, size_t len, int error)
{
    s->stash = calloc(1, sizeof(*s->stash) + len);
    if (s->stash == NULL) {
        report(s, "dropped", -ENOMEM);
        return;
    }
    s->stash->len = len;
    memcpy(s->stash->data, data, len);
    watch(s, false);
    stash_arm(s, error);
}

static void note_rotations(struct stream *s)
{
    unsigned n = logfile_rotations(s->log);
    if (n != s->rotations)
        report(s, "rotated", 0);
    s->rotations = n;
}

static void on_retry(void *arg)
{
    struct stream *s = arg;
    struct stream_stash *stash = s->stash;
    size_t written = 0;
    int r = logfile_write(s->log, stash->data + stash->done, stash->len - stash->done, &written);
    stash->done += written;
    if (r < 0) {
        stash_arm(s, r);
        return;
    }
    if (stash->reported)
        report(s, "recovered", 0);
    note_rotations(s);
    stash_free(s);
    watch(s, true);
}

static void deliver(struct stream *s, char *data, size_t len)
{
    if (s->strip_ansi)
        len = ansi_strip(&s->ansi, data, len);
    if (len == 0)
        return;
    s->owner->output(s, data, len, s->arg);
    if (s->log == NULL)
        return;
    size_t written = 0;
    int r = logfile_write(s->log, data, len, &written);
    note_rotations(s);
    if (r < 0)
        stash_put(s, data + written, len - written, r);
}

/* One read and its write: the number of bytes, 0 when there is nothing to do
 * now, -1 at end of file. */
static ssize_t move_once(struct stream *s)
{
    if (s->stash != NULL)
        return 0;
    size_t room = s->log != NULL ? logfile_room(s->log) : SIZE_MAX;
    ssize_t n = read(s->fd, chunk, room == 0 ? 1 : room < CHUNK ? room : CHUNK);
    if (n > 0)
        deliver(s, chunk, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        return -1;
    return n > 0 ? n : 0;
}

static void on_readable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    if (move_once(s) < 0)
        s->owner->closed(s, s->arg);
}

bool stream_drain(struct stream *s)
{
    size_t total = 0;
    ssize_t n;
    while (total < DRAIN_MAX && (n = move_once(s)) != 0) {
        if (n < 0)
            return true;
        total += (size_t)n;
    }
    return false;
}

int stream_new(struct loop *loop, int fd, int number, struct logfile *log, bool strip_ansi,
               const struct stream_owner *owner, void *arg, struct stream **ret)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->loop = loop;
    s->fd = fd;
    s->number = (uint8_t)number;
    s->log = log;
    s->strip_ansi = strip_ansi;
    s->owner = owner;
    s->arg = arg;
    s->rotations = log != NULL ? logfile_rotations(log) : 0;
    s->watched = true;
    int r = loop_io_set(loop, &s->io, fd, LOOP_READ, LOOP_DATA, on_readable, s);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    stash_free(s);
    loop_io_clear(&s->io);
    cleanup_close(&s->fd);
    logfile_unref(s->log);
    free(s);
}
