/* channel_handles.c - descriptors on their way from one process to another.
 *
 * Whoever sends a descriptor is told that it has arrived when it cannot be lost any more:
 * its receiver's socket has it, or the guardian holds it for us (channel_box.c).  Until
 * then that is a debt, shared by all who might still lose it.  Who goes on after us does
 * not have those descriptors, and says so to their senders, as Node wants to be told; so
 * what the socket has taken and what is owed must change in one instant, though they are
 * of two channels: that is what the deal on the desk is for.
 *
 * Owns the descriptors of messages that wait, and closes them. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/channel_internal.h"

#define ACK_WAIT (2 * USEC_PER_SEC)

struct channel_debt {
    struct channel *sender;          /* NULL: it is gone */
    struct channel_debt *next, **at; /* what else that one is owed */
    unsigned holders;
};

/* -- debts -------------------------------------------------------------------------- */

struct channel_debt *channel_debt_new(struct channel *ch)
{
    struct channel_debt *d = malloc(sizeof(*d));
    if (d == NULL)
        return NULL;
    *d = (struct channel_debt){ .sender = ch, .next = ch->debts, .at = &ch->debts, .holders = 1 };
    if (d->next != NULL)
        d->next->at = &d->next;
    ch->debts = d;
    ch->now.owed++;
    return d;
}

struct channel_debt *channel_debt_hold(struct channel_debt *d)
{
    if (d != NULL)
        d->holders++;
    return d;
}

void channel_debt_release(struct channel_debt *d)
{
    if (d == NULL || --d->holders > 0)
        return;
    struct channel *ch = d->sender;
    if (ch != NULL) {
        *d->at = d->next;
        if (d->next != NULL)
            d->next->at = d->at;
        ch->now.owed--;
        ch->now.settled++;
        channel_answer_ack(ch, true);
        channel_publish(ch);
    }
    free(d);
}

void channel_debts_forget(struct channel *ch)
{
    for (struct channel_debt *d = ch->debts; d != NULL; d = d->next)
        d->sender = NULL;
    ch->debts = NULL;
    ch->now.owed = 0;
}

/* If that happens which comes next, the last debt for the descriptor is settled.  A deal
 * that is half made is none. */
void channel_deal_begin(struct channel *ch, const struct channel_mark *m)
{
    struct channel_deal *deal = &ch->hub->desk->deal;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    deal->settled = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    deal->receiver = 0;
    if (m == NULL || m->debt == NULL || m->debt->holders > 1 || m->debt->sender == NULL)
        return;
    deal->sender = m->debt->sender->keep->id;
    __atomic_store_n(&deal->settled, m->debt->sender->now.settled + 1, __ATOMIC_RELEASE);
}

/* -- out -------------------------------------------------------------------------------- */

int channel_send_handle(struct channel *ch, const struct iovec *parts, unsigned n, int fd, struct channel_debt *debt,
                        uint64_t tag)
{
    size_t len = channel_line_length(parts, n);
    int r = channel_make_room(ch, len, 0);
    if (r == 0 && ch->handles.n >= CHANNEL_HANDLES_MAX) {
        ch->wants_room = true;
        r = -ENOBUFS;
    }
    struct channel_mark m = {
        .start = ch->out_end, .end = ch->out_end + len, .tag = tag, .fd = fd, .box = -1, .debt = debt
    };
    if (r == 0)
        r = channel_marks_add(&ch->handles, m);
    if (r < 0)
        return r;
    channel_debt_hold(debt);
    channel_append_handle(ch, parts, n);
    return 0;
}

void channel_append_handle(struct channel *ch, const struct iovec *parts, unsigned n)
{
    ch->now.handles++;
    ch->keep->states[ch->keep->current].handles = ch->now.handles;
    channel_append(ch, parts, n);
}

/* The descriptor has gone with the first byte, or never will. */
static struct channel_mark take_first(struct channel *ch)
{
    struct channel_mark m = channel_marks_pop(&ch->handles);
    channel_handle_done(ch, &m);
    return m;
}

void channel_handle_done(struct channel *ch, struct channel_mark *m)
{
    ch->now.handles--;
    close(m->fd);
    channel_box_done(ch, m);
}

/* Its debt is settled when the write is over: what that has changed is published first. */
void channel_handle_went(struct channel *ch)
{
    struct channel_mark m = take_first(ch);
    ch->hub->paid = m.debt;
    ch->box_at = 0;
    ch->boxes_all = false;
    ch->now.counters.handles_sent++;
    if (ch->no_acks) {
        if (m.tag != 0)
            channel_marks_add(&ch->tags, (struct channel_mark){ .end = m.end, .tag = m.tag, .fd = -1 });
        return;
    }
    ch->now.unacked = true;
    ch->unacked_tag = m.tag;
    channel_wait_for_ack(ch);
}

void channel_wait_for_ack(struct channel *ch)
{
    ch->unacked_until = loop_now(ch->hub->loop) + ACK_WAIT;
    channel_slow(ch);
}

void channel_handles_forget(struct channel *ch, int error)
{
    while (ch->handles.n > 0) {
        struct channel_mark m = take_first(ch);
        ch->now.counters.handles_lost++;
        channel_tell(ch, m.tag, error);
        channel_debt_release(m.debt);
    }
}

/* A receiver that has not answered a handle for so long never will: it is no Node
 * program, and handles go to it without waiting until it does answer one. */
void channel_look_at_unacked(struct channel *ch)
{
    if (!ch->now.unacked || ch->fd < 0)
        return;
    if (loop_now(ch->hub->loop) < ch->unacked_until) {
        channel_slow(ch);
        return;
    }
    uint64_t tag = ch->unacked_tag;
    ch->now.unacked = false;
    ch->no_acks = true;
    channel_touch(ch);
    channel_tell(ch, tag, 0);
}
