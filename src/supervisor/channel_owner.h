/* channel_owner.h - what a channel tells whoever owns it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/jsonscan.h"
#include "wire/node.h"

struct channel;
struct channel_debt;

struct channel_message {
    const char *text; /* one well-formed JSON text; this and .scan are valid during the call */
    size_t len;
    const struct jsonscan *scan; /* of it, with the owner's keys */
    enum node_type type;         /* what .fd is, as its sender says; NODE_TYPE_NONE: not said, or no descriptor */
    enum node_dgram dgram;
    int fd; /* that came with it, -1: none.  TAKE_FD() it, else it is closed after the call */
    struct channel_debt
        *debt; /* goes with .fd: its sender is told that it has arrived when nobody holds this any more */
};

enum channel_fault_kind {
    CHANNEL_MALFORMED,
    CHANNEL_OVERSIZED,
    CHANNEL_NO_HANDLE,    /* its descriptor was lost on the way; a Node program sends it again */
    CHANNEL_STRAY_HANDLE, /* a descriptor that belongs to no message was closed */
};

/* A line that is skipped. */
struct channel_fault {
    enum channel_fault_kind kind;
    uint64_t len;    /* of the line */
    size_t at;       /* malformed: the first byte that cannot be */
    const char *why; /* malformed: in words */
};

struct channel_owner {
    const struct jsonscan_keys *keys; /* to look for in every message: NODE_KEYS_LIST, then the owner's own */
    void (*message)(struct channel *ch, struct channel_message *m, void *arg);
    void (*fault)(struct channel *ch, const struct channel_fault *f, void *arg); /* or NULL */
    /* What became of a message that was sent with a tag: 0 the socket has taken it (a
     * handle: its receiver has said so), or a negative errno. */
    void (*sent)(struct channel *ch, uint64_t tag, int result, void *arg); /* or NULL */
    /* Messages that were cancelled are in its queue no longer. */
    void (*taken_out)(struct channel *ch, void *arg); /* or NULL */
    /* There is room again, after -ENOBUFS. */
    void (*room)(struct channel *ch, void *arg); /* or NULL */
    /* Nothing comes any more: all was read, the descriptor is closed.  Once. */
    void (*ended)(struct channel *ch, void *arg);
};

struct channel_counters {
    uint64_t received; /* messages; first: channel_in.c looks at all behind it */
    uint64_t sent;
    uint64_t bounced;                   /* messages that it was not given; counted by who sends */
    uint64_t lost;                      /* that a supervisor had not given it yet when it was killed, or of its own */
    uint64_t malformed, oversized, cut; /* lines skipped; cut: the last one had no end */
    uint64_t handles_received, handles_sent, handles_lost;
};
