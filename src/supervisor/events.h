/* events.h - what happened to processes: numbered, kept for a while, told to subscribers.
 *
 * The last EVENTS_KEPT events can be asked for again; numbers grow by one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/usec.h"
#include "core/exit_cause.h"
#include "core/process.h"

#define EVENTS_KEPT 4096

enum event_type {
    EVENT_SPAWN,
    EVENT_ERROR,
    EVENT_EXIT,
    EVENT_CLOSE,
    EVENT_DISCONNECT,
    EVENT_MESSAGE, /* told, not kept */
    EVENT_STATE,
    EVENT_LOG,
    EVENT_CONFIG,
    EVENT_DAEMON
};

/* A process's name that outlives the process; counted. */
struct event_name;
struct event_name *event_name_new(const char *group, const char *process); /* NULL without memory */
struct event_name *event_name_ref(struct event_name *n);
void event_name_unref(struct event_name *n);
const char *event_name_text(const struct event_name *n); /* "group:process" */

struct event {
    uint64_t seq;
    usec_t wall;
    struct event_name *name; /* NULL: of the daemon */
    char *text; /* error: see event_error_text(); config: JSON members; log: reason; daemon: what; message: itself or
                   NULL */
    int32_t pid;
    int32_t value; /* exit: status or signal; error, log: errno */
    union {
        struct {
            uint32_t cpu_user_ms, cpu_system_ms; /* exit */
        };
        uint64_t bytes; /* log: that were dropped; message: its length */
    };
    uint32_t maxrss_kib;
    uint16_t from, to; /* state */
    uint16_t tries;
    uint8_t type;
    uint8_t kind; /* exit */
    uint8_t stage;
    uint8_t stream;
    bool core : 1;
    bool timed_out : 1; /* its timeout had come */
    bool expected;
};

/* The text of an error event: two strings in one block; NULL without memory. */
char *event_error_text(const char *path, const char *message);

struct events;
struct loop;
typedef void (*event_fn)(const struct event *e, void *arg);

struct event_subscriber {
    struct event_subscriber *next, **at;
    event_fn fn;
    void *arg;
    bool messages; /* wants those of EVENT_MESSAGE too; false after events_subscribe() */
};

/* The numbers go on from, and are kept in, the journal (os/journal.h); NULL: from 1. */
struct journal;
int events_new(struct journal *journal, struct events **ret);
void events_free(struct events *ev);

/* Takes a filled-in event; seq and wall are set here, name is referenced, text
 * (malloc'd or NULL) becomes the ring's.  Subscribers are called at once. */
void events_add(struct events *ev, struct event *e);

void events_subscribe(struct events *ev, struct event_subscriber *s, event_fn fn, void *arg);
void events_unsubscribe(struct event_subscriber *s);

/* For what comes too often to be kept: told to those who want messages, without a
 * number of its own (seq is that of the last event).  The text remains the caller's. */
void events_tell(const struct events *ev, struct event *e);
bool events_wants_messages(const struct events *ev);

/* Number of the newest event, and the oldest that is still kept. */
uint64_t events_last(const struct events *ev);
uint64_t events_first(const struct events *ev);
/* False when it is not kept.  Name and text stay the ring's, for as long as that has it. */
bool events_get(const struct events *ev, uint64_t seq, struct event *ret);

/* One line of JSON with its newline. */
void event_json(const struct event *e, struct buf *out);
