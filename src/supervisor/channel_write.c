/* channel_write.c - what goes to a process, as it leaves.
 *
 * There are three lanes.  First what is left of a line of which the socket has the
 * beginning; then words of the protocol (acknowledgements, answers to Node's questions),
 * which never wait behind messages; then messages, in their order.  All of it that may
 * go leaves in one write, but a line with a descriptor has a write of its own, because
 * the kernel gives a descriptor to whoever reads the first byte of its write.
 *
 * Owns nothing: what waits is channel_out.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "base/cleanup.h"
#include "os/fdio.h"
#include "supervisor/channel_internal.h"

#define WORDS 16 /* acknowledgements in one write */

#define FOUR(x) x x x x
static const char acks[] = FOUR(FOUR(NODE_ACK_LINE)), nacks[] = FOUR(FOUR(NODE_NACK_LINE));
#define ACK_LEN (sizeof(NODE_ACK_LINE) - 1)
#define NACK_LEN (sizeof(NODE_NACK_LINE) - 1)

/* -- what the socket has taken ---------------------------------------------------- */

static size_t count_lines(const char *data, size_t len)
{
    size_t n = 0;
    for (const char *end = data + len; (data = memchr(data, '\n', (size_t)(end - data))) != NULL; data++)
        n++;
    return n;
}

/* What the socket has not taken of a line is kept apart, where it outlives us.  Without memory for it nothing
 * may be written any more: half a line followed by another is worse than an end. */
static void keep_rest(struct channel *ch, const char *data, size_t len, bool is_message)
{
    ch->now.rest_is_message = is_message;
    if (channel_keep_rest(&ch->keep, ch->memory, &ch->now, data, len) < 0)
        ch->broken = true;
    channel_moved(ch);
    channel_trim_later(ch);
}

/* Each of these is told that `n` bytes of its part were taken: all parts before the last one
 * were taken whole. */
static void took_rest(struct channel *ch, size_t n)
{
    struct channel_state *s = &ch->now;
    s->rest_start += (uint32_t)n;
    s->rest_len -= (uint32_t)n;
    if (s->rest_len == 0 && s->rest_is_message)
        ch->now.counters.sent++;
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
    ch->now.acks = took_words(ch, ch->now.acks, n, NODE_ACK_LINE, ACK_LEN);
}

static void took_nacks(struct channel *ch, size_t n)
{
    ch->now.nacks = took_words(ch, ch->now.nacks, n, NODE_NACK_LINE, NACK_LEN);
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
    size_t lines = all                               ? ch->now.queued
                   : n == ch->now.write.messages_len ? ch->now.write.messages
                                                     : count_lines(data, n);
    ch->now.counters.sent += lines;
    ch->now.queued -= (uint32_t)lines;
    if (!all && data[n - 1] != '\n') {
        const char *end = (const char *)memchr(data + n, '\n', ch->out.len - n) + 1;
        keep_rest(ch, data + n, (size_t)(end - data) - n, true);
        ch->now.queued--;
        n = (size_t)(end - data);
    }
    channel_bytes_consume(ch->hub, &ch->out, n);
}

/* A long line; what is left of it lies where it has to be already. */
static void took_whole(struct channel *ch, size_t n)
{
    size_t len = ch->now.write.len;
    ch->now.queued--;
    ch->now.counters.sent += n == len;
    ch->now.rest_start = (uint32_t)n;
    ch->now.rest_len = (uint32_t)(len - n);
    ch->now.rest_is_message = true;
    channel_bytes_consume(ch->hub, &ch->out, len);
}

static void took_handle(struct channel *ch, size_t n)
{
    channel_handle_went(ch);
    if (ch->now.write.whole)
        took_whole(ch, n);
    else
        took_messages(ch, n);
}

/* -- what goes into one write ------------------------------------------------------- */

enum { PARTS = 5 };

struct batch {
    struct iovec parts[PARTS];
    void (*took[PARTS])(struct channel *ch, size_t n);
    unsigned n;
    size_t len;
    uint32_t messages; /* that wait, in the last part */
    bool whole;        /* there is one part, a long line that is kept */
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

/* How much goes into one write, so that none of its lines can be cut; `used` is in it already.  A long line has
 * a way of its own. */
static size_t write_max(const struct channel *ch, size_t used)
{
    int waits = 0;
    bool may_be_more = ch->out.len > CHANNEL_PIECE && ch->long_end <= channel_out_start(ch);
    if (!may_be_more || ioctl(ch->fd, SIOCOUTQ, &waits) < 0)
        return CHANNEL_PIECE;
    /* counted is what the kernel's buffers occupy, and that is less than twice what is in them */
    size_t most = used + ch->out.len < CHANNEL_AT_ONCE ? used + ch->out.len : CHANNEL_AT_ONCE;
    return (size_t)waits + 2 * most <= ch->socket_size ? CHANNEL_AT_ONCE : CHANNEL_PIECE;
}

/* Whole lines, as much of them as there is room for; 0: the first is longer than that. */
static size_t piece_of(const char *data, size_t len, size_t room)
{
    if (len <= room)
        return len;
    const char *last = room > 0 ? memrchr(data, '\n', room) : NULL;
    return last != NULL ? (size_t)(last - data) + 1 : 0;
}

/* Before a long line goes it is put where its rest would be as well; it stays in the queue until some of it has gone.
 */
static bool lay_whole(struct channel *ch, const char *data, size_t len)
{
    bool kept = channel_keep_rest(&ch->keep, ch->memory, &ch->now, data, len) == 0;
    ch->now.rest_len = 0;
    channel_moved(ch);
    channel_trim_later(ch);
    return kept;
}

static void add_long(struct channel *ch, struct batch *b, size_t len)
{
    const char *data = ch->out.data + ch->out.head;
    len = (size_t)((const char *)memchr(data, '\n', len) - data) + 1;
    b->messages = 1;
    b->whole = lay_whole(ch, data, len); /* without memory it goes as it is */
    add_part(b, data, len, b->whole ? took_whole : took_messages);
}

static void add_messages(struct channel *ch, struct batch *b)
{
    const struct channel_mark *handle = channel_marks_first(&ch->handles);
    const char *data = ch->out.data + ch->out.head;
    if (handle == NULL || handle->start > channel_out_start(ch)) {
        size_t len = handle != NULL ? (size_t)(handle->start - channel_out_start(ch)) : ch->out.len;
        size_t piece = piece_of(data, len, write_max(ch, b->len) - b->len);
        if (piece == 0 && b->n == 0)
            add_long(ch, b, len);
        if (piece == 0) /* it goes alone, and next */
            return;
        b->messages = piece == ch->out.len ? ch->now.queued : (uint32_t)count_lines(data, piece);
        add_part(b, data, piece, took_messages);
        return;
    }
    if (ch->now.unacked || b->n > 0) /* it waits for an answer, or for a write of its own */
        return;
    size_t len = (size_t)(handle->end - handle->start);
    b->pass = handle->fd;
    b->messages = 1;
    b->whole = len > CHANNEL_PIECE && lay_whole(ch, data, len);
    add_part(b, data, len, took_handle);
}

static size_t words(uint32_t owed)
{
    return owed < WORDS ? owed : WORDS;
}

static void fill(struct channel *ch, struct batch *b)
{
    const struct channel_state *s = &ch->now;
    *b = (struct batch){ .pass = -1 };
    add_part(b, channel_keep_rest_data(ch->keep, s), s->rest_len, took_rest);
    if (b->len <= CHANNEL_PIECE) { /* a longer one may be cut, and goes alone */
        add_part(b, acks, words(s->acks) * ACK_LEN, took_acks);
        add_part(b, nacks, words(s->nacks) * NACK_LEN, took_nacks);
        add_part(b, ch->answers, ch->answers_len, took_answers);
    }
    if (ch->out.len > 0 && b->len < CHANNEL_PIECE)
        add_messages(ch, b);
}

/* -- the write ----------------------------------------------------------------------- */

/* From here on until the write is over, whoever comes after us looks what became of it. */
static void announce(struct channel *ch, const struct batch *b)
{
    ch->hub->desk->out.msg_len = 0;
    ch->now.write = (struct channel_write){
        .len = (uint32_t)b->len, .messages = b->messages, .whole = b->whole, .handle = b->pass >= 0
    };
    const struct channel_mark *handle = b->pass >= 0 ? channel_marks_first(&ch->handles) : NULL;
    channel_deal_begin(ch, handle);
    if (handle != NULL && handle->box >= 0)
        ch->now.write.box = (uint8_t)(handle->box_number + 1);
    for (unsigned i = 0; i < b->n; i++) {
        if (b->took[i] == took_acks)
            ch->now.write.acks = (uint32_t)words(ch->now.acks);
        else if (b->took[i] == took_nacks)
            ch->now.write.nacks = (uint32_t)words(ch->now.nacks);
        else if (b->took[i] == took_messages)
            ch->now.write.messages_len = (uint32_t)b->parts[i].iov_len;
    }
    channel_publish(ch);
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
    channel_take_out(ch);
    while (!ch->broken && (fill(ch, &b), b.n > 0)) {
        announce(ch, &b);
        ssize_t n = fdio_send(ch->fd, b.parts, b.n, b.pass, &ch->hub->desk->out);
        if (n > 0)
            take_off(ch, &b, (size_t)n);
        ch->now.write.len = 0;
        channel_publish(ch);
        if (ch->hub->paid != NULL)
            channel_debt_release(TAKE_PTR(ch->hub->paid));
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
