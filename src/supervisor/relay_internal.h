/* relay_internal.h - what the files relay*.c share; others use relay.h. */
#pragma once

#include "core/requests.h"
#include "core/route.h"
#include "supervisor/relay.h"
#include "supervisor/relay_book.h"
#include "supervisor/supervisor.h"
#include "wire/envelope.h"

/* A message on its way: what it says, and whom it is to go to. */
struct parcel {
    const char *text;
    size_t len;
    struct envelope e;
    int fd;                    /* -1: none; taken when it has gone */
    struct channel_debt *debt; /* goes with it */
    bool with_handle;
    enum node_type type;
    enum node_dgram dgram;
};

enum wait_kind {
    WAIT_NOT,
    WAIT_ROOM,    /* in the queue of .full */
    WAIT_ANSWERS, /* it has as many open requests as it may have */
    WAIT_OWN,     /* it does not read what it is told itself */
    WAIT_PACE,    /* it costs much: for the next turn, or some time; nothing is kept */
};

/* A channel of a run. */
struct relay_port {
    struct relay_lane *lane;
    struct channel *channel;
    struct relay_port *wait_next, **wait_at; /* in the order in which they came */
    enum wait_kind wait;
    struct relay_lane *full;
    usec_t until;
    char *kept; /* the message that waits; malloc'd */
    size_t kept_len;
    int kept_fd;
    struct channel_debt *kept_debt;
    enum node_type kept_type;
    enum node_dgram kept_dgram;
    uint32_t tokens; /* refusals that it may have before it is paced */
    usec_t tokens_at;
    uint32_t faults; /* lines in a row that were no message */
    uint32_t held;   /* in the book: that message */
};

struct relay_lane {
    struct route_member member; /* first */
    struct relay *relay;
    struct child *child;
    struct buf from;         /* the beginning of what it sends */
    struct relay_port *port; /* of the present run; NULL: none */
    bool stuck;              /* somebody has waited for room in vain; nobody else does until there is some */
    bool asked_out;          /* it has waited for answers in vain */
    struct relay_counters counters;
    struct relay_book_queue ended; /* of what it has asked */
    uint64_t *gaps;                /* messages that will not go to it; malloc'd */
    size_t n_gaps, gaps_size;
};

struct relay {
    struct supervisor *supervisor;
    struct route *route;
    struct requests *requests;
    struct relay_book *book; /* NULL: there is no guardian */
    struct relay_port *waiting, **waiting_end;
    struct loop_timer timer;
    usec_t timer_at;           /* USEC_INFINITY: not set */
    struct loop_work answered; /* who waits for answers may have got one */
    struct relay_tracer *tracers;
    struct buf words; /* scratch: what the supervisor says */
};

struct relay_lane *relay_lane_of(struct route_member *m);
/* It has sent what is no message, or no envelope and has no id by which it could be told. */
void relay_tell_fault(struct relay_port *p, int error, const struct jsonscan_fault *fault);
void relay_arm(struct relay *r, usec_t at); /* the timer is to fire then, or before */
const struct ipc_settings *relay_settings(const struct relay_lane *l);

/* relay_send.c: how a message fares; WAIT_NOT: it is done with. */
enum wait_kind relay_route(struct relay_port *p, struct parcel *parcel, struct relay_lane **full);
void relay_bounce(struct relay_port *p, const struct parcel *parcel, int error, const struct relay_lane *receiver);
/* A line of the supervisor's, which must arrive while the channel lives. */
void relay_say(struct relay_lane *l, struct buf *words);

/* relay_trace.c */
void relay_tell_tracers(const struct relay_port *p, const struct parcel *parcel, const char *to, size_t to_len,
                        int error);
void relay_tell_end(struct relay *r, const struct request_end *e);

/* relay_wait.c */
void relay_keep(struct relay_port *p, struct parcel *parcel, enum wait_kind kind, struct relay_lane *full);
void relay_refused(struct relay_port *p); /* it has cost us something for nothing */
void relay_asked(struct relay_port *p);   /* the supervisor was to do something: nothing more of it in this turn */
void relay_retry(struct relay *r, const struct relay_lane *lane, enum wait_kind kind);
void relay_answered(struct relay_lane *asker);
void relay_wait_end(struct relay_port *p); /* the port goes */
void relay_look_at_waiting(struct relay *r, usec_t now);
usec_t relay_next_wait(const struct relay *r);

/* relay_handle.c: 0 and what it is, or -EBADF: nobody may be given it. */
int relay_handle_check(int fd, enum ipc_handles allowed, enum node_type *type, enum node_dgram *dgram);
bool relay_handle_for_many(enum node_type type, int fd);
