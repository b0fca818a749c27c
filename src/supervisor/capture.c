/* capture.c - moves what jobs print into their logs.
 *
 * Owns the read ends of the jobs' pipes.  Much at once goes from the pipe to the
 * file without us; all else passes through one buffer that all streams share, is
 * looked at by whoever follows, and is written in the same turn (capture_put.c). */
#include "supervisor/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/logmove.h"
#include "supervisor/capture_drop.h"
#include "supervisor/capture_gather.h"
#include "supervisor/capture_put.h"
#include "supervisor/kept.h"
#include "wire/logline.h"

#define CHUNK (64 * 1024)
#define DRAIN_MAX (1024 * 1024 + CHUNK) /* what a pipe of the largest usual size holds */
#define DIRECT_MAX (4 * CHUNK)          /* a job may have made its pipe large; others want their turn */

/* One loop, one thread: it is used within a call only. */
static char chunk[CHUNK];

static void on_readable(int fd, unsigned what, void *arg);

void stream_listen(struct stream *s, bool on)
{
    if (s->watched == on)
        return;
    s->watched = on;
    loop_io_set(loop_of(&s->io), &s->io, s->fd, on ? LOOP_READ : 0, LOOP_DATA, on_readable, s);
}

/* -- reading ---------------------------------------------------------------- */

static void deliver(struct stream *s, char *data, size_t len)
{
    if (s->strip_ansi)
        len = ansi_strip(&s->ansi, data, len);
    if (len == 0)
        return;
    s->owner->output(s, data, len, s->arg);
    stream_put(s, data, len);
}

/* A log without room is found out with one byte, and the rest stays in the pipe. */
static size_t read_size(const struct stream *s)
{
    size_t room = s->log != NULL && s->drops == NULL ? logfile_room(s->log) : SIZE_MAX;
    return room == 0 ? 1 : room < CHUNK ? room : CHUNK;
}

/* Whether the log gets exactly what the job prints, and nobody else wants it. */
static bool is_plain(const struct stream *s)
{
    return s->log != NULL && s->lines == NULL && s->drops == NULL && !s->strip_ansi;
}

/* Much at once, that nobody looks at, goes straight from the pipe to the file.  *all: and
 * the file took it. */
static ssize_t move_unseen(struct stream *s, bool *all)
{
    int waiting = 0;
    *all = false;
    if (!is_plain(s) || s->owner->watched(s, s->arg) || ioctl(s->fd, FIONREAD, &waiting) < 0)
        return 0;
    size_t most = waiting < DIRECT_MAX ? (size_t)waiting : DIRECT_MAX;
    size_t n = logfile_splice(s->log, s->fd, most);
    *all = n == most;
    return (ssize_t)n;
}

/* Takes what there is, through a mover where that can be, and passes it on.  The
 * number of bytes, 0 at end of file, or a negative errno. */
static ssize_t take_chunk(struct stream *s)
{
    ssize_t n = -ENOBUFS;
    struct mover *mover = capture_mover(s->capture);
    if (mover != NULL && s->log != NULL && logfile_is_file(s->log))
        n = mover_take(mover, s->fd, chunk, CHUNK, s->lines != NULL ? usec_now(CLOCK_REALTIME) : 0, s->ansi, &s->move);
    if (n < 0 && n != -EAGAIN && n != -EINTR) { /* a mover that cannot is no end of what the job prints */
        n = read(s->fd, chunk, read_size(s));
        n = n < 0 ? -errno : n;
    }
    if (n > 0)
        deliver(s, chunk, (size_t)n);
    if (n > 0 && s->stash == NULL)
        stream_end_move(s);
    return n;
}

/* One read and its write: the number of bytes, 0 when there is nothing to do
 * now, -1 at end of file. */
static ssize_t move_once(struct stream *s)
{
    if (s->stash != NULL || stream_waits(s))
        return 0;
    bool all;
    ssize_t moved = move_unseen(s, &all);
    if (moved > 0 && all)
        return moved;
    ssize_t n = take_chunk(s); /* where the file is full it stands in line from here on */
    if (n == -EAGAIN || n == -EINTR || (n <= 0 && moved > 0))
        return moved;
    if (n <= 0)
        return stream_end_lines(s) ? -1 : 0;
    return moved + n;
}

static void on_readable(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct stream *s = arg;
    if (gather_begin(s))
        return;
    ssize_t n = move_once(s);
    if (n < 0)
        s->owner->closed(s, s->arg);
    else
        gather_note(s, (size_t)n);
}

ssize_t stream_move(struct stream *s)
{
    ssize_t total = 0, n;
    do {
        n = move_once(s);
        total += n > 0 ? n : 0;
    } while (n == CHUNK && total < DIRECT_MAX);
    return n < 0 ? n : total;
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

/* -- birth and end ------------------------------------------------------------ */

static int make_parts(struct stream *s, const struct stream_options *o)
{
    if (o->format != LOG_FORMAT_RAW) {
        s->lines = malloc(sizeof(*s->lines));
        if (s->lines == NULL)
            return -ENOMEM;
        logline_init(s->lines, o->format, o->process, s->number == 1 ? "stdout" : "stderr");
    }
    return o->overflow == LOG_OVERFLOW_DROP ? stream_drops_new(&s->drops) : 0;
}

static void free_parts(struct stream *s)
{
    if (s->lines != NULL)
        logline_done(s->lines);
    free(s->lines);
    free(s->drops);
    free(s);
}

/* What a predecessor took out of this pipe and did not bring to its end. */
static void resume(struct stream *s)
{
    struct mover *m = s->log != NULL ? capture_mover(s->capture) : NULL;
    struct move_mind mind;
    uint64_t done;
    if (m == NULL)
        return;
    logfile_settle(s->log, m);
    ssize_t n = mover_resume(m, s->fd, chunk, &mind, &done, &s->move);
    if (s->move == NULL)
        return;
    s->ansi = (enum ansi_state)mind.state;
    if (s->lines != NULL)
        logline_resume(s->lines, mind.begun_wall, move_begun(s->move), mind.begun);
    size_t len = n > 0 ? (size_t)n : 0;
    if (s->strip_ansi)
        len = ansi_strip(&s->ansi, chunk, len);
    if (stream_replay(s, chunk, len, done))
        stream_end_move(s);
}

int stream_new(struct loop *loop, int fd, int number, struct logfile *log, const struct stream_options *o,
               const struct stream_owner *owner, void *arg, struct stream **ret)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    s->fd = fd;
    s->number = (uint8_t)number;
    s->log = log;
    s->strip_ansi = o->strip_ansi;
    s->capture = o->capture;
    s->owner = owner;
    s->arg = arg;
    s->rotations = log != NULL ? logfile_rotations(log) : 0;
    s->watched = true;
    int r = make_parts(s, o);
    if (r == 0)
        r = loop_io_set(loop, &s->io, fd, LOOP_READ, LOOP_DATA, on_readable, s);
    if (r < 0) {
        free_parts(s);
        return r;
    }
    resume(s);
    *ret = s;
    return 0;
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    if (s->stash != NULL && stream_retry_now(s)) /* there may be room again since it was tried last */
        stream_drain(s);
    if (s->stash != NULL)
        stream_give_up(s);
    else
        stream_end_lines(s);
    if (s->stash != NULL) /* not even the begun line went in */
        stream_give_up(s);
    if (s->drops != NULL)
        stream_drops_end(s);
    stream_leave_line(s);
    gather_end(s);
    loop_io_clear(&s->io);
    kept_close(&s->fd);
    logfile_unref(s->log);
    free_parts(s);
}
