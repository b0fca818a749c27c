/* relay.h - messages between processes: who takes part, and what their channels bring.
 *
 * A lane is a process whose program has `relay`; it exists as long as the process
 * is known.  A port is the channel of one run of it.  What a port brings is routed
 * to the channels of others at once; where there is no room its sender is not read
 * for a while, and then told. */
#pragma once

#include "supervisor/channel.h"
#include "supervisor/child.h"

struct relay;
struct supervisor;
struct relay_lane;
struct relay_port;

void relay_free(struct relay *r);

/* -- processes ---------------------------------------------------------------- */

/* 0 and a lane, or NULL when its program takes no part; -ENOMEM, -EEXIST. */
int relay_join(struct child *c, struct relay_lane **ret);
void relay_leave(struct relay_lane *l);

struct relay_counters {
    uint64_t routed;    /* messages of its own that went to a queue; one to three receivers counts three */
    uint64_t delivered; /* of others, to its queue */
    uint64_t refused;   /* of its own that went to nobody, or not to all that it named */
    uint64_t stale;     /* answers of its own that nobody waited for any more */
    uint64_t waited;    /* how often it was not read because there was no room */
};
struct relay_state {
    struct relay_counters counters;
    uint32_t asked, open; /* requests of its own, and those it has not answered */
    bool waiting;
};
void relay_state(const struct relay_lane *l, struct relay_state *ret);

/* -- channels of theirs --------------------------------------------------------- */

int relay_port_new(struct relay_lane *l, struct relay_port **ret);
void relay_port_open(struct relay_port *p, struct channel *ch);
void relay_port_up(struct relay_port *p);   /* its program runs, so it can be reached */
void relay_port_free(struct relay_port *p); /* the channel has ended, or is about to be freed */

/* What a channel's owner is told goes on to here.  False: the message is none for others. */
bool relay_message(struct relay_port *p, struct channel_message *m);
void relay_fault(struct relay_port *p, const struct channel_fault *f);
void relay_sent(struct relay_port *p, uint64_t tag, int result);
void relay_taken_out(struct relay_port *p);
void relay_room(struct relay_port *p);

/* All that runs has been taken over from a supervisor before us, and nothing was read yet: senders
 * whose messages have died with it are told, and what is open goes on. */
void relay_restore(struct supervisor *s);

/* -- watching ---------------------------------------------------------------------- */

/* What became of one message for one receiver. */
struct relay_trace {
    const char *from; /* the sender's name */
    const char *to;   /* the receiver's, or the address that meant nobody; to_len bytes */
    size_t to_len, bytes;
    uint64_t id, re;
    bool has_id, has_re, handle;
    int error; /* 0: it is in the receiver's queue */
};
struct relay_tracer {
    struct relay_tracer *next, **at;
    void (*fn)(const struct relay_trace *t, void *arg);
    void *arg;
};
void relay_trace_begin(struct relay *r, struct relay_tracer *t);
void relay_trace_end(struct relay_tracer *t); /* one that is not begun may be ended too */

/* -- the supervisor as a receiver ------------------------------------------------- */

/* What is sent to "$" goes to supervisor.ask: 0 and an answer as JSON, or a negative
 * errno that bounces. */

/* A message of the supervisor's own to a process: {"from":"$","msg":...}; it bounces nowhere. */
int relay_tell(struct relay_lane *l, const char *json, size_t len);
