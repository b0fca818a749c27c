/* child_ipc.c - see child_ipc.h.
 *
 * Owns a record for each process that has ever had a channel, and in it the channel of
 * each run until that is read to its end.  Watches are nodes of their owners'; they
 * are told and never freed.  What a process sends is told to subscribers of events
 * as well, but not kept among the events: a process that talks much would make all
 * others forgotten. */
#include "supervisor/child_ipc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/child_output.h"
#include "supervisor/kept.h"
#include "supervisor/relay.h"
#include "supervisor/supervisor.h"

#define EVENT_MESSAGE_MAX (32 * 1024) /* an event has no more of a message than this; longer ones have their length */

struct ipc_run {
    struct ipc_run *next;
    struct child *child;
    struct channel *channel;
    struct relay_port *port; /* NULL: its program takes no part in the relay */
    pid_t pid;
    int fd;
    bool ended_early; /* before it was known that its program runs */
};

struct child_ipc {
    struct messages kept;
    struct relay_lane *lane; /* NULL: its program takes no part in the relay */
    struct ipc_watch *watches;
    struct ipc_run *runs; /* the latest first */
    struct ipc_watch *pacer;
    bool held;
    uint64_t last_id;
    struct channel_counters last; /* of the last run that has ended */
    int last_fd;
};

/* -- telling -------------------------------------------------------------------- */

static void tell_message_event(struct child *c, const struct channel_message *m)
{
    struct event e = { .type = EVENT_MESSAGE, .name = c->name, .pid = c->process.pid, .bytes = m->len };
    if (!events_wants_messages(c->supervisor->events))
        return;
    if (m->len <= EVENT_MESSAGE_MAX)
        e.text = strndup(m->text, m->len);
    events_tell(c->supervisor->events, &e);
    free(e.text);
}

static void tell_disconnect(struct ipc_run *run)
{
    struct event e = { .type = EVENT_DISCONNECT, .name = run->child->name, .pid = run->pid };
    events_add(run->child->supervisor->events, &e);
}

/* -- what a channel says ---------------------------------------------------------- */

static void on_message(struct channel *ch, struct channel_message *m, void *arg)
{
    struct ipc_run *run = arg;
    struct child *c = run->child;
    (void)ch;
    if (c->starting != NULL && c->process.pid == run->pid) /* only a program that runs can say something */
        child_runs(c);
    if (run->port != NULL && relay_message(run->port, m))
        return;
    messages_add(&c->ipc->kept, m->text, m->len);
    tell_message_event(c, m);
    struct ipc_watch *next;
    for (struct ipc_watch *w = c->ipc->watches; w != NULL; w = next) {
        next = w->next;
        if (w->message != NULL)
            w->message(m, w->arg);
    }
}

static void on_fault(struct channel *ch, const struct channel_fault *f, void *arg)
{
    struct ipc_run *run = arg;
    (void)ch;
    if (run->port != NULL)
        relay_fault(run->port, f);
}

static void on_sent(struct channel *ch, uint64_t tag, int result, void *arg)
{
    struct ipc_run *run = arg;
    (void)ch;
    if (run->port != NULL)
        relay_sent(run->port, tag, result);
}

static void on_taken_out(struct channel *ch, void *arg)
{
    struct ipc_run *run = arg;
    (void)ch;
    if (run->port != NULL)
        relay_taken_out(run->port);
}

static void on_room(struct channel *ch, void *arg)
{
    struct ipc_run *run = arg;
    struct ipc_watch *next;
    (void)ch;
    if (run->port != NULL)
        relay_room(run->port);
    for (struct ipc_watch *w = run->child->ipc->watches; w != NULL; w = next) {
        next = w->next;
        if (w->room != NULL)
            w->room(w->arg);
    }
}

static void run_free(struct ipc_run *run)
{
    struct child_ipc *ipc = run->child->ipc;
    struct ipc_run **at = &ipc->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    relay_port_free(run->port);
    if (run->channel != NULL) {
        ipc->last = *channel_counters(run->channel);
        ipc->last_fd = run->fd;
        channel_free(run->channel);
    }
    free(run);
}

static void on_ended(struct channel *ch, void *arg)
{
    struct ipc_run *run = arg;
    struct child *c = run->child;
    pid_t pid = run->pid;
    (void)ch;
    if (c->starting != NULL && c->process.pid == pid) {
        run->ended_early = true;
        return;
    }
    tell_disconnect(run);
    run_free(run);
    struct ipc_watch *next;
    for (struct ipc_watch *w = c->ipc->watches; w != NULL; w = next) {
        next = w->next;
        if (w->ended != NULL)
            w->ended(w->arg);
    }
    child_tell_closed(c, pid);
}

static const struct channel_owner owner = { .keys = &envelope_keys,
                                            .message = on_message,
                                            .fault = on_fault,
                                            .sent = on_sent,
                                            .taken_out = on_taken_out,
                                            .room = on_room,
                                            .ended = on_ended };

/* -- the life of a run -------------------------------------------------------------- */

static struct child_ipc *record(struct child *c)
{
    if (c->ipc == NULL)
        c->ipc = calloc(1, sizeof(*c->ipc));
    return c->ipc;
}

static struct ipc_run *run_of(const struct child *c, pid_t pid)
{
    struct ipc_run *run = c->ipc != NULL ? c->ipc->runs : NULL;
    while (run != NULL && run->pid != pid)
        run = run->next;
    return run;
}

/* What all channels share: its memory is the guardian's, too, before anything is read. */
static int share(struct supervisor *s)
{
    int memory = kept_memory("desk");
    int r = channels_new(s->loop, memory, &s->channels);
    if (r < 0)
        cleanup_close(&memory);
    else
        kept_flush();
    return r;
}

int child_ipc_begin(struct child *c, int fd, int memory, pid_t pid)
{
    struct supervisor *s = c->supervisor;
    struct child_ipc *ipc = record(c);
    struct ipc_run *run = calloc(1, sizeof(*run));
    int r = ipc == NULL || run == NULL ? -ENOMEM : s->channels == NULL ? share(s) : 0;
    if (r == 0) {
        *run = (struct ipc_run){ .next = ipc->runs, .child = c, .pid = pid, .fd = ipc_descriptor(c->process.program) };
        r = ipc->lane != NULL ? relay_port_new(ipc->lane, &run->port) : 0;
    }
    if (r == 0)
        r = channel_new(s->channels, fd, memory, ipc_settings_of(c->process.program), &owner, run, &run->channel);
    if (r < 0) {
        relay_port_free(run != NULL ? run->port : NULL);
        free(run);
        return r;
    }
    if (run->port != NULL)
        relay_port_open(run->port, run->channel);
    ipc->runs = run;
    if (ipc->held)
        channel_pause(run->channel, CHANNEL_PAUSE_PACE);
    return 0;
}

void child_ipc_started(struct child *c)
{
    struct ipc_run *run = run_of(c, c->process.pid);
    if (run != NULL && run->port != NULL)
        relay_port_up(run->port);
    if (run == NULL || !run->ended_early)
        return;
    tell_disconnect(run);
    run_free(run);
}

void child_ipc_abandon(struct child *c)
{
    struct ipc_run *run = run_of(c, c->process.pid);
    if (run != NULL)
        run_free(run);
}

void child_ipc_last_words(struct child *c)
{
    struct ipc_run *run = run_of(c, c->process.pid);
    if (run != NULL)
        channel_last_words(run->channel);
}

bool child_ipc_is_open(const struct child *c, pid_t pid)
{
    return run_of(c, pid) != NULL;
}

void child_ipc_free(struct child *c)
{
    struct child_ipc *ipc = c->ipc;
    if (ipc == NULL)
        return;
    while (ipc->watches != NULL) {
        struct ipc_watch *w = ipc->watches;
        child_ipc_unwatch(c, w);
        if (w->gone != NULL)
            w->gone(w->arg);
    }
    while (ipc->runs != NULL)
        run_free(ipc->runs);
    relay_leave(ipc->lane);
    messages_done(&ipc->kept);
    free(TAKE_PTR(c->ipc));
}

int child_ipc_join(struct child *c)
{
    struct relay_lane *lane = NULL;
    for (struct ipc_run *run = c->ipc != NULL ? c->ipc->runs : NULL; run != NULL; run = run->next)
        relay_port_free(TAKE_PTR(run->port));
    if (c->ipc != NULL)
        relay_leave(TAKE_PTR(c->ipc->lane));
    int r = relay_join(c, &lane);
    if (lane == NULL)
        return r;
    if (record(c) == NULL) {
        relay_leave(lane);
        return -ENOMEM;
    }
    c->ipc->lane = lane;
    return 0;
}

struct relay_lane *child_lane(const struct child *c)
{
    return c->ipc != NULL ? c->ipc->lane : NULL;
}

/* -- for others --------------------------------------------------------------------- */

struct channel *child_channel(const struct child *c)
{
    struct ipc_run *run = c->process.pid != 0 ? run_of(c, c->process.pid) : NULL;
    return run != NULL && channel_is_open(run->channel) ? run->channel : NULL;
}

bool child_ipc_state(const struct child *c, struct child_ipc_state *ret)
{
    int fd = ipc_descriptor(c->process.program);
    if (c->ipc == NULL && fd < 0)
        return false;
    struct ipc_run *run = c->ipc != NULL ? c->ipc->runs : NULL;
    *ret = (struct child_ipc_state){ .fd = fd };
    if (run != NULL) {
        ret->open = channel_is_open(run->channel);
        ret->fd = run->fd;
        ret->queued = channel_queued(run->channel);
        ret->counters = *channel_counters(run->channel);
    } else if (c->ipc != NULL) {
        ret->counters = c->ipc->last;
        ret->fd = fd >= 0 ? fd : c->ipc->last_fd;
    }
    return true;
}

const struct messages *child_messages(const struct child *c)
{
    return c->ipc != NULL ? &c->ipc->kept : NULL;
}

uint64_t child_ipc_next_id(struct child *c)
{
    return record(c) != NULL ? ++c->ipc->last_id : 0;
}

int child_ipc_watch(struct child *c, struct ipc_watch *w)
{
    struct child_ipc *ipc = record(c);
    if (ipc == NULL)
        return -ENOMEM;
    w->next = ipc->watches;
    w->at = &ipc->watches;
    if (w->next != NULL)
        w->next->at = &w->next;
    ipc->watches = w;
    return 0;
}

const struct ipc_watch *child_ipc_watches(const struct child *c)
{
    return c->ipc != NULL ? c->ipc->watches : NULL;
}

void child_ipc_unwatch(struct child *c, struct ipc_watch *w)
{
    if (w->at == NULL)
        return;
    if (c->ipc->pacer == w) {
        child_ipc_hold(c, false);
        c->ipc->pacer = NULL;
    }
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->at = NULL;
}

int child_ipc_pace(struct child *c, struct ipc_watch *w)
{
    if (c->ipc->pacer != NULL)
        return -EBUSY;
    c->ipc->pacer = w;
    return 0;
}

void child_ipc_hold(struct child *c, bool hold)
{
    if (c->ipc->held == hold)
        return;
    c->ipc->held = hold;
    for (struct ipc_run *run = c->ipc->runs; run != NULL; run = run->next) {
        if (hold)
            channel_pause(run->channel, CHANNEL_PAUSE_PACE);
        else
            channel_resume(run->channel, CHANNEL_PAUSE_PACE);
    }
}
