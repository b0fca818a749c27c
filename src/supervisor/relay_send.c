/* relay_send.c - one message: from its addresses to the queues of its receivers.
 *
 * Owns nothing for longer than a call: the message is where it was read, what
 * receivers get is copied into their queues, and a descriptor is taken by the queue
 * that it goes to.  Whatever cannot be delivered is told to the sender, once. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/relay_internal.h"
#include "supervisor/relay_note.h"

#define OWN_MESSAGES 64 /* beyond its queue, before a sender has to read what it is told */
#define OWN_BYTES (64 * 1024)
#define ANSWER_MAX (1U << 20)

/* -- telling the sender ------------------------------------------------------------------ */

void relay_say(struct relay_lane *l, struct buf *words)
{
    struct iovec part = { words->data, words->len };
    if (l->port != NULL && words->error == 0)
        channel_send(l->port->channel, &part, 1, CHANNEL_MUST, 0);
}

/* NULL: there is nobody who could understand it. */
static struct buf *begin_bounce(struct relay_port *p, const struct envelope *e, int error)
{
    struct relay_lane *l = p->lane;
    l->counters.refused++;
    relay_refused(p);
    if (!e->has_id || l->port != p)
        return NULL;
    relay_note_said(l, e->id, error);
    buf_reset(&l->relay->words);
    return &l->relay->words;
}

void relay_bounce(struct relay_port *p, const struct parcel *parcel, int error, const struct relay_lane *receiver)
{
    const struct envelope *e = &parcel->e;
    if (receiver != NULL)
        relay_tell_tracers(p, parcel, receiver->member.name, strlen(receiver->member.name), error);
    else if (e->to.type == JSONSCAN_STRING) /* without its quotes */
        relay_tell_tracers(p, parcel, parcel->text + e->to.at + 1, e->to.len - 2, error);
    else
        relay_tell_tracers(p, parcel, parcel->text + e->to.at, e->to.len, error);
    if (receiver != NULL && receiver->port != NULL)
        channel_count_bounce(receiver->port->channel);
    if (receiver != NULL && e->has_re) /* whoever waits for it waits no longer */
        requests_fail(p->lane->relay->requests, &p->lane->member, &receiver->member, e->re, error);
    struct buf *words = begin_bounce(p, e, error);
    if (words == NULL)
        return;
    if (receiver != NULL)
        envelope_bounce(words, e->id, error, receiver->member.name, NULL, 0);
    else
        envelope_bounce(words, e->id, error, NULL, parcel->text + e->to.at, e->to.len);
    envelope_end(words);
    relay_say(p->lane, words);
}

static void bounce_fault(struct relay_port *p, const struct envelope *e, const struct jsonscan_fault *fault)
{
    if (!e->has_id) {
        p->lane->counters.refused++;
        relay_tell_fault(p, -EINVAL, fault);
        return;
    }
    struct buf *words = begin_bounce(p, e, -EINVAL);
    if (words == NULL)
        return;
    envelope_bounce(words, e->id, -EINVAL, NULL, NULL, 0);
    envelope_bounce_fault(words, fault);
    envelope_end(words);
    relay_say(p->lane, words);
}

/* -- one receiver ------------------------------------------------------------------------- */

/* Is an answer expected?  An acknowledgement is one by itself, unless there is a time for another. */
static bool wants_answer(const struct envelope *e)
{
    return e->has_id && !e->raw && (!e->ack || e->ttl > 0);
}

/* -EBUSY: it has asked for too much that is not answered. */
static int open_request(struct relay_port *p, const struct parcel *parcel, struct relay_lane *to,
                        struct request_cast *cast, uint64_t *tag)
{
    struct relay *r = p->lane->relay;
    const struct envelope *e = &parcel->e;
    usec_t ttl = e->ttl * USEC_PER_MSEC;
    struct request q = { .sender = &p->lane->member,
                         .receiver = &to->member,
                         .id = e->id,
                         .deadline = ttl > 0 ? usec_add(loop_now(r->supervisor->loop), ttl) : USEC_INFINITY,
                         .cast = cast,
                         .answer = wants_answer(e) };
    q.note = relay_note_ask(p, &q, to, parcel->fd >= 0);
    int error = requests_open(r->requests, &q, relay_settings(p->lane)->queue_messages, tag);
    if (error < 0)
        relay_book_drop(r->book, q.note);
    else
        relay_note_cast(r, cast, q.note);
    if (error == 0)
        relay_arm(r, q.deadline);
    return error == -ENOBUFS ? -EBUSY : error;
}

static enum envelope_form form_of(const struct relay_port *p, const struct envelope *e)
{
    if (e->raw)
        return ENVELOPE_FORM_RAW;
    if (e->has_re)
        return ENVELOPE_FORM_ANSWER;
    return wants_answer(e) && p->lane->port == p ? ENVELOPE_FORM_REQUEST : ENVELOPE_FORM_MESSAGE;
}

/* `fd` is taken when it has gone. */
static int send_with_handle(struct channel *ch, const struct envelope_parts *parts, const struct parcel *parcel,
                            int *fd, uint64_t tag)
{
    char before[NODE_WRAP_MAX];
    struct iovec list[ENVELOPE_PARTS + 2];
    int len = node_wrap_before(parcel->type, parcel->dgram, before);
    list[0] = (struct iovec){ before, (size_t)len };
    memcpy(list + 1, parts->list, parts->n * sizeof(*list));
    list[parts->n + 1] = (struct iovec){ (void *)(uintptr_t)NODE_WRAP_BEHIND, sizeof(NODE_WRAP_BEHIND) - 1 };
    int error = channel_send_handle(ch, list, parts->n + 2, *fd, parcel->debt, tag);
    if (error == 0)
        *fd = -1;
    return error;
}

static int send_parts(struct relay_port *p, struct parcel *parcel, struct relay_lane *to, int *fd, uint64_t tag)
{
    struct envelope_parts parts;
    const struct envelope *e = &parcel->e;
    envelope_parts(&parts, form_of(p, e), &p->lane->from, parcel->text + e->msg.at, e->msg.len,
                   e->has_re ? e->re : e->id);
    if (*fd >= 0)
        return send_with_handle(to->port->channel, &parts, parcel, fd, tag);
    return channel_send(to->port->channel, parts.list, parts.n, e->has_re ? CHANNEL_RESERVE : 0, tag);
}

/* 0, -ENOBUFS no room in its queue, -EBUSY, -EHOSTDOWN, -EBADF, -ENOMEM. */
static int deliver(struct relay_port *p, struct parcel *parcel, struct relay_lane *to, struct request_cast *cast,
                   int *fd)
{
    const struct envelope *e = &parcel->e;
    uint64_t tag = 0;
    int error = 0;
    if (to->port == NULL || !channel_is_open(to->port->channel))
        return -EHOSTDOWN;
    if (channel_is_full(to->port->channel) && !e->has_re)
        return -ENOBUFS;
    if (*fd >= 0)
        error = relay_handle_check(*fd, relay_settings(to)->handles, &parcel->type, &parcel->dgram);
    if (error == 0 && e->has_id && p->lane->port == p)
        error = open_request(p, parcel, to, cast, &tag);
    if (error < 0)
        return error;
    error = send_parts(p, parcel, to, fd, tag);
    if (error < 0) {
        relay_note_undo(p->lane->relay, cast, requests_note(p->lane->relay->requests, tag));
        requests_undo(p->lane->relay->requests, tag);
        return error == -EPIPE ? -EHOSTDOWN : error;
    }
    p->lane->counters.routed++;
    to->counters.delivered++;
    relay_tell_tracers(p, parcel, to->member.name, strlen(to->member.name), 0);
    return 0;
}

/* -- an answer ------------------------------------------------------------------------------ */

/* Both ran under a supervisor before us, and it may not have noted all that was asked then: an
 * answer goes to whom it says, and whoever does not wait for it does not know its number. */
static bool is_of_before(const struct relay_port *p, const struct relay_lane *to)
{
    return !relay_book_is_whole(p->lane->relay->book) && p->lane->child->adopted && p->lane->port == p &&
           to->child->adopted && to->port != NULL;
}

/* It goes to whom has asked, or to nobody. */
static enum wait_kind answer(struct relay_port *p, struct parcel *parcel, struct relay_lane *to,
                             struct relay_lane **full)
{
    struct requests *requests = p->lane->relay->requests;
    uint32_t note;
    bool asked = requests_waits(requests, &p->lane->member, &to->member, parcel->e.re, &note);
    if (!asked && !is_of_before(p, to)) {
        p->lane->counters.stale++;
        if (parcel->e.has_id)
            relay_bounce(p, parcel, -ETIMEDOUT, to);
        return WAIT_NOT;
    }
    relay_note_answer(to, note, p, false);
    int error = deliver(p, parcel, to, NULL, &parcel->fd);
    if (error == -ENOBUFS || error == -EBUSY) {
        relay_note_answer(to, note, p, true);
        *full = error == -ENOBUFS ? to : NULL;
        return error == -ENOBUFS ? WAIT_ROOM : WAIT_ANSWERS;
    }
    if (error < 0) {
        relay_bounce(p, parcel, error, to);
        return WAIT_NOT;
    }
    relay_note_answered(to, note);
    if (asked)
        requests_answer(requests, &p->lane->member, &to->member, parcel->e.re);
    relay_answered(to);
    return WAIT_NOT;
}

/* -- addresses --------------------------------------------------------------------------------- */

/* An address of a list that meant nobody. */
struct miss {
    uint32_t cursor; /* where it is */
    int error;
};

struct trip {
    struct route_set set;
    struct miss misses[ENVELOPE_ADDRESSES_MAX];
    size_t n_misses;
};

static void look_up(struct relay_port *p, const struct parcel *parcel, struct trip *t)
{
    struct route *route = p->lane->relay->route;
    char room[ENVELOPE_ADDRESS_MAX + 1];
    const char *address;
    uint32_t cursor = 0;
    t->n_misses = 0;
    route_begin(route, &t->set);
    for (;;) {
        uint32_t before = cursor;
        size_t len = envelope_address(parcel->text, &parcel->e, &cursor, room, &address);
        if (len == 0)
            return;
        int error = route_add(route, &p->lane->member, address, len, &t->set);
        if (error < 0)
            t->misses[t->n_misses++] = (struct miss){ before, error };
    }
}

/* -- one receiver, for whom the sender may wait ---------------------------------------------------- */

static int deliver_one(struct relay_port *p, struct parcel *parcel, struct relay_lane *to)
{
    struct requests *requests = p->lane->relay->requests;
    struct request_cast *cast = NULL;
    if (parcel->e.ack && p->lane->port == p) {
        int error = requests_cast(requests, &p->lane->member, parcel->e.id, &cast);
        if (error < 0)
            return error;
    }
    int error = deliver(p, parcel, to, cast, &parcel->fd);
    if (cast == NULL)
        return error;
    if (error == 0)
        requests_cast_all(requests, cast);
    else
        requests_cast_drop(requests, cast);
    return error;
}

static enum wait_kind send_one(struct relay_port *p, struct parcel *parcel, struct trip *t, struct relay_lane **full)
{
    struct relay_lane *to = relay_lane_of(t->set.list[0]);
    if (parcel->e.has_re)
        return answer(p, parcel, to, full);
    int error = deliver_one(p, parcel, to);
    while (error == -ENOBUFS && t->set.pool) { /* who has refused is full, so the next choice is another one */
        look_up(p, parcel, t);
        if (t->set.n == 0)
            break;
        to = relay_lane_of(t->set.list[0]);
        if (channel_is_full(to->port->channel))
            break;
        error = deliver_one(p, parcel, to);
    }
    *full = error == -ENOBUFS ? to : NULL;
    if (error == -ENOBUFS || error == -EBUSY)
        return error == -ENOBUFS ? WAIT_ROOM : WAIT_ANSWERS;
    if (error < 0)
        relay_bounce(p, parcel, error, to);
    return WAIT_NOT;
}

/* -- many receivers, for whom nobody waits ----------------------------------------------------------- */

static void tell_misses(struct relay_port *p, const struct parcel *parcel, struct request_cast *cast,
                        const struct trip *t)
{
    struct relay_lane *l = p->lane;
    for (size_t i = 0; i < t->n_misses; i++) {
        char room[ENVELOPE_ADDRESS_MAX + 1], name[ENVELOPE_ADDRESS_MAX + 1];
        const char *address;
        uint32_t cursor = t->misses[i].cursor;
        size_t len = envelope_address(parcel->text, &parcel->e, &cursor, room, &address);
        snprintf(name, sizeof(name), "%.*s", (int)len, address);
        relay_tell_tracers(p, parcel, address, len, t->misses[i].error);
        if (cast != NULL) {
            requests_failed(l->relay->requests, cast, name, t->misses[i].error);
            continue;
        }
        struct buf *words = begin_bounce(p, &parcel->e, t->misses[i].error);
        if (words == NULL)
            continue;
        envelope_bounce(words, parcel->e.id, t->misses[i].error, name, NULL, 0);
        envelope_end(words);
        relay_say(l, words);
    }
}

static int deliver_copy(struct relay_port *p, struct parcel *parcel, struct relay_lane *to, struct request_cast *cast)
{
    _cleanup_close_ int fd = -1;
    if (parcel->fd >= 0 && !relay_handle_for_many(parcel->type, parcel->fd))
        return -EBADF;
    if (parcel->fd >= 0 && (fd = fcntl(parcel->fd, F_DUPFD_CLOEXEC, 3)) < 0)
        return -EBADF;
    struct parcel copy = *parcel; /* what the handle is called may depend on the receiver */
    int error = deliver(p, &copy, to, cast, &fd);
    return error == -EBUSY ? -ENOBUFS : error;
}

static void send_many(struct relay_port *p, struct parcel *parcel, const struct trip *t)
{
    struct requests *requests = p->lane->relay->requests;
    struct request_cast *cast = NULL;
    if (parcel->e.ack && p->lane->port == p && requests_cast(requests, &p->lane->member, parcel->e.id, &cast) < 0) {
        relay_bounce(p, parcel, -ENOMEM, NULL);
        return;
    }
    for (size_t i = 0; i < t->set.n; i++) {
        struct relay_lane *to = relay_lane_of(t->set.list[i]);
        int error = deliver_copy(p, parcel, to, cast);
        if (error < 0 && cast != NULL) {
            relay_tell_tracers(p, parcel, to->member.name, strlen(to->member.name), error);
            channel_count_bounce(to->port->channel);
            requests_failed(requests, cast, to->member.name, error);
        } else if (error < 0) {
            relay_bounce(p, parcel, error, to);
        }
    }
    tell_misses(p, parcel, cast, t);
    if (cast != NULL)
        requests_cast_all(requests, cast);
}

/* -- the supervisor ------------------------------------------------------------------------------------ */

static void ask_supervisor(struct relay_port *p, const struct parcel *parcel)
{
    const struct supervisor *s = p->lane->relay->supervisor;
    const struct envelope *e = &parcel->e;
    _cleanup_buf_ struct buf answer = BUF_INIT(ANSWER_MAX), line = BUF_INIT(ANSWER_MAX + 256);
    channel_pass(p->channel); /* nothing is asked twice */
    relay_asked(p);
    int error = p->lane->port != p || s->ask == NULL
                    ? -EACCES
                    : s->ask(p->lane->child, parcel->text + e->msg.at, e->msg.len, &answer, s->ask_arg);
    if (error == 0 && answer.error < 0)
        error = answer.error == -ENOBUFS ? -EMSGSIZE : answer.error;
    if (error < 0) {
        relay_bounce(p, parcel, error, NULL);
        return;
    }
    p->lane->counters.routed++;
    if (!e->has_id)
        return;
    relay_note_said(p->lane, e->id, -ECONNRESET);
    envelope_own(&line, true, e->id);
    buf_add(&line, answer.data, answer.len);
    envelope_end(&line);
    relay_say(p->lane, &line);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

enum wait_kind relay_route(struct relay_port *p, struct parcel *parcel, struct relay_lane **full)
{
    struct trip t;
    bool list = parcel->e.to.type == JSONSCAN_ARRAY;
    look_up(p, parcel, &t);
    if (t.set.supervisor)
        ask_supervisor(p, parcel);
    if (!list && t.n_misses > 0)
        relay_bounce(p, parcel, t.misses[0].error, NULL);
    else if (!list && !t.set.many && t.set.n == 1)
        return send_one(p, parcel, &t, full);
    else if (parcel->e.has_re && t.set.n > 0)
        relay_bounce(p, parcel, -EINVAL, NULL); /* an answer goes to one */
    else if (t.set.n > 0 || (list && t.n_misses > 0))
        send_many(p, parcel, &t);
    return WAIT_NOT;
}

/* It has more to read than fits: first it is to read that. */
static bool owes_reading(const struct relay_port *p)
{
    const struct ipc_settings *i = relay_settings(p->lane);
    return channel_queued(p->channel) >= i->queue_messages + OWN_MESSAGES ||
           channel_queued_bytes(p->channel) >= i->queue_bytes + OWN_BYTES;
}

/* To a question that came from the supervisor, whoever asked there: those listen elsewhere. */
static bool answers_supervisor(const char *text, const struct envelope *e)
{
    return e->has_re && e->to.len == 3 && memcmp(text + e->to.at, "\"$\"", 3) == 0;
}

bool relay_message(struct relay_port *p, struct channel_message *m)
{
    struct jsonscan_fault fault;
    struct parcel parcel = { .text = m->text, .len = m->len, .fd = -1, .type = m->type, .dgram = m->dgram };
    struct relay_lane *full = NULL;
    int r = envelope_read(m->text, m->scan, &parcel.e, &fault);
    if (r >= 0 || parcel.e.has_id)
        p->faults = 0;
    if (r == ENVELOPE_NOT || (r == 0 && answers_supervisor(m->text, &parcel.e)))
        return false;
    if (r < 0) {
        bounce_fault(p, &parcel.e, &fault);
        return true;
    }
    parcel.fd = TAKE_FD(m->fd);
    parcel.debt = m->debt;
    parcel.with_handle = parcel.fd >= 0;
    enum wait_kind kind = owes_reading(p) ? WAIT_OWN : relay_route(p, &parcel, &full);
    if (kind != WAIT_NOT)
        relay_keep(p, &parcel, kind, full);
    cleanup_close(&parcel.fd);
    return true;
}
