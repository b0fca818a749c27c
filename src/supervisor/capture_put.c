/* capture_put.c - brings the bytes of a stream into its log.
 *
 * What a log would not take (a full disk, a stuck terminal) is stashed, a buffer
 * at most, and the stream is not read again until the log has taken it: the rest
 * waits in the pipe, the job waits with it, and nobody else notices.  Where several
 * write to one log (a run, and those before it whose pipes still hold something),
 * they stand in line from then on: a line that is half written is ended before
 * another one is begun, and runs follow each other in the log as they did in life.
 * While some stream waits for a disk, others find out by a look whether it is full,
 * and take nothing out of their pipes.  With log_overflow=drop the job does not wait:
 * capture_drop.c.  Lines that log_format rewrites are made in a shared buffer, a
 * part of what was read at a time. */
#include "supervisor/capture_put.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "os/logmove.h"
#include "supervisor/capture_drop.h"
#include "supervisor/capture_gather.h"
#include "wire/logline.h"

#define RETRY_FULL (250 * USEC_PER_MSEC)
#define RETRY_SLOW_MIN (1 * USEC_PER_MSEC) /* others may stand behind it, for a reader that is only busy */
#define RETRY_SLOW_MAX (20 * USEC_PER_MSEC)

/* Bytes as the log has them, from `done`; behind `ready` such as have not been
 * made into lines yet. */
struct stream_stash {
    struct loop_timer timer;
    int error;
    usec_t since, pause;
    bool counts; /* among those that wait for a disk */
    size_t ready, len, done;
    char data[];
};

/* One loop, one thread: both are used within a call only. */
static struct buf formatted = BUF_INIT(LOGLINE_OUT);
/* Bytes at the beginning of what is made that a predecessor has written. */
static size_t skip;

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

/* -- the line before a log ------------------------------------------------------- */

static void on_retry(void *arg);

static void join_line(struct stream *s)
{
    struct stream *last = s->log != NULL ? logfile_first(s->log) : NULL;
    if (s->in_line || s->log == NULL)
        return;
    s->in_line = true;
    s->behind = NULL;
    while (last != NULL && last->behind != NULL)
        last = last->behind;
    if (last == NULL)
        logfile_set_first(s->log, s);
    else
        last->behind = s;
}

void stream_leave_line(struct stream *s)
{
    if (!s->in_line)
        return;
    s->in_line = false;
    struct stream *before = logfile_first(s->log);
    if (before != s) {
        while (before->behind != s)
            before = before->behind;
        before->behind = s->behind;
        return;
    }
    struct stream *next = s->behind;
    logfile_set_first(s->log, next);
    if (next != NULL && next->stash != NULL)
        loop_timer_set(loop_of(&next->io), &next->stash->timer, loop_now(loop_of(&next->io)), on_retry, next);
}

/* Why it may not write before others have: 0, it may. */
static int turn_of_others(const struct stream *s)
{
    const struct stream *first = s->log != NULL ? logfile_first(s->log) : NULL;
    if (first == NULL || first == s || s->drops != NULL)
        return 0;
    return first->stash != NULL ? first->stash->error : -EAGAIN;
}

/* -- what a log does not take ------------------------------------------------- */

void stream_end_move(struct stream *s)
{
    if (s->move == NULL)
        return;
    const struct logline *l = s->lines;
    bool begun = l != NULL && l->begun.len <= MOVER_BEGUN;
    mover_end(capture_mover(s->capture), &s->move, begun ? l->begun.data : NULL, begun ? l->begun.len : 0,
              begun ? l->begun_wall : 0);
}

static struct stream_stash *stash_take(struct stream *s)
{
    struct stream_stash *stash = TAKE_PTR(s->stash);
    loop_timer_clear(&stash->timer);
    if (stash->counts)
        capture_stall(s->capture, -1);
    return stash;
}

static void stash_free(struct stream *s)
{
    if (s->stash == NULL)
        return;
    free(stash_take(s));
    stream_end_move(s);
}

/* A reader that takes nothing is asked ever more seldom. */
static usec_t pause_before(struct stream_stash *stash, bool slow)
{
    usec_t pause = slow ? stash->pause : RETRY_FULL;
    stash->pause = stash->pause * 2 < RETRY_SLOW_MAX ? stash->pause * 2 : RETRY_SLOW_MAX;
    return pause;
}

static void stash_arm(struct stream *s, int error)
{
    bool slow = error == -EAGAIN;
    s->stash->error = error;
    if (!slow && !s->told_full) {
        s->told_full = true;
        report(s, "full", error, 0);
    }
    if (turn_of_others(s) == 0) /* or else whoever leaves the line wakes it */
        loop_timer_set(loop_of(&s->io), &s->stash->timer, loop_now(loop_of(&s->io)) + pause_before(s->stash, slow),
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
    s->stash->pause = RETRY_SLOW_MIN;
    s->stash->ready = len;
    s->stash->len = len + rest_len;
    s->stash->counts = s->stash->len > 0 && error != -EAGAIN && s->capture != NULL;
    if (s->stash->counts)
        capture_stall(s->capture, 1);
    if (len > 0)
        memcpy(s->stash->data, data, len);
    if (rest_len > 0)
        memcpy(s->stash->data + len, rest, rest_len);
    join_line(s);
    stream_listen(s, false);
    stash_arm(s, error);
}

/* While others have bytes that a disk does not take, a look saves a try. */
static int trouble(const struct stream *s)
{
    int r = turn_of_others(s);
    if (r < 0 || s->capture == NULL || capture_stalled(s->capture) == 0 || s->log == NULL || s->drops != NULL)
        return r;
    return logfile_trouble(s->log);
}

bool stream_waits(struct stream *s)
{
    int r = trouble(s);
    if (r < 0)
        stash_put(s, NULL, 0, NULL, 0, r);
    return r < 0;
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
    int r = turn_of_others(s);
    if (s->drops != NULL)
        put_or_drop(s, data, len);
    else if (r == 0)
        r = write_and_tell(s, data, len, &written);
    note_rotations(s);
    if (r < 0)
        stash_put(s, data + written, len - written, rest, rest_len, r);
    return r == 0;
}

bool stream_put(struct stream *s, const char *data, size_t len)
{
    if (s->lines == NULL)
        return put(s, data, len, NULL, 0);
    bool through = true;
    usec_t wall = s->move != NULL ? move_wall(s->move) : usec_now(CLOCK_REALTIME);
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

bool stream_retry(struct stream *s)
{
    struct stream_stash *stash = s->stash;
    size_t written = 0;
    int r = stash->len == 0 ? trouble(s) : turn_of_others(s);
    if (r == 0)
        r = write_and_tell(s, stash->data + stash->done, stash->ready - stash->done, &written);
    stash->done += written;
    if (written > 0)
        stash->pause = RETRY_SLOW_MIN;
    note_rotations(s);
    if (r < 0) {
        stash_arm(s, r);
        return false;
    }
    _cleanup_free_ struct stream_stash *old = stash_take(s);
    if (!stream_put(s, old->data + old->ready, old->len - old->ready))
        return false;
    stream_end_move(s);
    if (s->told_full)
        report(s, "recovered", 0, 0);
    s->told_full = false;
    stream_listen(s, true);
    return true;
}

/* Now it is its turn: a part of what waits in its pipe follows, or else all would go to the
 * end of the line again and again; of an earlier run all, and its end, before what a later one
 * has printed. */
static void on_retry(void *arg)
{
    struct stream *s = arg;
    if (!stream_retry(s))
        return;
    if (s->lingering ? stream_drain(s) : stream_move(s) < 0)
        s->owner->closed(s, s->arg);
    else if (s->stash == NULL)
        stream_leave_line(s);
}

bool stream_retry_now(struct stream *s)
{
    struct stream *first;
    while (s->in_line && (first = logfile_first(s->log)) != s) {
        if (first->stash == NULL || !stream_retry(first))
            return false;
        if (first->lingering)
            stream_drain(first); /* its end is seen when it is read again */
        if (first->stash != NULL)
            return false;
        stream_leave_line(first);
    }
    return stream_retry(s);
}

static bool put_begun(struct stream *s)
{
    if (s->lines == NULL || s->lines->begun.len == 0)
        return true;
    buf_reset(&formatted);
    logline_flush(s->lines, &formatted);
    return put(s, formatted.data, formatted.len, NULL, 0);
}

bool stream_end_lines(struct stream *s)
{
    if (s->lines == NULL || s->lines->begun.len == 0)
        return true;
    if (s->move != NULL)
        mover_take_begun(s->move, usec_now(CLOCK_REALTIME));
    if (!put_begun(s))
        return false;
    stream_end_move(s);
    return true;
}

void stream_give_up(struct stream *s)
{
    struct stream_stash *stash = s->stash;
    size_t written = 0;
    int waiting = 0;
    int r = turn_of_others(s);
    if (r == 0)
        r = logfile_write(s->log, stash->data + stash->done, stash->ready - stash->done, &written);
    ioctl(s->fd, FIONREAD, &waiting);
    uint64_t lost = stash->len - stash->done - written + (uint64_t)waiting;
    stash_free(s);
    if (lost > 0)
        lose(s, r, lost);
}

bool stream_replay(struct stream *s, const char *data, size_t len, uint64_t done)
{
    skip = done;
    bool through = stream_put(s, data, len);
    if (through && skip > 0) /* it had begun to write the begun line as the last one */
        through = put_begun(s);
    skip = 0;
    return through;
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
