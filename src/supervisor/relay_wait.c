/* relay_wait.c - senders that are not read for a while.
 *
 * Owns, for each port that waits, a copy of the one message that could not go on,
 * and its descriptor; what came behind that message is still in the sender's own
 * socket.  A port waits for room in one queue, for answers to its own requests, until
 * it has read what it was told itself, or just for its pace; those for itself and for
 * its pace end without a bounce. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/relay_internal.h"
#include "supervisor/relay_note.h"

#define TOKENS 256                       /* refusals at once, */
#define TOKEN_TIME (USEC_PER_SEC / 1000) /* and one more each */
#define PACE_WAIT (64 * TOKEN_TIME)

/* -- the list ------------------------------------------------------------------------- */

static void enlist(struct relay_port *p, enum wait_kind kind, usec_t until)
{
    struct relay *r = p->lane->relay;
    p->wait = kind;
    p->until = until;
    p->wait_next = NULL;
    p->wait_at = r->waiting_end;
    *r->waiting_end = p;
    r->waiting_end = &p->wait_next;
    channel_pause(p->channel, CHANNEL_PAUSE_RELAY);
    relay_arm(r, until);
}

static void delist(struct relay_port *p)
{
    struct relay *r = p->lane->relay;
    *p->wait_at = p->wait_next;
    if (p->wait_next != NULL)
        p->wait_next->wait_at = p->wait_at;
    else
        r->waiting_end = p->wait_at;
    p->wait = WAIT_NOT;
    p->full = NULL;
    if (p->kept != NULL)
        channel_park(p->channel, false);
    relay_note_unhold(p);
    free(TAKE_PTR(p->kept));
    cleanup_close(&p->kept_fd);
    channel_debt_release(TAKE_PTR(p->kept_debt));
    channel_resume(p->channel, CHANNEL_PAUSE_RELAY);
}

void relay_keep(struct relay_port *p, struct parcel *parcel, enum wait_kind kind, struct relay_lane *full)
{
    struct relay_lane *l = p->lane;
    usec_t wait = relay_settings(full != NULL ? full : l)->wait;
    bool in_vain = kind == WAIT_ROOM ? full->stuck : kind == WAIT_ANSWERS && l->asked_out;
    p->kept = kind != WAIT_OWN && (in_vain || wait == 0) ? NULL : malloc(parcel->len);
    if (p->kept == NULL) {
        relay_bounce(p, parcel, -ENOBUFS, full);
        return;
    }
    relay_note_hold(p, parcel);
    memcpy(p->kept, parcel->text, parcel->len);
    channel_park(p->channel, parcel->debt == NULL);
    p->kept_len = parcel->len;
    p->kept_fd = TAKE_FD(parcel->fd);
    p->kept_debt = channel_debt_hold(parcel->debt);
    p->kept_type = parcel->type;
    p->kept_dgram = parcel->dgram;
    p->full = full;
    l->counters.waited++;
    if (kind == WAIT_OWN)
        channel_want_room(p->channel);
    enlist(p, kind, kind == WAIT_OWN ? USEC_INFINITY : usec_add(loop_now(l->relay->supervisor->loop), wait));
}

/* Who is refused again and again costs time that others pay: a bucket of tokens. */
void relay_refused(struct relay_port *p)
{
    usec_t now = loop_now(p->lane->relay->supervisor->loop);
    usec_t fresh = usec_sub(now, p->tokens_at) / TOKEN_TIME;
    if (p->tokens > TOKENS || fresh > 0) {
        p->tokens = p->tokens > TOKENS || fresh > TOKENS - p->tokens ? TOKENS : p->tokens + (uint32_t)fresh;
        p->tokens_at = now;
    }
    if (p->tokens > 0)
        p->tokens--;
    else if (p->wait == WAIT_NOT)
        enlist(p, WAIT_PACE, usec_add(now, PACE_WAIT));
}

/* An answer of ours may cost as much as a thousand messages, and others have their turn in between. */
void relay_asked(struct relay_port *p)
{
    if (p->wait == WAIT_NOT)
        enlist(p, WAIT_PACE, loop_now(p->lane->relay->supervisor->loop));
}

/* -- once more ------------------------------------------------------------------------- */

/* The kept message as a parcel again; it was read before, so that cannot fail. */
static bool unpack(const struct relay_port *p, struct parcel *parcel)
{
    struct jsonscan scan;
    struct jsonscan_fault fault;
    *parcel = (struct parcel){ .text = p->kept,
                               .len = p->kept_len,
                               .fd = p->kept_fd,
                               .debt = p->kept_debt,
                               .with_handle = p->kept_fd >= 0,
                               .type = p->kept_type,
                               .dgram = p->kept_dgram };
    return jsonscan(p->kept, p->kept_len, &envelope_keys, &scan, NULL) == 0 &&
           envelope_read(p->kept, &scan, &parcel->e, &fault) == 0;
}

/* False: it goes on waiting. */
static bool try_again(struct relay_port *p)
{
    struct parcel parcel;
    struct relay_lane *full = NULL;
    if (unpack(p, &parcel)) {
        enum wait_kind kind = relay_route(p, &parcel, &full);
        p->kept_fd = parcel.fd;
        if (kind != WAIT_NOT) {
            p->wait = kind;
            p->full = full;
            return false;
        }
    }
    delist(p);
    return true;
}

void relay_retry(struct relay *r, const struct relay_lane *lane, enum wait_kind kind)
{
    struct relay_port *next;
    for (struct relay_port *p = r->waiting; p != NULL; p = next) {
        next = p->wait_next;
        if (p->wait == kind && (kind == WAIT_ROOM ? p->full : p->lane) == lane)
            try_again(p);
    }
}

static void on_answered(void *arg)
{
    struct relay *r = arg;
    struct relay_port *next;
    for (struct relay_port *p = r->waiting; p != NULL; p = next) {
        next = p->wait_next;
        if (p->wait == WAIT_ANSWERS && p->lane->member.asked < relay_settings(p->lane)->queue_messages)
            try_again(p);
    }
}

/* Not at once: the answer may come from one who waits himself. */
void relay_answered(struct relay_lane *asker)
{
    struct relay *r = asker->relay;
    asker->asked_out = false;
    if (asker->port != NULL && asker->port->wait == WAIT_ANSWERS)
        loop_defer(r->supervisor->loop, &r->answered, on_answered, r);
}

static void give_up(struct relay_port *p)
{
    struct parcel parcel;
    if (p->wait == WAIT_ROOM)
        p->full->stuck = p->full->port != NULL && channel_is_full(p->full->port->channel);
    else if (p->wait == WAIT_ANSWERS)
        p->lane->asked_out = true;
    if (p->wait != WAIT_PACE && unpack(p, &parcel))
        relay_bounce(p, &parcel, -ENOBUFS, p->full);
    delist(p);
}

void relay_look_at_waiting(struct relay *r, usec_t now)
{
    struct relay_port *next;
    for (struct relay_port *p = r->waiting; p != NULL; p = next) {
        next = p->wait_next;
        if (p->until <= now)
            give_up(p);
    }
}

usec_t relay_next_wait(const struct relay *r)
{
    usec_t first = USEC_INFINITY;
    for (const struct relay_port *p = r->waiting; p != NULL; p = p->wait_next)
        first = p->until < first ? p->until : first;
    return first;
}

void relay_wait_end(struct relay_port *p)
{
    if (p->wait != WAIT_NOT)
        delist(p);
}
