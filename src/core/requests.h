/* requests.h - messages that somebody wants to hear of: an answer, an
 * acknowledgement, or why there will be none.
 *
 * Pure: no clock, no channel.  For every message to one receiver that has an id
 * there is one record, and for each record exactly one end: the answer came, or
 * `ended` says what happened in its place.  A message with `ack` to whomever has a
 * record of its own besides, the cast: `acked` is called once, when it is known
 * for each receiver whether the message was handed over.
 *
 * Callbacks are called when the record is gone already, and may open others. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"
#include "core/route.h"

struct requests;
struct request_cast;

/* One receiver will not answer. */
struct request_end {
    struct route_member *sender, *receiver;
    uint64_t id;
    uint64_t tag;  /* what requests_open() gave */
    uint32_t note; /* the owner's, from requests_open() */
    int error;     /* -EHOSTDOWN never handed over, -ECONNRESET handed over and died, -ETIMEDOUT, or the caller's */
    bool sent;     /* it was handed over before */
    bool acked;    /* an acknowledgement tells of it */
};

struct request_failure {
    char *name;
    int error;
};

#define REQUEST_FAILURES_MAX 64 /* that are named; ok tells of the rest */
struct request_ack {
    struct route_member *sender;
    uint64_t id;
    uint32_t ok;        /* handed over to so many */
    uint32_t receivers; /* of so many */
    const struct request_failure *failures;
    size_t n_failures;
    uint32_t note; /* what the owner has put at requests_cast_note() */
};

struct requests_owner {
    /* It has an end before it was handed over, and must not be any more. */
    void (*unsent)(const struct request_end *e, void *arg); /* or NULL */
    void (*ended)(const struct request_end *e, void *arg);
    void (*acked)(const struct request_ack *a, void *arg);
    void *arg;
};

int requests_new(const struct requests_owner *owner, struct requests **ret);
void requests_free(struct requests *r);

/* -- opening ------------------------------------------------------------------ */

/* An acknowledged message: begun, then a requests_open() or requests_failed() for
 * each receiver, then closed. */
int requests_cast(struct requests *r, struct route_member *sender, uint64_t id, struct request_cast **ret);
void requests_failed(struct requests *r, struct request_cast *c, const char *receiver, int error);
void requests_cast_all(struct requests *r, struct request_cast *c);
void requests_cast_drop(struct requests *r, struct request_cast *c); /* of which nothing was opened */
uint32_t *requests_cast_note(struct request_cast *c);                /* a number of the owner's, 0 at first */

struct request {
    struct route_member *sender, *receiver;
    uint64_t id;
    usec_t deadline;           /* USEC_INFINITY: none */
    struct request_cast *cast; /* NULL: no acknowledgement is wanted */
    bool answer;               /* an answer is expected */
    uint32_t note;             /* a number of the owner's */
};

/* The tag is what requests_sent() is to be called with.  -ENOBUFS: the sender has
 * `most` open already; -ENOMEM. */
int requests_open(struct requests *r, const struct request *q, uint32_t most, uint64_t *tag);
/* It was not sent after all: forgotten, nobody is told. */
void requests_undo(struct requests *r, uint64_t tag);

/* -- what happens to them ------------------------------------------------------ */

/* Handed over (0), or never (a negative errno).  An old tag does nothing. */
void requests_sent(struct requests *r, uint64_t tag, int result);
/* An answer: true when that was waited for. */
bool requests_answer(struct requests *r, const struct route_member *replier, const struct route_member *sender,
                     uint64_t id);
/* Is it waited for, and the owner's number of that?  And: it will not come, `error` says why. */
bool requests_waits(const struct requests *r, const struct route_member *replier, const struct route_member *sender,
                    uint64_t id, uint32_t *note);
void requests_fail(struct requests *r, const struct route_member *replier, const struct route_member *sender,
                   uint64_t id, int error);
void requests_expire(struct requests *r, usec_t now);
usec_t requests_next(const struct requests *r); /* when requests_expire() is due; USEC_INFINITY: never */
/* A process is gone: whoever waits for its answer is told, what it waited for is forgotten. */
void requests_gone(struct requests *r, struct route_member *m);

/* The owner's number of an open one; 0: an old tag, or it has none. */
uint32_t requests_note(const struct requests *r, uint64_t tag);
size_t requests_count(const struct requests *r); /* all that are open: 0 when everybody was answered or has gone */
