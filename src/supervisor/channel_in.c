/* channel_in.c - what comes from a process.
 *
 * Bytes are read into one buffer that all channels share, and lines are looked at
 * where they lie there; only a line that a read has cut is copied, and of a long one
 * only its beginning: the rest is read to where that is, and looked at while it comes.  How much is read
 * at once follows from how long the messages are, so that a process gets 128 KiB or
 * about 256 messages of a turn.  Owns descriptors from the moment they are read until
 * they are handed on with their message; every other way closes them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/fdio.h"
#include "supervisor/channel_internal.h"

#define MESSAGES_A_TURN 256
#define HANDLES_A_TURN 8 /* half of those that may wait for one receiver */
#define EAGER_TRIES 16
#define READ_LEAST 4096
#define LONG (8 * 1024)       /* a line that has so much already is read where it lies */
#define LONG_ROOM (32 * 1024) /* as much of it as that at once, or more */
#define NESTING_MAX 8         /* Node wraps a handle once more each time it sends it again, 4 times in all */

static void tell_fault(struct channel *ch, const struct channel_fault *f)
{
    if (ch->owner->fault != NULL)
        ch->owner->fault(ch, f, ch->arg);
}

static void close_strays(struct channel *ch)
{
    int fd;
    while ((fd = frame_stray_fd(&ch->frame)) >= 0) {
        close(fd);
        ch->now.counters.handles_lost++;
        tell_fault(ch, &(struct channel_fault){ .kind = CHANNEL_STRAY_HANDLE });
    }
}

/* -- one line ----------------------------------------------------------------- */

/* Not its sender's fault: its beginning has gone with another supervisor. */
static bool lost_its_head(struct channel *ch)
{
    if (!ch->headless)
        return false;
    ch->headless = false;
    ch->now.counters.cut++;
    return true;
}

static void malformed(struct channel *ch, size_t len, size_t at, const char *why)
{
    if (lost_its_head(ch))
        return;
    ch->now.counters.malformed++;
    tell_fault(ch, &(struct channel_fault){ .kind = CHANNEL_MALFORMED, .len = len, .at = at, .why = why });
}

static void deliver(struct channel *ch, struct channel_message *m)
{
    ch->now.counters.received++;
    ch->owner->message(ch, m, ch->arg);
    ch->now.counters.handles_lost += m->fd >= 0;
    cleanup_close(&m->fd);
}

/* What a handle carries may be a handle again, the same one sent once more. */
static int unwrap(struct channel *ch, struct channel_message *m, struct jsonscan *scan)
{
    for (int depth = 0; depth < NESTING_MAX; depth++) {
        struct node_handle h;
        node_handle_of(m->text, scan, &h);
        m->type = h.type;
        m->dgram = h.dgram;
        m->text += h.msg.at;
        m->len = h.msg.len;
        if (h.msg.type == JSONSCAN_NONE || jsonscan(m->text, m->len, ch->owner->keys, scan, NULL) < 0)
            return -EINVAL;
        enum node_kind kind = node_kind_of(m->text, scan);
        if (kind != NODE_HANDLE)
            return kind == NODE_PLAIN ? 0 : -ENOMSG;
    }
    return -EINVAL;
}

static void take_handle(struct channel *ch, const char *text, size_t len, struct jsonscan *scan)
{
    struct channel_message m = { .text = text, .len = len, .scan = scan, .fd = frame_take_fd(&ch->frame) };
    m.debt = m.fd >= 0 ? channel_debt_new(ch) : NULL;
    if (m.debt == NULL) {
        cleanup_close(&m.fd);
        channel_answer_ack(ch, false);
        ch->now.counters.handles_lost++;
        tell_fault(ch, &(struct channel_fault){ .kind = CHANNEL_NO_HANDLE, .len = len });
        return;
    }
    ch->now.counters.handles_received++;
    int r = unwrap(ch, &m, scan);
    if (r == 0)
        deliver(ch, &m);
    else if (r == -EINVAL)
        malformed(ch, len, 0, "a NODE_HANDLE without a message");
    cleanup_close(&m.fd);
    channel_debt_release(m.debt);
}

static void take_answer(struct channel *ch, bool arrived)
{
    if (!ch->now.unacked)
        return;
    uint64_t tag = ch->unacked_tag;
    ch->now.unacked = false;
    ch->unacked_tag = 0;
    ch->no_acks = false;
    ch->now.counters.handles_lost += !arrived;
    if (tag != 0 && ch->owner->sent != NULL)
        ch->owner->sent(ch, tag, arrived ? 0 : -EBADF, ch->arg);
    if (!ch->freed)
        channel_touch(ch);
}

static void take_question(struct channel *ch, const char *text, const struct jsonscan *scan, enum node_kind kind)
{
    char line[1024];
    size_t n = node_answer(text, scan, kind, line, sizeof(line));
    if (n > 0)
        channel_answer(ch, line, n);
}

static void take_line(struct channel *ch, const char *text, size_t len)
{
    struct jsonscan scan;
    struct jsonscan_fault why;
    if (jsonscan_rest(ch->ahead, text, len, ch->owner->keys, &scan, &why) < 0) {
        malformed(ch, len, why.at, why.why);
        return;
    }
    ch->headless = false;
    enum node_kind kind = node_kind_of(text, &scan);
    switch (kind) {
    case NODE_PLAIN:
        deliver(ch, &(struct channel_message){ .text = text, .len = len, .scan = &scan, .fd = -1 });
        break;
    case NODE_HANDLE:
        take_handle(ch, text, len, &scan);
        break;
    case NODE_ACK:
    case NODE_NACK:
        take_answer(ch, kind == NODE_ACK);
        break;
    case NODE_GET_COUNT:
    case NODE_NOTIFY_CLOSE:
        take_question(ch, text, &scan, kind);
        break;
    case NODE_OTHER:
        break;
    }
}

/* -- many lines --------------------------------------------------------------- */

static void skipped(struct channel *ch, uint64_t len)
{
    if (lost_its_head(ch))
        return;
    ch->now.counters.oversized++;
    tell_fault(ch, &(struct channel_fault){ .kind = CHANNEL_OVERSIZED, .len = len });
}

/* But the first, of messages that came.  A call takes longer than this. */
static bool same_counters(const struct channel_counters *a, const struct channel_counters *b)
{
    const uint64_t *x = &a->received, *y = &b->received;
    uint64_t differ = 0;
    for (size_t i = 1; i < sizeof(*a) / sizeof(*x); i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}

/* Nothing has happened to it but that a line was looked at which lies whole on the desk,
 * and counted if it was a message. */
static bool only_looked(const struct channel_state *a, const struct channel_state *b)
{
    return a->batch == CHANNEL_BATCH_DESK && b->batch == CHANNEL_BATCH_DESK && a->in.len == 0 && b->in.len == 0 &&
           !a->in.skipping && !b->in.skipping && a->acks == b->acks && a->nacks == b->nacks && a->owed == b->owed &&
           a->unacked == b->unacked && a->parked == b->parked && same_counters(&a->counters, &b->counters);
}

void channel_passed(struct channels *s)
{
    struct channel *ch = TAKE_PTR(s->reader);
    if (ch == NULL)
        return;
    if (!only_looked(&ch->now, channel_keep_state(ch->keep))) {
        channel_publish(ch);
        return;
    }
    channel_looked(ch);
    channel_keep_looked(ch->keep, &ch->now);
}

static void take_one(struct channel *ch, enum frame_result r, const struct frame_line *line)
{
    struct channels *s = ch->hub;
    s->reader = s->at_hand = ch;
    if (r == FRAME_LINE) {
        take_line(ch, line->text, line->len);
    } else {
        close_strays(ch);
        skipped(ch, line->len);
    }
    channel_passed(s);
    s->at_hand = NULL;
    channel_relieve(s);
    if (ch->ahead != NULL && ch->ahead->stage != JSONSCAN_AHEAD_NEW)
        *ch->ahead = (struct jsonscan_ahead){ 0 };
}

/* At what is there of a line before its end is known. */
static void look_ahead(struct channel *ch, const char *text, size_t len)
{
    if (ch->ahead == NULL)
        ch->ahead = calloc(1, sizeof(*ch->ahead));
    if (ch->ahead != NULL)
        jsonscan_ahead(ch->ahead, text, len);
}

/* A long line that is incomplete: while its sender writes the rest of it, what is there of it is looked at. */
static void look_at_part(struct channel *ch)
{
    const struct frame_state *s = &ch->now.in;
    if (s->len >= LONG && s->looked == s->len && jsonscan_have_ahead())
        look_ahead(ch, ch->frame.store + s->start, s->len);
}

/* Whoever looks at a text sees a newline as well.  So of one who sent no more than one line the last time, a
 * long one is looked at without a search for its end; were there several, they are looked at once more. */
static void look_at_long(struct channel *ch, const char *data, size_t len)
{
    if (!ch->single || len < LONG || ch->now.in.len > 0 || ch->now.in.skipping || !jsonscan_have_ahead())
        return;
    look_ahead(ch, data, data[len - 1] == '\n' ? len - 1 : len);
    if (ch->ahead != NULL)
        frame_pass(&ch->frame, jsonscan_ahead_passed(ch->ahead, data));
}

/* How many lines were taken. */
static unsigned take_lines(struct channel *ch)
{
    struct frame_line line;
    enum frame_result r;
    unsigned n = 0;
    bool full = false; /* there was no memory to keep what is left */
    while (ch->fd >= 0 && (ch->paused == 0 || full) && (r = frame_next(&ch->frame, &line)) != FRAME_MORE) {
        n++;
        take_one(ch, r, &line);
        if (ch->paused != 0 && ch->fd >= 0 && !full)
            full = frame_hold(&ch->frame) < 0;
    }
    if (ch->fd >= 0 && !frame_has_more(&ch->frame))
        close_strays(ch);
    return n;
}

void channel_look(struct channel *ch)
{
    take_lines(ch);
    if (ch->fd >= 0)
        channel_publish(ch);
}

/* As much as about that many messages of this length are. */
static void choose_size(struct channel *ch, size_t bytes, unsigned lines)
{
    size_t size = lines > 0 ? bytes / lines * MESSAGES_A_TURN : CHANNEL_READ_MAX;
    size = size < READ_LEAST ? READ_LEAST : size;
    ch->read_size = (uint32_t)(size > CHANNEL_READ_MAX ? CHANNEL_READ_MAX : size);
}

static void add_fds(struct channel *ch, const struct fdio_received *got)
{
    for (unsigned i = 0; i < got->n_fds; i++) {
        if (frame_add_fd(&ch->frame, got->fds[i]))
            continue;
        close(got->fds[i]);
        ch->now.counters.handles_lost++;
    }
}

/* The batch that is about to be read is ours, and empty until the kernel says otherwise. */
static ssize_t receive(struct channel *ch, struct fdio_received *got)
{
    struct channel_desk *d = ch->hub->desk;
    uint32_t size = 0;
    char *room = ch->now.in.len >= LONG ? frame_room(&ch->frame, LONG_ROOM, &size) : NULL;
    size = room == NULL ? ch->read_size : size < CHANNEL_READ_MAX ? size : CHANNEL_READ_MAX;
    d->in.msg_len = 0;
    ch->now.batch = room != NULL ? CHANNEL_BATCH_IN : CHANNEL_BATCH_DESK;
    channel_publish(ch);
    ssize_t n = fdio_receive(ch->fd, room != NULL ? room : d->batch, size, got, &d->in);
    if (n <= 0 || room != NULL) {
        frame_filled(&ch->frame, n > 0 ? (uint32_t)n : 0);
        ch->now.batch = CHANNEL_BATCH_NONE;
        channel_publish(ch);
    } else {
        frame_feed(&ch->frame, d->batch, (size_t)n);
        look_at_long(ch, d->batch, (size_t)n);
    }
    return n;
}

/* True: a descriptor came, and behind that a read ends. */
static bool read_once(struct channel *ch)
{
    struct fdio_received got;
    ssize_t n = receive(ch, &got);
    if (n == -EAGAIN && !ch->last_words)
        return false;
    if (n > 0 && ch->last_words) {
        n = (size_t)n > ch->last_left ? 0 : n;
        ch->last_left -= (uint32_t)n;
    }
    if (n <= 0) {
        if (!ch->broken && !ch->blocked) /* it may only have said all, and wait for what this turn owes it */
            channel_flush(ch);
        channel_end(ch);
        return false;
    }
    if (got.n_fds > 0) /* of those that were cut off, their messages will tell */
        add_fds(ch, &got);
    unsigned lines = take_lines(ch);
    if (ch->fd < 0)
        return false;
    ch->now.batch = CHANNEL_BATCH_NONE; /* what is left of it is kept */
    channel_publish(ch);
    look_at_part(ch);
    ch->single = lines <= 1;
    choose_size(ch, (size_t)n, lines);
    channel_trim_later(ch);
    return got.n_fds > 0;
}

/* With descriptors a read brings little, so there are several in a turn where that has
 * been of use lately. */
void channel_read(struct channel *ch)
{
    bool more = read_once(ch);
    if (!more || (!ch->eager && ++ch->reads % EAGER_TRIES != 0))
        return;
    for (int i = 1; i < HANDLES_A_TURN && more && ch->fd >= 0 && ch->paused == 0 && !frame_has_more(&ch->frame); i++)
        more = read_once(ch);
    ch->eager = more;
}
