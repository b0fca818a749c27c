/* channel_out.c - what goes to a process.
 *
 * Owns the lines that wait and the descriptors that go with some of them.  There are
 * three lanes.  First what is left of a line of which the socket has the beginning;
 * then words of the protocol (acknowledgements, answers to Node's questions), which
 * never wait behind messages; then messages, in their order.  All of it that may go
 * leaves in one write, but a line with a descriptor has a write of its own, because
 * the kernel gives a descriptor to whoever reads the first byte of its write. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/fdio.h"
#include "supervisor/channel_internal.h"

#define ANSWERS_MAX (16 * 1024) /* a process that asks and does not read the answers is not read */
#define WORDS 16                /* acknowledgements in one write */
#define PIECE (32 * 1024)

#define FOUR(x) x x x x
static const char acks[] = FOUR(FOUR(NODE_ACK_LINE)), nacks[] = FOUR(FOUR(NODE_NACK_LINE));
#define ACK_LEN (sizeof(NODE_ACK_LINE) - 1)
#define NACK_LEN (sizeof(NODE_NACK_LINE) - 1)

static void tell(struct channel *ch, uint64_t tag, int result)
{
    if (tag != 0 && ch->owner->sent != NULL)
        ch->owner->sent(ch, tag, result, ch->arg);
}

/* -- queueing ------------------------------------------------------------------- */

size_t channel_queued_bytes(const struct channel *ch)
{
    return ch->out.len;
}

uint32_t channel_queued(const struct channel *ch)
{
    return ch->n_out + (ch->keep->rest_len > 0 && ch->keep->rest_is_message);
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
    return ch->out.len == 0 && ch->keep->rest_len == 0 && ch->keep->acks == 0 && ch->keep->nacks == 0 &&
           ch->answers_len == 0 && !ch->keep->unacked;
}

static bool has_room(const struct channel *ch, size_t len, unsigned flags)
{
    bool reserve = (flags & CHANNEL_RESERVE) != 0;
    if (ch->out.len == 0 || (flags & CHANNEL_MUST) != 0)
        return true; /* one message is always taken */
    return ch->out.len + len <= ch->queue_bytes + (reserve ? CHANNEL_RESERVE_BYTES : 0) &&
           ch->n_out < ch->queue_messages + (reserve ? CHANNEL_RESERVE_MESSAGES : 0);
}

/* A queue may be full only because the turn is not over yet. */
static int make_room(struct channel *ch, size_t len, unsigned flags)
{
    if (ch->fd < 0 || ch->broken || ch->closing)
        return -EPIPE;
    if (!has_room(ch, len, flags) && !ch->blocked)
        channel_flush(ch);
    if (ch->broken)
        return -EPIPE;
    if (has_room(ch, len, flags))
        return channel_bytes_reserve(ch->hub, &ch->out, len);
    ch->wants_room = true;
    channel_touch(ch);
    return -ENOBUFS;
}

static void append(struct channel *ch, const struct iovec *parts, unsigned n)
{
    char *to = ch->out.data + ch->out.head + ch->out.len;
    char *at = to;
    for (unsigned i = 0; i < n; i++)
        at = mempcpy(at, parts[i].iov_base, parts[i].iov_len);
    *at++ = '\n';
    ch->out.len += (size_t)(at - to);
    ch->out_end += (size_t)(at - to);
    ch->n_out++;
    channel_touch(ch);
}

static size_t length_of(const struct iovec *parts, unsigned n)
{
    size_t len = 1;
    for (unsigned i = 0; i < n; i++)
        len += parts[i].iov_len;
    return len;
}

int channel_send(struct channel *ch, const struct iovec *parts, unsigned n, unsigned flags, uint64_t tag)
{
    size_t len = length_of(parts, n);
    int r = make_room(ch, len, flags);
    if (r == 0 && tag != 0)
        r = channel_marks_add(&ch->tags, (struct channel_mark){ .end = ch->out_end + len, .tag = tag, .fd = -1 });
    if (r == 0)
        append(ch, parts, n);
    return r;
}

int channel_send_handle(struct channel *ch, const struct iovec *parts, unsigned n, int fd, uint64_t tag)
{
    size_t len = length_of(parts, n);
    int r = make_room(ch, len, 0);
    if (r == 0 && ch->handles.n >= CHANNEL_HANDLES_MAX) {
        ch->wants_room = true;
        r = -ENOBUFS;
    }
    if (r == 0)
        r = channel_marks_add(&ch->handles, (struct channel_mark){
                                                .start = ch->out_end, .end = ch->out_end + len, .tag = tag, .fd = fd });
    if (r == 0)
        append(ch, parts, n);
    return r;
}

void channel_answer_ack(struct channel *ch, bool arrived)
{
    if (arrived)
        ch->keep->acks++;
    else
        ch->keep->nacks++;
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

/* -- writing -------------------------------------------------------------------- */

/* Where the messages that wait begin, in all that was ever queued. */
static uint64_t out_start(const struct channel *ch)
{
    return ch->out_end - ch->out.len;
}

static size_t count_lines(const char *data, size_t len)
{
    size_t n = 0;
    for (const char *end = data + len; (data = memchr(data, '\n', (size_t)(end - data))) != NULL; data++)
        n++;
    return n;
}

/* What the socket has not taken of a line is kept apart.  Without memory for it nothing
 * may be written any more: half a line followed by another is worse than an end. */
static void keep_rest(struct channel *ch, const char *data, size_t len, bool is_message)
{
    ch->keep->rest_is_message = is_message;
    if (channel_keep_rest(&ch->keep, ch->memory, data, len) < 0)
        ch->broken = true;
    channel_moved(ch);
}

/* Each of these is told that `n` bytes of its part were taken, and returns how many of
 * them were its own to count: all parts before the last one were taken whole. */
static void took_rest(struct channel *ch, size_t n)
{
    struct channel_keep *k = ch->keep;
    k->rest_start += (uint32_t)n;
    k->rest_len -= (uint32_t)n;
    if (k->rest_len == 0 && k->rest_is_message)
        ch->keep->counters.sent++;
}

static uint32_t took_words(struct channel *ch, uint32_t owed, size_t n, const char *line, size_t len)
{
    uint32_t whole = (uint32_t)(n / len);
    if (n % len != 0) {
        keep_rest(ch, line + n % len, len - n % len, false);
        whole++;
    }
    return owed - whole;
}

static void took_acks(struct channel *ch, size_t n)
{
    ch->keep->acks = took_words(ch, ch->keep->acks, n, NODE_ACK_LINE, ACK_LEN);
}

static void took_nacks(struct channel *ch, size_t n)
{
    ch->keep->nacks = took_words(ch, ch->keep->nacks, n, NODE_NACK_LINE, NACK_LEN);
}

static void took_answers(struct channel *ch, size_t n)
{
    if (n < ch->answers_len && ch->answers[n - 1] != '\n') {
        const char *end = (const char *)memchr(ch->answers + n, '\n', ch->answers_len - n) + 1;
        keep_rest(ch, ch->answers + n, (size_t)(end - ch->answers) - n, false);
        n = (size_t)(end - ch->answers);
    }
    ch->answers_len -= (uint32_t)n;
    memmove(ch->answers, ch->answers + n, ch->answers_len);
    if (ch->answers_len > 0)
        return;
    free(TAKE_PTR(ch->answers));
    channel_resume(ch, CHANNEL_PAUSE_ANSWERS);
}

static void took_messages(struct channel *ch, size_t n)
{
    const char *data = ch->out.data + ch->out.head;
    bool all = n == ch->out.len;
    size_t lines = all ? ch->n_out : count_lines(data, n);
    ch->keep->counters.sent += lines;
    ch->n_out -= (uint32_t)lines;
    if (!all && data[n - 1] != '\n') {
        const char *end = (const char *)memchr(data + n, '\n', ch->out.len - n) + 1;
        keep_rest(ch, data + n, (size_t)(end - data) - n, true);
        ch->n_out--;
        n = (size_t)(end - data);
    }
    channel_bytes_consume(ch->hub, &ch->out, n);
}

/* The descriptor has gone with the first byte. */
static void took_handle(struct channel *ch, size_t n)
{
    struct channel_mark m = channel_marks_pop(&ch->handles);
    close(m.fd);
    ch->keep->counters.handles_sent++;
    if (ch->no_acks) {
        if (m.tag != 0)
            channel_marks_add(&ch->tags, (struct channel_mark){ .end = m.end, .tag = m.tag, .fd = -1 });
    } else {
        ch->keep->unacked = true;
        ch->unacked_tag = m.tag;
        ch->unacked_until = loop_now(ch->hub->loop) + CHANNEL_ACK_WAIT;
        channel_slow(ch);
    }
    took_messages(ch, n);
}

enum { PARTS = 5 };

/* What goes into one write. */
struct batch {
    struct iovec parts[PARTS];
    void (*took[PARTS])(struct channel *ch, size_t n);
    unsigned n;
    size_t len;
    int pass;
};

static void add_part(struct batch *b, const char *data, size_t len, void (*took)(struct channel *, size_t))
{
    if (len == 0)
        return;
    b->parts[b->n] = (struct iovec){ .iov_base = (char *)data, .iov_len = len };
    b->took[b->n++] = took;
    b->len += len;
}

/* A write of this size the kernel takes whole or not at all (unix(7) does not say so; it
 * is one buffer of its own), so that who is killed after it has left no half line behind,
 * unless a single line is longer. */
static size_t piece_of(const char *data, size_t len, const struct batch *b)
{
    size_t room = b->len < PIECE ? PIECE - b->len : 0;
    if (len <= room)
        return len;
    const char *last = room > 0 ? memrchr(data, '\n', room) : NULL;
    if (last == NULL && b->n > 0)
        return 0; /* it goes alone, and next */
    if (last == NULL)
        last = memchr(data + room, '\n', len - room);
    return (size_t)(last - data) + 1;
}

static void add_messages(const struct channel *ch, struct batch *b)
{
    const struct channel_mark *handle = channel_marks_first(&ch->handles);
    const char *data = ch->out.data + ch->out.head;
    if (handle == NULL || handle->start > out_start(ch)) {
        size_t len = handle != NULL ? (size_t)(handle->start - out_start(ch)) : ch->out.len;
        add_part(b, data, piece_of(data, len, b), took_messages);
        return;
    }
    if (ch->keep->unacked || b->n > 0) /* it waits for an answer, or for a write of its own */
        return;
    b->pass = handle->fd;
    add_part(b, data, (size_t)(handle->end - handle->start), took_handle);
}

static void fill(const struct channel *ch, struct batch *b)
{
    const struct channel_keep *k = ch->keep;
    b->n = 0;
    b->len = 0;
    b->pass = -1;
    add_part(b, channel_keep_rest_data(k), k->rest_len, took_rest);
    add_part(b, acks, (k->acks < WORDS ? k->acks : WORDS) * ACK_LEN, took_acks);
    add_part(b, nacks, (k->nacks < WORDS ? k->nacks : WORDS) * NACK_LEN, took_nacks);
    add_part(b, ch->answers, ch->answers_len, took_answers);
    if (ch->out.len > 0)
        add_messages(ch, b);
}

static void take_off(struct channel *ch, const struct batch *b, size_t n)
{
    for (unsigned i = 0; i < b->n && n > 0; i++) {
        size_t part = n < b->parts[i].iov_len ? n : b->parts[i].iov_len;
        b->took[i](ch, part);
        n -= part;
    }
}

static void failed(struct channel *ch, int error)
{
    ch->blocked = error == -EAGAIN || error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM;
    ch->broken = !ch->blocked;
    ch->retry_later = ch->blocked && error != -EAGAIN; /* no event tells when that is over */
    if (ch->retry_later)
        channel_slow(ch);
}

void channel_flush(struct channel *ch)
{
    struct batch b;
    while (!ch->broken && (fill(ch, &b), b.n > 0)) {
        ch->keep->writing = b.len > PIECE || b.took[0] != took_messages;
        ssize_t n = fdio_send(ch->fd, b.parts, b.n, b.pass);
        if (n > 0)
            take_off(ch, &b, (size_t)n);
        ch->keep->writing = false;
        if (n < 0) {
            failed(ch, (int)n);
            return;
        }
        if ((size_t)n < b.len) {
            failed(ch, -EAGAIN);
            return;
        }
    }
}

/* A receiver that has not answered a handle for so long never will: it is no Node
 * program, and handles go to it without waiting until it does answer one. */
static void look_at_unacked(struct channel *ch)
{
    if (!ch->keep->unacked || ch->fd < 0)
        return;
    if (loop_now(ch->hub->loop) < ch->unacked_until) {
        channel_slow(ch);
        return;
    }
    uint64_t tag = ch->unacked_tag;
    ch->keep->unacked = false;
    ch->no_acks = true;
    channel_touch(ch);
    tell(ch, tag, 0);
}

void channel_settle(struct channel *ch)
{
    const struct channel_mark *m;
    uint64_t taken = out_start(ch) - (ch->keep->rest_len > 0 && ch->keep->rest_is_message);
    while (!ch->freed && (m = channel_marks_first(&ch->tags)) != NULL && m->end <= taken)
        tell(ch, channel_marks_pop(&ch->tags).tag, 0);
    if (!ch->freed)
        look_at_unacked(ch);
}

void channel_out_forget(struct channel *ch, int error)
{
    ch->keep->counters.bounced += channel_queued(ch);
    ch->n_out = 0;
    ch->keep->rest_len = 0;
    ch->keep->acks = ch->keep->nacks = 0;
    ch->answers_len = 0;
    free(TAKE_PTR(ch->answers));
    channel_bytes_done(ch->hub, &ch->out);
    if (ch->keep->unacked)
        tell(ch, ch->unacked_tag, error);
    ch->keep->unacked = false;
    while (ch->handles.n > 0) {
        struct channel_mark m = channel_marks_pop(&ch->handles);
        close(m.fd);
        ch->keep->counters.handles_lost++;
        tell(ch, m.tag, error);
    }
    while (ch->tags.n > 0)
        tell(ch, channel_marks_pop(&ch->tags).tag, error);
    free(TAKE_PTR(ch->handles.list));
    free(TAKE_PTR(ch->tags.list));
    ch->handles = ch->tags = (struct channel_marks){ 0 };
}
