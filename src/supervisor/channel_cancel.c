/* channel_cancel.c - messages that are taken out of a queue again.
 *
 * Whoever sent one has been told that it was not delivered, so nobody may get it.  A
 * cancelled message is only marked at first, and all of a turn are taken out in one
 * pass: a queue has room for a thousand, and to move what is behind each of them would
 * be felt by others.  What the socket has a beginning of is not taken out.
 * Descriptors that go with them are closed. */
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/channel_internal.h"

/* Where the messages that wait begin, in all that was ever queued. */
static uint64_t first_byte(const struct channel *ch)
{
    return ch->out_end - ch->out.len;
}

/* Its sender is told of its end next.  Before that it is to hear of the descriptor, and whoever goes on after us is not
 * to deliver it out of its box. */
static void forget_handle(struct channel *ch, struct channel_mark *m)
{
    if (m->box >= 0) {
        channel_box_done(ch, m);
        channel_publish(ch);
    }
    channel_debt_release(TAKE_PTR(m->debt));
}

static bool cancel_in(struct channel *ch, const struct channel_marks *list, uint64_t tag)
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct channel_mark *m = &list->list[list->head + i];
        if (m->tag != tag || m->cancelled || m->start < first_byte(ch))
            continue;
        m->cancelled = true;
        if (m->fd >= 0)
            forget_handle(ch, m);
        ch->cancelled++;
        channel_touch(ch);
        return true;
    }
    return false;
}

bool channel_cancel(struct channel *ch, uint64_t tag)
{
    return ch->fd >= 0 && (cancel_in(ch, &ch->tags, tag) || cancel_in(ch, &ch->handles, tag));
}

/* The first of a list that is cancelled, from *at on; NULL: there is none. */
static const struct channel_mark *next_cancelled(const struct channel_marks *list, uint32_t *at)
{
    while (*at < list->n && !list->list[list->head + *at].cancelled)
        ++*at;
    return *at < list->n ? &list->list[list->head + *at] : NULL;
}

/* Both lists are in order. */
static const struct channel_mark *next_of_both(const struct channel *ch, uint32_t *tag_at, uint32_t *handle_at)
{
    const struct channel_mark *tag = next_cancelled(&ch->tags, tag_at);
    const struct channel_mark *handle = next_cancelled(&ch->handles, handle_at);
    if (tag != NULL && (handle == NULL || tag->start < handle->start)) {
        ++*tag_at;
        return tag;
    }
    *handle_at += handle != NULL;
    return handle;
}

/* Closes the gaps; how many bytes these were. */
static size_t close_gaps(struct channel *ch)
{
    char *data = ch->out.data + ch->out.head;
    uint64_t first = first_byte(ch);
    uint32_t tag_at = 0, handle_at = 0;
    size_t to = 0, from = 0;
    for (const struct channel_mark *m; (m = next_of_both(ch, &tag_at, &handle_at)) != NULL;) {
        size_t start = (size_t)(m->start - first);
        memmove(data + to, data + from, start - from);
        to += start - from;
        from = (size_t)(m->end - first);
    }
    memmove(data + to, data + from, ch->out.len - from);
    return from - to;
}

/* How much is taken out before a place; those that ask come in order, too. */
struct gaps {
    uint32_t tag_at, handle_at;
    uint64_t before;
    const struct channel_mark *next;
};

static uint64_t gap_before(const struct channel *ch, struct gaps *g, uint64_t place)
{
    while (g->next != NULL && g->next->start < place) {
        g->before += g->next->end - g->next->start;
        g->next = next_of_both(ch, &g->tag_at, &g->handle_at);
    }
    return g->before;
}

static void move_marks(const struct channel *ch, const struct channel_marks *list)
{
    struct gaps g = { 0 };
    g.next = next_of_both(ch, &g.tag_at, &g.handle_at);
    for (uint32_t i = 0; i < list->n; i++) {
        struct channel_mark *m = &list->list[list->head + i];
        if (m->cancelled) /* its place is still asked for */
            continue;
        uint64_t before = gap_before(ch, &g, m->end);
        m->start -= before;
        m->end -= before;
    }
}

static void drop_cancelled(struct channel *ch, struct channel_marks *list)
{
    struct channel_mark *to = list->list + list->head;
    uint32_t n = list->n;
    for (uint32_t i = 0; i < n; i++) {
        struct channel_mark m = list->list[list->head + i];
        if (!m.cancelled) {
            *to++ = m;
            continue;
        }
        list->n--;
        if (m.fd < 0)
            continue;
        channel_handle_done(ch, &m);
        ch->now.counters.handles_lost++;
    }
}

void channel_take_out(struct channel *ch)
{
    if (ch->cancelled == 0)
        return;
    size_t gone = close_gaps(ch);
    move_marks(ch, &ch->tags);
    move_marks(ch, &ch->handles);
    drop_cancelled(ch, &ch->tags);
    drop_cancelled(ch, &ch->handles);
    ch->out_end -= gone;
    ch->out.len -= gone;
    ch->now.queued -= ch->cancelled;
    ch->now.counters.bounced += ch->cancelled;
    ch->cancelled = 0;
    if (ch->out.len == 0)
        channel_bytes_done(ch->hub, &ch->out);
    channel_publish(ch);
    if (ch->owner->taken_out != NULL)
        ch->owner->taken_out(ch, ch->arg);
}
