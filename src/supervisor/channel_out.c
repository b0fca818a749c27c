/* channel_out.c - what waits to go to a process.
 *
 * Owns the lines that wait and the descriptors that go with some of them; how they go
 * is channel_write.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/channel_internal.h"

#define ANSWERS_MAX (16 * 1024) /* a process that asks and does not read the answers is not read */

void channel_tell(struct channel *ch, uint64_t tag, int result)
{
    if (tag != 0 && ch->owner->sent != NULL)
        ch->owner->sent(ch, tag, result, ch->arg);
}

/* -- queueing ------------------------------------------------------------------- */

/* Where the messages that wait begin, in all that was ever queued. */
uint64_t channel_out_start(const struct channel *ch)
{
    return ch->out_end - ch->out.len;
}

size_t channel_queued_bytes(const struct channel *ch)
{
    return ch->out.len;
}

uint32_t channel_queued(const struct channel *ch)
{
    return ch->now.queued + (ch->now.rest_len > 0 && ch->now.rest_is_message);
}

bool channel_is_full(const struct channel *ch)
{
    return ch->wants_room;
}

void channel_want_room(struct channel *ch)
{
    ch->wants_room = true;
    channel_touch(ch);
}

bool channel_out_is_empty(const struct channel *ch)
{
    return ch->out.len == 0 && ch->now.rest_len == 0 && ch->now.acks == 0 && ch->now.nacks == 0 &&
           ch->answers_len == 0 && !ch->now.unacked && ch->now.owed == 0;
}

static bool has_room(const struct channel *ch, size_t len, unsigned flags)
{
    bool reserve = (flags & CHANNEL_RESERVE) != 0;
    if (ch->out.len == 0 || (flags & CHANNEL_MUST) != 0)
        return true; /* one message is always taken */
    if (ch->out.len + len > CHANNEL_HELD_LEAST && !channel_bytes_fit(ch->hub, &ch->out, len))
        return false;
    return ch->out.len + len <= ch->queue_bytes + (reserve ? CHANNEL_RESERVE_BYTES : 0) &&
           ch->now.queued < ch->queue_messages + (reserve ? CHANNEL_RESERVE_MESSAGES : 0);
}

/* A queue may be full only because the turn is not over yet.  But while a line is at hand nothing is written:
 * what a write leaves may move the room that the line lies in, and what it settles would be noted of a line
 * that is half done. */
int channel_make_room(struct channel *ch, size_t len, unsigned flags)
{
    if (ch->fd < 0 || ch->broken || ch->closing)
        return -EPIPE;
    if (!has_room(ch, len, flags) && !ch->blocked && ch->hub->at_hand == NULL)
        channel_flush(ch);
    if (ch->broken)
        return -EPIPE;
    if (has_room(ch, len, flags))
        return channel_bytes_reserve(ch->hub, &ch->out, len);
    ch->wants_room = true;
    channel_touch(ch);
    return -ENOBUFS;
}

static char *lay_down(char *at, const struct iovec *parts, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        at = mempcpy(at, parts[i].iov_base, parts[i].iov_len);
    *at++ = '\n';
    return at;
}

/* A message waits now, and whoever goes on after us knows of it, before its sender's line counts as
 * looked at: who is killed between the two has lost it, rather than sent it twice. */
static void count_waiting(struct channel *ch)
{
    ch->keep->states[ch->keep->current].queued = ++ch->now.queued;
    channel_passed(ch->hub);
}

/* There is no use in more than goes at once, and a queue that is half full has no room for much. */
static void note_weight(struct channel *ch)
{
    bool heavy = ch->out.len + CHANNEL_PIECE > CHANNEL_AT_ONCE || ch->out.len > ch->queue_bytes / 2 ||
                 ch->now.queued > ch->queue_messages / 2;
    if (heavy && ch->hub->at_hand != NULL)
        ch->hub->heavy = ch;
}

void channel_relieve(struct channels *s)
{
    struct channel *ch = TAKE_PTR(s->heavy);
    if (ch != NULL && ch->fd >= 0 && !ch->blocked)
        channel_flush(ch);
}

void channel_append(struct channel *ch, const struct iovec *parts, unsigned n)
{
    char *to = ch->out.data + ch->out.head + ch->out.len;
    char *at = lay_down(to, parts, n);
    ch->out.len += (size_t)(at - to);
    ch->out_end += (size_t)(at - to);
    if (at - to > CHANNEL_PIECE)
        ch->long_end = ch->out_end;
    count_waiting(ch);
    note_weight(ch);
    channel_touch(ch);
}

/* Until both channels know of it, it counts as one of those that wait. */
static void put_whole(struct channel *ch, const struct iovec *parts, unsigned n, size_t len)
{
    lay_down(channel_keep_rest_room(ch->keep), parts, n);
    count_waiting(ch);
    ch->now.queued--;
    ch->now.rest_start = 0;
    ch->now.rest_len = (uint32_t)len;
    ch->now.rest_is_message = true;
    channel_publish(ch);
}

/* A long line that is next goes at once, or is put where it has to be before it goes: one
 * copy less.  Only into a room that is there already, since the parts may lie beside it. */
static bool append_long(struct channel *ch, const struct iovec *parts, unsigned n, size_t len)
{
    if (len <= CHANNEL_PIECE || ch->out.len > 0 || ch->now.rest_len > 0 || len > ch->keep->rest_size)
        return false;
    if (!channel_send_through(ch, parts, n, len))
        put_whole(ch, parts, n, len);
    ch->out_end += len;
    channel_bytes_done(ch->hub, &ch->out);
    channel_trim_later(ch);
    channel_touch(ch);
    return true;
}

size_t channel_line_length(const struct iovec *parts, unsigned n)
{
    size_t len = 1;
    for (unsigned i = 0; i < n; i++)
        len += parts[i].iov_len;
    return len;
}

int channel_send(struct channel *ch, const struct iovec *parts, unsigned n, unsigned flags, uint64_t tag)
{
    size_t len = channel_line_length(parts, n);
    int r = channel_make_room(ch, len, flags);
    if (r == 0 && tag != 0)
        r = channel_marks_add(&ch->tags, (struct channel_mark){
                                             .start = ch->out_end, .end = ch->out_end + len, .tag = tag, .fd = -1 });
    if (r == 0 && (tag != 0 || !append_long(ch, parts, n, len))) /* what somebody may cancel stays in the queue */
        channel_append(ch, parts, n);
    return r;
}

void channel_answer_ack(struct channel *ch, bool arrived)
{
    if (arrived)
        ch->now.acks++;
    else
        ch->now.nacks++;
    channel_touch(ch);
}

void channel_answer(struct channel *ch, const char *line, size_t len)
{
    char *grown = realloc(ch->answers, ch->answers_len + len);
    if (grown == NULL)
        return;
    ch->answers = grown;
    memcpy(ch->answers + ch->answers_len, line, len);
    ch->answers_len += (uint32_t)len;
    if (ch->answers_len > ANSWERS_MAX)
        channel_pause(ch, CHANNEL_PAUSE_ANSWERS);
    channel_touch(ch);
}

/* -- what has gone, and what never will ------------------------------------------- */

void channel_settle(struct channel *ch)
{
    const struct channel_mark *m;
    uint64_t taken = channel_out_start(ch) - (ch->now.rest_len > 0 && ch->now.rest_is_message);
    while (!ch->freed && (m = channel_marks_first(&ch->tags)) != NULL && m->end <= taken)
        channel_tell(ch, channel_marks_pop(&ch->tags).tag, 0);
    if (!ch->freed)
        channel_look_at_unacked(ch);
}

void channel_out_forget(struct channel *ch, int error)
{
    ch->now.counters.bounced += channel_queued(ch);
    ch->now.queued = 0;
    ch->now.rest_len = 0;
    ch->now.acks = ch->now.nacks = 0;
    ch->answers_len = 0;
    free(TAKE_PTR(ch->answers));
    channel_bytes_done(ch->hub, &ch->out);
    if (ch->now.unacked)
        channel_tell(ch, ch->unacked_tag, error);
    ch->now.unacked = false;
    channel_handles_forget(ch, error);
    while (ch->tags.n > 0)
        channel_tell(ch, channel_marks_pop(&ch->tags).tag, error);
    free(TAKE_PTR(ch->handles.list));
    free(TAKE_PTR(ch->tags.list));
    ch->handles = ch->tags = (struct channel_marks){ 0 };
}
