/* node.h - the messages of Node's own protocol, which no program ever sees.
 *
 * A message is Node's own when it is an object whose `cmd` is a string that begins
 * with NODE_ and goes on.  They are answered or passed over here, never forwarded,
 * and never taken from anybody who sends a message to a process: a Node program
 * dies of an answer that it did not ask for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wire/jsonscan.h"

/* The names that have to be looked for; whoever looks for more puts these first. */
enum { NODE_KEY_CMD, NODE_KEY_TYPE, NODE_KEY_MSG, NODE_KEY_KEY, NODE_KEY_DGRAM, NODE_KEYS };
#define NODE_KEYS_LIST                                                                                                 \
    JSONSCAN_KEY("cmd"), JSONSCAN_KEY("type"), JSONSCAN_KEY("msg"), JSONSCAN_KEY("key"), JSONSCAN_KEY("dgramType")

enum node_kind {
    NODE_PLAIN,        /* not Node's own */
    NODE_HANDLE,       /* carries a descriptor and a message */
    NODE_ACK,          /* of a handle that we sent */
    NODE_NACK,         /* it came without its descriptor */
    NODE_GET_COUNT,    /* how many connections of a server that was sent are open? */
    NODE_NOTIFY_CLOSE, /* tell when all of them are closed */
    NODE_OTHER,        /* passed over: NODE_CLUSTER, NODE_DEBUG_ENABLED, what is to come */
};

/* What a handle is; the order is that of its words. */
enum node_type {
    NODE_TYPE_NONE,
    NODE_TYPE_SERVER,       /* net.Server: a listening socket */
    NODE_TYPE_SOCKET,       /* net.Socket: a connection */
    NODE_TYPE_NATIVE,       /* net.Native: either, or a pipe, as the descriptor says */
    NODE_TYPE_DGRAM_SOCKET, /* dgram.Socket: bound UDP */
    NODE_TYPE_DGRAM_NATIVE, /* dgram.Native */
};

enum node_dgram { NODE_DGRAM_NONE, NODE_DGRAM_UDP4, NODE_DGRAM_UDP6 };

struct node_handle {
    enum node_type type; /* NODE_TYPE_NONE: not a word that Node knows */
    enum node_dgram dgram;
    struct jsonscan_value msg; /* what it carries; of type JSONSCAN_NONE when there is none */
};

/* `scan` is of the whole text, with NODE_KEYS_LIST first among its keys. */
enum node_kind node_kind_of(const char *text, const struct jsonscan *scan);

/* A NODE_HANDLE taken apart. */
void node_handle_of(const char *text, const struct jsonscan *scan, struct node_handle *ret);

/* Lines with their newlines. */
#define NODE_ACK_LINE "{\"cmd\":\"NODE_HANDLE_ACK\"}\n"
#define NODE_NACK_LINE "{\"cmd\":\"NODE_HANDLE_NACK\"}\n"

/* The answer to GET_COUNT (none are open, since we keep no socket that was sent) or
 * to NOTIFY_CLOSE (all are closed): its length, or 0 when it does not fit or the
 * question has no `key`. */
size_t node_answer(const char *text, const struct jsonscan *scan, enum node_kind kind, char *buf, size_t size);

/* What stands before and behind a message that travels with a handle, without the
 * newline: their lengths by snprintf(3)'s rules. */
#define NODE_WRAP_MAX 96
int node_wrap_before(enum node_type type, enum node_dgram dgram, char buf[NODE_WRAP_MAX]);
#define NODE_WRAP_BEHIND "}"
