/* reply.h - reads one HTTP/1.1 answer from bytes as they come.
 *
 * Knows no descriptor.  Header lines are bounded, a body that is kept is
 * bounded, and a body with a sink is handed over piece by piece. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define REPLY_LINE_MAX (8 * 1024)
#define REPLY_HEADER_MAX (64 * 1024)
#define REPLY_BODY_MAX (32 * 1024 * 1024)
#define REPLY_PLACE_MAX 80

/* 0 to go on, negative to give up; gets the body of an answer 200 only */
typedef int (*reply_sink)(void *arg, const char *data, size_t len);
struct reply;
typedef void (*reply_began_fn)(void *arg, const struct reply *r); /* the headers are there, and nothing else yet */

enum reply_state {
    REPLY_STATUS,
    REPLY_HEADERS,
    REPLY_LENGTH,    /* body of known length */
    REPLY_UNTIL_EOF, /* body that ends with the connection */
    REPLY_CHUNK_SIZE,
    REPLY_CHUNK_DATA,
    REPLY_CHUNK_END,
    REPLY_TRAILER,
    REPLY_DONE,
};

struct reply {
    enum reply_state state;
    int status;
    bool close; /* the connection cannot be used again */
    bool chunked;
    bool has_length;
    uint64_t left;               /* of the body or the chunk */
    int64_t size;                /* X-Drover-Size, or -1 */
    char place[REPLY_PLACE_MAX]; /* X-Drover-Position, or "" */
    bool more, missed;           /* X-Drover-More, X-Drover-Missed */
    size_t header;               /* bytes of header so far */
    struct buf line;
    struct buf body;
    reply_sink sink;
    reply_began_fn began; /* or NULL; to be set after reply_init() */
    void *arg;
};

void reply_init(struct reply *r, reply_sink sink, void *arg);
void reply_done(struct reply *r);

/* Takes all of `data`.  0, -EPROTO for what is not HTTP, -EMSGSIZE for what is
 * too large, -ENOMEM, or what the sink returned. */
int reply_feed(struct reply *r, const char *data, size_t len);

/* The connection has ended: 0 when that is a proper end, else -ECONNRESET. */
int reply_eof(struct reply *r);

/* Have the headers come? */
bool reply_began(const struct reply *r);
