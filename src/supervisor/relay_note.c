/* relay_note.c - what the book is told while we live; see relay_book.h.
 *
 * Owns nothing but the numbers of messages that have been cancelled and are not out of
 * their queue yet.  Whatever has no number in the book (there is none, or it is full) has
 * note 0, with which all of this does nothing. */
#include <errno.h>
#include <stdlib.h>

#include "supervisor/relay_internal.h"
#include "supervisor/relay_note.h"

static struct relay_book_entry entry_of(const struct relay_lane *asker, uint64_t id)
{
    const struct channel *ch = asker->port->channel;
    return (struct relay_book_entry){ .asker = channel_id(ch), .asked_at = channel_counters(ch)->received, .id = id };
}

/* Its end is the next thing that it is told. */
static void end_next(struct relay_lane *asker, uint32_t note, int error)
{
    struct relay_book *b = asker->relay->book;
    if (asker->port == NULL)
        return;
    relay_book_end(b, note, channel_next_number(asker->port->channel), 0, error);
    relay_note_answered(asker, note);
}

uint32_t relay_note_ask(struct relay_port *p, const struct request *q, const struct relay_lane *to, bool handle)
{
    struct relay_book *b = p->lane->relay->book;
    if (b == NULL)
        return 0;
    relay_book_clear(b, &p->lane->ended, channel_taken_number(p->channel));
    struct relay_book_entry e = entry_of(p->lane, q->id);
    e.answerer = channel_id(to->port->channel);
    e.given_at = channel_next_number(to->port->channel);
    e.deadline = q->deadline;
    e.flags = (uint8_t)((q->answer         ? RELAY_BOOK_ANSWER
                         : q->cast != NULL ? RELAY_BOOK_ACK
                                           : 0) |
                        (handle ? RELAY_BOOK_HANDLE : 0));
    e.state = RELAY_BOOK_OPEN;
    return relay_book_add(b, &e);
}

void relay_note_cast(struct relay *r, struct request_cast *cast, uint32_t note)
{
    struct relay_book_entry *e = relay_book_at(r->book, note);
    if (e == NULL || cast == NULL || (e->flags & RELAY_BOOK_ACK) == 0)
        return;
    e->next = *requests_cast_note(cast);
    *requests_cast_note(cast) = note;
}

void relay_note_undo(struct relay *r, struct request_cast *cast, uint32_t note)
{
    const struct relay_book_entry *e = relay_book_at(r->book, note);
    if (e != NULL && cast != NULL && *requests_cast_note(cast) == note)
        *requests_cast_note(cast) = e->next;
    relay_book_drop(r->book, note);
}

void relay_note_given(struct relay *r, uint32_t note)
{
    struct relay_book_entry *e = relay_book_at(r->book, note);
    if (e == NULL)
        return;
    if ((e->flags & (RELAY_BOOK_ANSWER | RELAY_BOOK_ACK)) != 0)
        e->given_at = 0;
    else
        relay_book_drop(r->book, note); /* nothing more will be heard of it */
}

void relay_note_end(struct relay_lane *asker, uint32_t note, int error)
{
    if (note != 0)
        end_next(asker, note, error);
}

void relay_note_answer(struct relay_lane *asker, uint32_t note, const struct relay_port *by, bool waits)
{
    if (note != 0 && asker->port != NULL)
        relay_book_end(asker->relay->book, note, waits ? UINT64_MAX : channel_next_number(asker->port->channel),
                       channel_counters(by->channel)->received, 0);
}

void relay_note_answered(struct relay_lane *asker, uint32_t note)
{
    struct relay_book *b = asker->relay->book;
    if (note == 0 || asker->port == NULL)
        return;
    relay_book_clear(b, &asker->ended, channel_taken_number(asker->port->channel));
    relay_book_enqueue(b, &asker->ended, note);
}

void relay_note_acked(struct relay_lane *asker, const struct request_ack *a)
{
    struct relay_book *b = asker->relay->book;
    const struct relay_book_entry *e;
    uint32_t note = a->note;
    if (note == 0)
        relay_note_said(asker, a->id, a->n_failures > 0 ? a->failures[0].error : -EHOSTDOWN);
    while ((e = relay_book_at(b, note)) != NULL) {
        uint32_t next = e->next;
        end_next(asker, note, e->error);
        note = next;
    }
}

void relay_note_said(struct relay_lane *asker, uint64_t id, int error)
{
    struct relay_book *b = asker->relay->book;
    if (b == NULL || asker->port == NULL)
        return;
    struct relay_book_entry e = entry_of(asker, id);
    e.ended_at = channel_next_number(asker->port->channel);
    e.error = (int16_t)error;
    e.state = RELAY_BOOK_ENDED;
    relay_book_clear(b, &asker->ended, channel_taken_number(asker->port->channel));
    relay_book_enqueue(b, &asker->ended, relay_book_add(b, &e));
}

/* One with a descriptor is not lost: its sender is told to send it again. */
void relay_note_hold(struct relay_port *p, const struct parcel *parcel)
{
    if (!parcel->e.has_id || parcel->debt != NULL || p->lane->port != p)
        return;
    struct relay_book_entry e = entry_of(p->lane, parcel->e.id);
    e.flags = RELAY_BOOK_HELD;
    e.state = RELAY_BOOK_OPEN;
    p->held = relay_book_add(p->lane->relay->book, &e);
}

void relay_note_unhold(struct relay_port *p)
{
    if (p->held != 0 && p->lane->port == p) /* else it has gone with all that it has asked */
        relay_book_drop(p->lane->relay->book, p->held);
    p->held = 0;
}

/* -- messages that are taken out of a queue ----------------------------------------- */

void relay_note_gap(struct relay_lane *to, uint32_t note)
{
    const struct relay_book_entry *e = relay_book_at(to->relay->book, note);
    if (e == NULL || e->given_at == 0)
        return;
    if (to->n_gaps == to->gaps_size) {
        size_t size = to->gaps_size == 0 ? 64 : to->gaps_size * 2;
        uint64_t *gaps = reallocarray(to->gaps, size, sizeof(*gaps));
        if (gaps == NULL)
            return;
        to->gaps = gaps;
        to->gaps_size = size;
    }
    to->gaps[to->n_gaps++] = e->given_at;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void forget_gaps(struct relay_lane *l)
{
    free(l->gaps);
    l->gaps = NULL;
    l->n_gaps = l->gaps_size = 0;
}

void relay_taken_out(struct relay_port *p)
{
    struct relay_lane *l = p->lane;
    if (l->port == p && l->n_gaps > 0) {
        qsort(l->gaps, l->n_gaps, sizeof(*l->gaps), compare);
        relay_book_close_gaps(l->relay->book, channel_id(p->channel), l->gaps, l->n_gaps);
    }
    forget_gaps(l);
}

void relay_note_gone(struct relay_lane *l)
{
    if (l->port == NULL)
        return;
    relay_book_forget(l->relay->book, channel_id(l->port->channel));
    l->port->held = 0;
    l->ended = (struct relay_book_queue){ 0 };
    forget_gaps(l);
}
