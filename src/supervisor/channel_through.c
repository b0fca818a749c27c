/* channel_through.c - a long line goes from where it was read straight into a socket.
 *
 * Whoever is killed within a write has to leave behind what the socket did not take, so
 * a line is put where it outlives us before it goes.  One that has just been read lies
 * in such a place already, on the desk, all but the few bytes that are put around it:
 * those are noted there too, and a copy of 64 KiB is saved.
 *
 * Of two channels something becomes true with such a write: the receiver has the line,
 * or its beginning, and the sender's line has been passed on.  Who goes on after us takes
 * both from the one number that the kernel leaves (channel_keep.c), so the line is
 * neither sent twice nor lost.  The note counts from when it names a sender until it
 * does not.
 *
 * Owns nothing. */
#include <string.h>

#include "os/fdio.h"
#include "supervisor/channel_internal.h"

#define PARTS_MAX 8

static bool may_go(const struct channel *ch, size_t len)
{
    const struct channel *reader = ch->hub->reader;
    return reader != NULL && reader != ch && reader->now.batch == CHANNEL_BATCH_DESK && !ch->blocked && !ch->broken &&
           ch->now.acks == 0 && ch->now.nacks == 0 && ch->answers_len == 0 && len <= ch->keep->rest_size;
}

static bool is_on_desk(const struct channel_desk *d, const struct iovec *part)
{
    const char *p = part->iov_base;
    return p >= d->batch && p < d->batch + sizeof(d->batch);
}

/* What is around the one part that is on the desk; false: there is none, or too much around it. */
static bool note_parts(struct channel_desk *d, const struct iovec *parts, unsigned n)
{
    struct channel_through *t = &d->through;
    size_t used = 0;
    t->len = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t len = parts[i].iov_len;
        if (t->len == 0 && is_on_desk(d, &parts[i])) {
            t->at = (uint32_t)((const char *)parts[i].iov_base - d->batch);
            t->len = (uint32_t)len;
            t->before = (uint32_t)used;
            continue;
        }
        if (len > sizeof(t->around) - used)
            return false;
        memcpy(t->around + used, parts[i].iov_base, len);
        used += len;
    }
    t->behind = (uint32_t)(used - t->before);
    return t->len > 0;
}

static void announce(struct channel *ch, uint32_t len)
{
    struct channel *reader = ch->hub->reader;
    struct channel_desk *d = ch->hub->desk;
    d->out.msg_len = 0;
    channel_deal_begin(ch, NULL);
    channel_looked(reader);
    d->through.looked = reader->now.batch_at.looked;
    __atomic_store_n(&d->through.sender, reader->keep->id, __ATOMIC_RELEASE);
    ch->now.write = (struct channel_write){ .len = len, .through = true };
    channel_publish(ch);
}

bool channel_send_through(struct channel *ch, const struct iovec *parts, unsigned n, size_t len)
{
    struct channel_desk *d = ch->hub->desk;
    struct iovec line[PARTS_MAX];
    if (n >= PARTS_MAX || !may_go(ch, len))
        return false;
    memcpy(line, parts, n * sizeof(*line));
    line[n++] = (struct iovec){ .iov_base = (char *)(uintptr_t) "\n", .iov_len = 1 };
    if (!note_parts(d, line, n))
        return false;
    announce(ch, (uint32_t)len);
    ssize_t taken = fdio_send(ch->fd, line, n, -1, &d->out);
    ch->now.write.len = 0;
    if (taken > 0)
        ch->broken = !channel_keep_through(ch->keep, d, &ch->now, len, (size_t)taken);
    channel_publish(ch);
    if (taken > 0)
        channel_passed(ch->hub);
    channel_through_end(ch->hub);
    return taken > 0;
}

void channel_through_end(struct channels *s)
{
    __atomic_store_n(&s->desk->through.sender, 0, __ATOMIC_RELEASE);
}
