/* relay.c - lanes and ports: who takes part, and the channels they have.
 *
 * Owns the table of addresses, the account of open requests, one timer for all that
 * has a deadline, the book of what senders are owed (relay_book.h), and of each lane
 * what it says of itself.  Channels belong to the
 * children; a port borrows one for as long as it lives.  Made when the first program
 * with `relay` comes, so that others pay nothing. */
#include "supervisor/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/kept.h"
#include "supervisor/relay_internal.h"
#include "supervisor/relay_note.h"

#define WORDS_MAX (1U << 20)
#define FROM_MAX (64U * 1024)
#define FAULTS_TOLD 64 /* in a row; a channel that brings nothing else is no longer told */

struct relay_lane *relay_lane_of(struct route_member *m)
{
    return (struct relay_lane *)m;
}

const struct ipc_settings *relay_settings(const struct relay_lane *l)
{
    return ipc_settings_of(l->child->process.program);
}

/* How much a process has to do, for those who choose one of a pool. */
static uint32_t load(const struct route_member *m)
{
    const struct relay_port *p = ((const struct relay_lane *)m)->port;
    return p == NULL || channel_is_full(p->channel) ? ROUTE_FULL : channel_queued(p->channel);
}

/* -- what becomes of requests ------------------------------------------------------- */

static void on_ended(const struct request_end *e, void *arg)
{
    struct relay *r = arg;
    relay_note_end(relay_lane_of(e->sender), e->note, e->error);
    buf_reset(&r->words);
    envelope_bounce(&r->words, e->id, e->error, e->receiver->name, NULL, 0);
    envelope_end(&r->words);
    relay_lane_of(e->sender)->counters.refused++;
    relay_tell_end(r, e);
    relay_say(relay_lane_of(e->sender), &r->words);
    relay_answered(relay_lane_of(e->sender));
}

/* What was only in a queue is taken out of it. */
static void on_unsent(const struct request_end *e, void *arg)
{
    struct relay_lane *to = relay_lane_of(e->receiver);
    struct relay *r = arg;
    struct relay_book_entry *noted = relay_book_at(r->book, e->note);
    if (noted != NULL)
        noted->error = (int16_t)e->error;
    if (to->port != NULL && channel_cancel(to->port->channel, e->tag))
        relay_note_gap(to, e->note);
    if (e->acked)
        relay_tell_end(r, e);
}

static void on_acked(const struct request_ack *a, void *arg)
{
    struct relay *r = arg;
    relay_note_acked(relay_lane_of(a->sender), a);
    buf_reset(&r->words);
    if (a->receivers == 1 && a->ok == 0 && a->n_failures == 1) {
        envelope_bounce(&r->words, a->id, a->failures[0].error, a->failures[0].name, NULL, 0);
        envelope_end(&r->words);
        relay_lane_of(a->sender)->counters.refused++;
    } else {
        envelope_ack(&r->words, a->id, a->ok);
        for (size_t i = 0; i < a->n_failures; i++)
            envelope_ack_failure(&r->words, i == 0, a->failures[i].name, a->failures[i].error);
        envelope_ack_end(&r->words, a->n_failures > 0);
    }
    relay_say(relay_lane_of(a->sender), &r->words);
    relay_answered(relay_lane_of(a->sender));
}

/* -- the timer ------------------------------------------------------------------------ */

static void on_timer(void *arg)
{
    struct relay *r = arg;
    usec_t now = loop_now(r->supervisor->loop);
    r->timer_at = USEC_INFINITY;
    requests_expire(r->requests, now);
    relay_look_at_waiting(r, now);
    relay_arm(r, requests_next(r->requests));
    relay_arm(r, relay_next_wait(r));
}

void relay_arm(struct relay *r, usec_t at)
{
    if (at >= r->timer_at)
        return;
    r->timer_at = at;
    if (loop_timer_set(r->supervisor->loop, &r->timer, at, on_timer, r) < 0)
        r->timer_at = USEC_INFINITY;
}

/* -- processes -------------------------------------------------------------------------- */

/* Its memory is the guardian's, too. */
static int open_book(struct relay *r)
{
    int memory = kept_memory("asks");
    int error = relay_book_new(memory, &r->book);
    if (error < 0)
        cleanup_close(&memory);
    else
        kept_flush();
    return error;
}

static int relay_new(struct supervisor *s, struct relay **ret)
{
    struct relay *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    const struct requests_owner owner = { .unsent = on_unsent, .ended = on_ended, .acked = on_acked, .arg = r };
    r->supervisor = s;
    r->waiting_end = &r->waiting;
    r->timer_at = USEC_INFINITY;
    r->words = BUF_INIT(WORDS_MAX);
    int error = route_new(load, &r->route);
    if (error == 0)
        error = requests_new(&owner, &r->requests);
    if (error == 0)
        error = open_book(r);
    if (error < 0) {
        relay_free(r);
        return error;
    }
    *ret = r;
    return 0;
}

void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    while (r->tracers != NULL)
        relay_trace_end(r->tracers);
    loop_timer_clear(&r->timer);
    loop_undefer(r->supervisor->loop, &r->answered);
    relay_book_free(r->book);
    requests_free(r->requests);
    route_free(r->route);
    buf_done(&r->words);
    free(r);
}

/* As `status` prints it. */
static const char *name_of(const struct child *c)
{
    const char *process = c->process.program->name;
    return strcmp(c->group->group->name, process) == 0 ? process : event_name_text(c->name);
}

int relay_join(struct child *c, struct relay_lane **ret)
{
    const struct program *p = c->process.program;
    const struct ipc_settings *i = ipc_settings_of(p);
    struct supervisor *s = c->supervisor;
    *ret = NULL;
    if (!i->relay)
        return 0;
    struct relay_lane *l = calloc(1, sizeof(*l));
    int error = l == NULL ? -ENOMEM : s->relay == NULL ? relay_new(s, &s->relay) : 0;
    const struct route_profile profile = { .name = name_of(c),
                                           .group = c->group->group->name,
                                           .process = p->name,
                                           .program = p->section,
                                           .send_to = i->send_to,
                                           .accept_from = i->accept_from };
    if (error == 0) {
        l->relay = s->relay;
        l->child = c;
        l->from = BUF_INIT(FROM_MAX);
        error = envelope_from(&l->from, profile.name);
    }
    if (error == 0)
        error = route_join(s->relay->route, &l->member, &profile);
    if (error < 0) {
        if (l != NULL)
            buf_done(&l->from);
        free(l);
        return error;
    }
    *ret = l;
    return 0;
}

void relay_leave(struct relay_lane *l)
{
    if (l == NULL)
        return;
    requests_gone(l->relay->requests, &l->member);
    route_leave(l->relay->route, &l->member);
    buf_done(&l->from);
    free(l);
}

void relay_state(const struct relay_lane *l, struct relay_state *ret)
{
    *ret = (struct relay_state){ .counters = l->counters, .asked = l->member.asked, .open = l->member.open };
    ret->waiting = l->port != NULL && l->port->wait != WAIT_NOT;
}

/* -- channels ----------------------------------------------------------------------------- */

/* The present run of a lane is over, or can be reached no longer: those who wait for
 * it are told. */
static void depose(struct relay_lane *l)
{
    relay_note_gone(l);
    l->port = NULL;
    l->member.up = false;
    l->stuck = l->asked_out = false;
    requests_gone(l->relay->requests, &l->member);
    relay_retry(l->relay, l, WAIT_ROOM);
}

int relay_port_new(struct relay_lane *l, struct relay_port **ret)
{
    struct relay_port *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    p->lane = l;
    p->kept_fd = -1;
    p->tokens = UINT32_MAX;
    *ret = p;
    return 0;
}

void relay_port_open(struct relay_port *p, struct channel *ch)
{
    struct relay_lane *l = p->lane;
    if (l->port != NULL)
        depose(l);
    p->channel = ch;
    l->port = p;
}

void relay_port_up(struct relay_port *p)
{
    if (p->lane->port == p)
        p->lane->member.up = true;
}

void relay_port_free(struct relay_port *p)
{
    if (p == NULL)
        return;
    relay_wait_end(p);
    if (p->lane->port == p)
        depose(p->lane);
    free(p);
}

void relay_tell_fault(struct relay_port *p, int error, const struct jsonscan_fault *fault)
{
    struct buf *words = &p->lane->relay->words;
    relay_refused(p);
    if (++p->faults > FAULTS_TOLD || p->lane->port != p)
        return;
    if (p->faults == FAULTS_TOLD)
        log_warn("relay: %s sends what is no message, again and again; it is no longer told", p->lane->member.name);
    buf_reset(words);
    envelope_fault(words, error, fault);
    if (channel_queued(p->channel) < relay_settings(p->lane)->queue_messages) /* it is told as long as it listens */
        relay_say(p->lane, words);
}

void relay_fault(struct relay_port *p, const struct channel_fault *f)
{
    struct jsonscan_fault fault = { f->at, f->why };
    if (f->kind == CHANNEL_NO_HANDLE)
        return; /* its sender knows by the protocol */
    if (f->kind == CHANNEL_OVERSIZED)
        fault = (struct jsonscan_fault){ (size_t)relay_settings(p->lane)->max_message, "longer than ipc_max_message" };
    else if (f->kind == CHANNEL_STRAY_HANDLE)
        fault = (struct jsonscan_fault){ 0, "a descriptor without a message" };
    relay_tell_fault(p,
                     f->kind == CHANNEL_OVERSIZED      ? -EMSGSIZE
                     : f->kind == CHANNEL_STRAY_HANDLE ? -EBADF
                                                       : -EINVAL,
                     &fault);
}

static int why_not_sent(int error)
{
    return error == -EPIPE ? -EHOSTDOWN : error;
}

void relay_sent(struct relay_port *p, uint64_t tag, int result)
{
    struct relay *r = p->lane->relay;
    if (result == 0)
        relay_note_given(r, requests_note(r->requests, tag));
    requests_sent(r->requests, tag, result < 0 ? why_not_sent(result) : 0);
}

void relay_room(struct relay_port *p)
{
    struct relay_lane *l = p->lane;
    l->stuck = false;
    relay_retry(l->relay, l, WAIT_ROOM);
    relay_retry(l->relay, l, WAIT_OWN);
}

int relay_tell(struct relay_lane *l, const char *json, size_t len)
{
    if (l->port == NULL)
        return -EPIPE;
    struct iovec parts[] = { { (void *)(uintptr_t) "{\"from\":\"$\",\"msg\":", 18 },
                             { (void *)(uintptr_t)json, len },
                             { (void *)(uintptr_t) "}", 1 } };
    return channel_send(l->port->channel, parts, ELEMENTS(parts), CHANNEL_RESERVE, 0);
}
