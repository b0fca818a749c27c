/* relay_restore.c - what senders are told when a supervisor before us was killed.
 *
 * Looks at each entry of the book once, when all channels are there and nothing has been
 * read yet.  A request that its receiver was given is open as before; one that was lost on
 * its way, and an end that was, is told of now.  Where a line is to be read again, because
 * nobody has looked at it to its end, what it brought about is as if it had not been.
 * Owns nothing. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/child_ipc.h"
#include "supervisor/relay_internal.h"
#include "supervisor/relay_note.h"

struct found {
    uint64_t id;
    struct relay_port *port;
};

struct restoring {
    struct relay *relay;
    struct found *ports; /* by id */
    size_t n_ports;
    uint32_t *notes; /* by asker, then by message */
    size_t n_notes;
    size_t open, lost;
};

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static struct relay_port *port_of(const struct restoring *r, uint64_t id)
{
    const struct found key = { .id = id };
    const struct found *f = id != 0 ? bsearch(&key, r->ports, r->n_ports, sizeof(key), compare_found) : NULL;
    return f != NULL ? f->port : NULL;
}

static int gather_ports(struct restoring *r, const struct supervisor *s)
{
    r->ports = calloc(route_size(r->relay->route) + 1, sizeof(*r->ports));
    if (r->ports == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_groups; i++)
        for (size_t k = 0; k < s->groups[i]->n_children; k++) {
            const struct relay_lane *l = child_lane(s->groups[i]->children[k]);
            if (l != NULL && l->port != NULL)
                r->ports[r->n_ports++] = (struct found){ channel_id(l->port->channel), l->port };
        }
    qsort(r->ports, r->n_ports, sizeof(*r->ports), compare_found);
    return 0;
}

/* qsort() has no argument for what its elements are numbers of. */
struct place {
    uint64_t asker, asked_at;
    uint32_t note;
};

static int compare_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->asker != y->asker)
        return x->asker < y->asker ? -1 : 1;
    if (x->asked_at != y->asked_at)
        return x->asked_at < y->asked_at ? -1 : 1;
    return x->note < y->note ? -1 : x->note > y->note;
}

static int gather_notes(struct restoring *r)
{
    struct relay_book *b = r->relay->book;
    uint32_t used = relay_book_used(b);
    _cleanup_free_ struct place *places = calloc(used + 1, sizeof(*places));
    r->notes = calloc(used + 1, sizeof(*r->notes));
    if (places == NULL || r->notes == NULL)
        return -ENOMEM;
    for (uint32_t n = 1; n <= used; n++) {
        const struct relay_book_entry *e = relay_book_at(b, n);
        if (e->state != RELAY_BOOK_FREE)
            places[r->n_notes++] = (struct place){ e->asker, e->asked_at, n };
    }
    qsort(places, r->n_notes, sizeof(*places), compare_place);
    for (size_t i = 0; i < r->n_notes; i++)
        r->notes[i] = places[i].note;
    return 0;
}

/* -- one entry -------------------------------------------------------------------------- */

/* What became of it. */
enum fate {
    FATE_OVER,  /* there is nothing more to say */
    FATE_GIVEN, /* its receiver has it */
    FATE_LOST,  /* .error is to be said */
};

static enum fate fate_of_ended(const struct restoring *r, const struct relay_port *asker, struct relay_book_entry *e)
{
    const struct relay_port *by = port_of(r, e->answerer);
    if (e->ended_at <= channel_taken_number(asker->channel))
        return FATE_OVER;
    if (by != NULL && e->ended_by > channel_counters(by->channel)->received)
        return FATE_GIVEN; /* the answer is read once more */
    if (e->error == 0 && (e->flags & RELAY_BOOK_ACK) != 0)
        return FATE_GIVEN;
    if (e->error == 0)
        e->error = -ECONNRESET;
    return FATE_LOST;
}

static enum fate fate_of_open(const struct restoring *r, struct relay_book_entry *e)
{
    const struct relay_port *to = port_of(r, e->answerer);
    if ((e->flags & RELAY_BOOK_HELD) != 0) {
        e->error = -EHOSTDOWN;
        return FATE_LOST;
    }
    bool given = e->given_at == 0 || (to != NULL && e->given_at <= channel_taken_number(to->channel));
    if (!given && (e->flags & RELAY_BOOK_HANDLE) != 0) { /* it is in a box, or its sender is to send it again */
        if ((e->flags & RELAY_BOOK_ANSWER) == 0)
            return FATE_OVER;
        given = true;
    }
    if (given && (to != NULL || (e->flags & RELAY_BOOK_ACK) != 0))
        return FATE_GIVEN;
    e->error = to == NULL ? -ECONNRESET : -EHOSTDOWN;
    return FATE_LOST;
}

static enum fate fate_of(const struct restoring *r, const struct relay_port *asker, struct relay_book_entry *e)
{
    if (asker == NULL || e->asked_at > channel_counters(asker->channel)->received)
        return FATE_OVER;
    return e->state == RELAY_BOOK_ENDED ? fate_of_ended(r, asker, e) : fate_of_open(r, e);
}

/* It is open as before. */
static void reopen(struct restoring *r, struct relay_port *asker, struct relay_book_entry *e, uint32_t note)
{
    struct relay_port *to = port_of(r, e->answerer);
    uint64_t tag;
    const struct request q = { .sender = &asker->lane->member,
                               .receiver = &to->lane->member,
                               .id = e->id,
                               .deadline = e->deadline,
                               .answer = true,
                               .note = note };
    relay_book_reopen(r->relay->book, note);
    e->given_at = 0;
    if (requests_open(r->relay->requests, &q, UINT32_MAX, &tag) < 0) {
        relay_book_drop(r->relay->book, note);
        return;
    }
    requests_sent(r->relay->requests, tag, 0);
    relay_arm(r->relay, q.deadline);
    r->open++;
}

static const char *name_of(const struct restoring *r, const struct relay_book_entry *e)
{
    const struct relay_port *to = port_of(r, e->answerer);
    return to != NULL ? to->lane->member.name : NULL;
}

static void say_lost(struct restoring *r, struct relay_port *asker, const struct relay_book_entry *e, uint32_t note)
{
    struct buf *words = &r->relay->words;
    asker->lane->counters.refused++;
    relay_note_end(asker->lane, note, e->error);
    buf_reset(words);
    envelope_bounce(words, e->id, e->error, name_of(r, e), NULL, 0);
    envelope_end(words);
    relay_say(asker->lane, words);
    r->lost++;
}

/* -- one message: to one, or to many with an acknowledgement ------------------------------ */

static void restore_one(struct restoring *r, struct relay_port *asker, uint32_t note)
{
    struct relay_book_entry *e = relay_book_at(r->relay->book, note);
    enum fate fate = fate_of(r, asker, e);
    if (fate == FATE_LOST)
        say_lost(r, asker, e, note);
    else if (fate == FATE_GIVEN && (e->flags & RELAY_BOOK_ANSWER) != 0)
        reopen(r, asker, e, note);
    else
        relay_book_drop(r->relay->book, note);
}

/* The entries of one acknowledgement, which is said now. */
static void restore_ack(struct restoring *r, struct relay_port *asker, const uint32_t *notes, size_t n)
{
    struct relay_book *b = r->relay->book;
    struct buf *words = &r->relay->words;
    uint32_t ok = 0;
    bool failures = false;
    for (size_t i = 0; i < n; i++) {
        struct relay_book_entry *e = relay_book_at(b, notes[i]);
        enum fate fate = fate_of(r, asker, e);
        if (fate == FATE_OVER) { /* then so are the others */
            while (n > 0)
                relay_book_drop(b, notes[--n]);
            return;
        }
        if (fate == FATE_GIVEN)
            e->error = 0;
        ok += fate == FATE_GIVEN;
    }
    if (ok == 0 && n == 1) {
        say_lost(r, asker, relay_book_at(b, notes[0]), notes[0]);
        return;
    }
    buf_reset(words);
    envelope_ack(words, relay_book_at(b, notes[0])->id, ok);
    for (size_t i = 0; i < n; i++) {
        const struct relay_book_entry *e = relay_book_at(b, notes[i]);
        const char *name = name_of(r, e);
        if (e->error != 0 && name != NULL) {
            envelope_ack_failure(words, !failures, name, e->error);
            failures = true;
        }
        relay_note_end(asker->lane, notes[i], e->error);
    }
    envelope_ack_end(words, failures);
    relay_say(asker->lane, words);
}

static void restore_message(struct restoring *r, const uint32_t *notes, size_t n)
{
    struct relay_book *b = r->relay->book;
    struct relay_port *asker = port_of(r, relay_book_at(b, notes[0])->asker);
    if ((relay_book_at(b, notes[0])->flags & RELAY_BOOK_ACK) != 0) {
        restore_ack(r, asker, notes, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (n > 1 && (relay_book_at(b, notes[i])->flags & RELAY_BOOK_HELD) != 0)
            relay_book_drop(b, notes[i]); /* it has just gone on */
        else
            restore_one(r, asker, notes[i]);
}

static bool is_same_message(const struct relay_book_entry *a, const struct relay_book_entry *b)
{
    return a->asker == b->asker && a->asked_at == b->asked_at &&
           (a->flags & RELAY_BOOK_ACK) == (b->flags & RELAY_BOOK_ACK);
}

void relay_restore(struct supervisor *s)
{
    struct relay *relay = s->relay;
    struct restoring r = { .relay = relay };
    if (relay == NULL || relay->book == NULL)
        return;
    relay_book_had_predecessor(relay->book);
    if (gather_ports(&r, s) == 0 && gather_notes(&r) == 0)
        for (size_t at = 0, n; at < r.n_notes; at += n) {
            const struct relay_book_entry *e = relay_book_at(relay->book, r.notes[at]);
            for (n = 1; at + n < r.n_notes && is_same_message(e, relay_book_at(relay->book, r.notes[at + n])); n++)
                ;
            restore_message(&r, r.notes + at, n);
        }
    if (r.open + r.lost > 0)
        log_info("relay: %zu requests go on, %zu are told to have been lost", r.open, r.lost);
    free(r.ports);
    free(r.notes);
}
