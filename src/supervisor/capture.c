/* capture.c - moves what jobs print into their logs.
 *
 * Owns the read ends of the jobs' pipes.  Bytes pass through one buffer that all
 * streams share and are written in the same turn; what a log would not take (a
 * full disk, a stuck terminal) is stashed, a buffer at most, and the stream is
 * not read again until the log has taken it: the rest waits in the pipe, the job
 * waits with it, and nobody else notices.  With log_overflow=drop the job does
 * not wait: capture_drop.c.  Lines that log_format rewrites are made in a second
 * shared buffer, a part of the first at a time. */
#include "supervisor/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/logmove.h"
#include "supervisor/capture_drop.h"
#include "supervisor/capture_gather.h"
#include "supervisor/kept.h"
#include "wire/logline.h"

#define CHUNK (64 * 1024)
#define DRAIN_MAX (1024 * 1024 + CHUNK) /* what a pipe of the largest usual size holds */
#define DIRECT_MAX (4 * CHUNK)          /* a job may have made its pipe large; others want their turn */
#define RETRY_FULL (250 * USEC_PER_MSEC)
#define RETRY_SLOW (20 * USEC_PER_MSEC)

/* Bytes as the log has them, from `done`; behind `ready` such as have not been
 * made into lines yet. */
struct stream_stash {
    struct loop_timer timer;
    int error;
    usec_t since;
    size_t ready, len, done;
    char data[];
};

/* One loop, one thread: all are used within a call only. */
static char chunk[CHUNK];
static struct buf formatted = BUF_INIT(LOGLINE_OUT);
/* Bytes at the beginning of what is made that a predecessor has written. */
static size_t skip;

static void on_readable(int fd, unsigned what, void *arg);

void stream_listen(struct stream *s, bool on)
{
    if (s->watched == on)
        return;
    s->watched = on;
    loop_io_set(loop_of(&s->io), &s->io, s->fd, on ? LOOP_READ : 0, LOOP_DATA, on_readable, s);
}

static void report(struct stream *s, const char *reason, int error, uint64_t bytes)
{
    s->owner->report(s, &(struct stream_report){ .reason = reason, .error = error, .bytes = bytes }, s->arg);
}

static void lose(struct stream *s, int error, uint64_t bytes)
{
    s->owner->dropped(s, bytes, s->arg);
    report(s, "dropped", error, bytes);
}

static void note_rotations(struct stream *s)
{
    unsigned n = logfile_rotations(s->log);
    if (n != s->rotations)
        report(s, "rotated", 0, 0);
    s->rotations = n;
}

/* -- what a log does not take ------------------------------------------------- */

/* All that was taken is written; what is begun of a line stays with the move. */
static void end_move(struct stream *s)
{
    if (s->move == NULL)
        return;
    const struct logline *l = s->lines;
    bool begun = l != NULL && l->begun.len <= MOVER_BEGUN;
    mover_end(capture_mover(s->capture), &s->move, begun ? l->begun.data : NULL, begun ? l->begun.len : 0,
              begun ? l->begun_wall : 0);
}

static void stash_free(struct stream *s)
{
    if (s->stash == NULL)
        return;
    loop_timer_clear(&s->stash->timer);
    free(TAKE_PTR(s->stash));
    end_move(s);
}

static void on_retry(void *arg);

static void stash_arm(struct stream *s, int error)
{
    bool slow = error == -EAGAIN;
    s->stash->error = error;
    if (!slow && !s->told_full) {
        s->told_full = true;
        report(s, "full", error, 0);
    }
    loop_timer_set(loop_of(&s->io), &s->stash->timer, loop_now(loop_of(&s->io)) + (slow ? RETRY_SLOW : RETRY_FULL),
                   on_retry, s);
}

/* Keeps the bytes that the log refused, and those of the same read that come
 * after them.  Without memory for that the stream cannot keep its promise; the
 * loss is reported, never silent. */
static void stash_put(struct stream *s, const char *data, size_t len, const char *rest, size_t rest_len, int error)
{
    s->stash = calloc(1, sizeof(*s->stash) + len + rest_len);
    if (s->stash == NULL) {
        lose(s, -ENOMEM, len + rest_len);
        return;
    }
    s->stash->since = loop_now(loop_of(&s->io));
    s->stash->ready = len;
    s->stash->len = len + rest_len;
    memcpy(s->stash->data, data, len);
    if (rest_len > 0)
        memcpy(s->stash->data + len, rest, rest_len);
    stream_listen(s, false);
    stash_arm(s, error);
}

/* Followers read the file first and hear of what comes after, so they are told
 * what is written and nothing else. */
static int write_and_tell(struct stream *s, const char *data, size_t len, size_t *written)
{
    logfile_set_move(s->log, s->move);
    int r = logfile_write(s->log, data, len, written);
    logfile_set_move(s->log, NULL);
    if (*written > 0)
        s->owner->logged(s, data, *written, s->arg);
    return r;
}

static void put_or_drop(struct stream *s, const char *data, size_t len)
{
    logfile_set_move(s->log, s->move);
    stream_put_or_drop(s, data, len);
    logfile_set_move(s->log, NULL);
}

/* `rest`: what was read with these bytes and is to follow them.  False when it
 * must wait with them. */
static bool put(struct stream *s, const char *data, size_t len, const char *rest, size_t rest_len)
{
    if (len == 0)
        return true;
    if (s->log == NULL) {
        s->owner->logged(s, data, len, s->arg);
        return true;
    }
    size_t skipped = len < skip ? len : skip;
    skip -= skipped;
    data += skipped;
    len -= skipped;
    size_t written = 0;
    int r = 0;
    if (s->drops != NULL)
        put_or_drop(s, data, len);
    else
        r = write_and_tell(s, data, len, &written);
    note_rotations(s);
    if (r < 0)
        stash_put(s, data + written, len - written, rest, rest_len, r);
    return r == 0;
}

static usec_t wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* False when something waits. */
static bool take(struct stream *s, const char *data, size_t len)
{
    if (s->lines == NULL)
        return put(s, data, len, NULL, 0);
    bool through = true;
    usec_t wall = s->move != NULL ? move_wall(s->move) : wall_now();
    while (len > 0 && through) {
        buf_reset(&formatted);
        size_t used = logline_format(s->lines, wall, data, len, &formatted);
        if (formatted.error != 0)
            lose(s, formatted.error, used);
        data += used;
        len -= used;
        through = put(s, formatted.data, formatted.len, data, len);
    }
    return through;
}

static void on_retry(void *arg)
{
    struct stream *s = arg;
    struct stream_stash *stash = s->stash;
    size_t written = 0;
    int r = write_and_tell(s, stash->data + stash->done, stash->ready - stash->done, &written);
    stash->done += written;
    note_rotations(s);
    if (r < 0) {
        stash_arm(s, r);
        return;
    }
    _cleanup_free_ struct stream_stash *old = TAKE_PTR(s->stash);
    loop_timer_clear(&old->timer);
    if (!take(s, old->data + old->ready, old->len - old->ready))
        return;
    end_move(s);
    if (s->told_full)
        report(s, "recovered", 0, 0);
    s->told_full = false;
    stream_listen(s, true);
}

/* -- reading ---------------------------------------------------------------- */

static void deliver(struct stream *s, char *data, size_t len)
{
    if (s->strip_ansi)
        len = ansi_strip(&s->ansi, data, len);
    if (len == 0)
        return;
    s->owner->output(s, data, len, s->arg);
    take(s, data, len);
}

static bool put_begun(struct stream *s)
{
    if (s->lines == NULL || s->lines->begun.len == 0)
        return true;
    buf_reset(&formatted);
    logline_flush(s->lines, &formatted);
    return put(s, formatted.data, formatted.len, NULL, 0);
}

/* The end has come in the middle of a line.  False when the log has no room for
 * that: then the end comes when it has. */
static bool end_lines(struct stream *s)
{
    if (s->lines == NULL || s->lines->begun.len == 0)
        return true;
    if (s->move != NULL)
        mover_take_begun(s->move, wall_now());
    if (!put_begun(s))
        return false;
    end_move(s);
    return true;
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

/* Much at once, that nobody looks at, goes straight from the pipe to the file. */
static ssize_t move_unseen(struct stream *s)
{
    int waiting = 0;
    if (!is_plain(s) || s->owner->watched(s, s->arg) || ioctl(s->fd, FIONREAD, &waiting) < 0)
        return 0;
    return (ssize_t)logfile_splice(s->log, s->fd, waiting < DIRECT_MAX ? (size_t)waiting : DIRECT_MAX);
}

/* Takes what there is, through a mover where that can be, and passes it on.  The
 * number of bytes, 0 at end of file, or a negative errno. */
static ssize_t take_chunk(struct stream *s)
{
    ssize_t n = -ENOBUFS;
    struct mover *mover = capture_mover(s->capture);
    if (mover != NULL && s->log != NULL && logfile_is_file(s->log))
        n = mover_take(mover, s->fd, chunk, CHUNK, s->lines != NULL ? wall_now() : 0, s->ansi, &s->move);
    if (n == -ENOBUFS || n == -EINVAL || n == -EMFILE || n == -ENFILE) {
        n = read(s->fd, chunk, read_size(s));
        n = n < 0 ? -errno : n;
    }
    if (n > 0)
        deliver(s, chunk, (size_t)n);
    if (n > 0 && s->stash == NULL)
        end_move(s);
    return n;
}

/* One read and its write: the number of bytes, 0 when there is nothing to do
 * now, -1 at end of file. */
static ssize_t move_once(struct stream *s)
{
    if (s->stash != NULL)
        return 0;
    ssize_t n = move_unseen(s);
    if (n == 0)
        n = take_chunk(s);
    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n <= 0)
        return end_lines(s) ? -1 : 0;
    return n;
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

int stream_trouble(const struct stream *s, usec_t *since)
{
    if (s->drops != NULL)
        return stream_drops_error(s->drops, since);
    if (s->stash == NULL)
        return 0;
    *since = s->stash->since;
    return s->stash->error;
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
    s->ansi = mind.state;
    if (s->lines != NULL)
        logline_resume(s->lines, mind.begun_wall, move_begun(s->move), mind.begun);
    skip = done;
    size_t len = n > 0 ? (size_t)n : 0;
    if (s->strip_ansi)
        len = ansi_strip(&s->ansi, chunk, len);
    bool through = take(s, chunk, len);
    if (through && skip > 0) /* it had begun to write the begun line as the last one */
        through = put_begun(s);
    skip = 0;
    if (through)
        end_move(s);
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

/* One more try, since nothing is tried after it. */
static void give_up_stash(struct stream *s)
{
    struct stream_stash *stash = s->stash;
    size_t written = 0;
    int waiting = 0;
    int r = logfile_write(s->log, stash->data + stash->done, stash->ready - stash->done, &written);
    ioctl(s->fd, FIONREAD, &waiting);
    uint64_t lost = stash->len - stash->done - written + (uint64_t)waiting;
    stash_free(s);
    if (lost > 0)
        lose(s, r, lost);
}

void stream_free(struct stream *s)
{
    if (s == NULL)
        return;
    if (s->stash != NULL)
        give_up_stash(s);
    else
        end_lines(s);
    if (s->stash != NULL) /* not even the begun line went in */
        give_up_stash(s);
    if (s->drops != NULL)
        stream_drops_end(s);
    gather_end(s);
    loop_io_clear(&s->io);
    kept_close(&s->fd);
    logfile_unref(s->log);
    free_parts(s);
}
