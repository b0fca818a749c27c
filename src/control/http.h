/* http.h - an HTTP/1.1 server for small bodies, streams and hostile clients.
 *
 * Knows connections, requests and limits; knows nothing of processes.  A request
 * lives from its handler's call until it was answered in full or its client has
 * gone, whichever is first; after that the pointer is dead, and on_close has
 * said so.  Every limit is answered to the client that met it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/usec.h"
#include "supervisor/loop.h"

struct http_server;
struct http_request;

#define HTTP_HEADER_MAX 8192
#define HTTP_BODY_MAX (64 * 1024)
#define HTTP_BODY_MAX_MESSAGE (1024 * 1024) /* for paths that end in /message */
#define HTTP_BODY_BUDGET (1024 * 1024)      /* of all unfinished bodies together */
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_CONNECTIONS_RESERVED 8 /* of those, for the daemon's own uid and root */
#define HTTP_HEADER_DEADLINE (10 * USEC_PER_SEC)
#define HTTP_BODY_DEADLINE (30 * USEC_PER_SEC)
#define HTTP_IDLE_DEADLINE (60 * USEC_PER_SEC)  /* between two requests; then the connection is closed */
#define HTTP_STALL_DEADLINE (30 * USEC_PER_SEC) /* for a reply of which the client takes nothing */
#define HTTP_REPLIES_CROWDED (640 * 1024) /* of all replies unread together: large ones wait, and then it is this: */
#define HTTP_STALL_DEADLINE_CROWDED USEC_PER_SEC
#define HTTP_STALL_DEADLINE_AWAITED (100 * USEC_PER_MSEC) /* and this while some wait */
#define HTTP_UNREAD_MAX (256 * 1024)                      /* by a follower, before it is dropped */
#define HTTP_RECORD_MAX (32UL * 1024 * 1024) /* one record of a stream whose client has read nearly all before it */
#define HTTP_STREAMS_CROWDED (256 * 1024)    /* by all followers together; then it is this: */
#define HTTP_UNREAD_CROWDED (16 * 1024)
#define HTTP_REPLIES_MAX (64UL * 1024 * 1024) /* of all replies that clients have yet to read, together */

struct http_access {
    bool is_unix;
    const char *username; /* NULL: no password asked; http_server_listen() copies both */
    const char *password; /* clear or {SHA}hex */
    bool lasts;           /* somebody else goes on listening when we have ended */
};

struct http_peer {
    bool known; /* a unix socket: the kernel has vouched for these */
    uid_t uid;
    gid_t gid;
    pid_t pid;
    char text[64]; /* for the log: "uid 0 pid 4711" or "127.0.0.1:40022" */
};

typedef void (*http_handler_fn)(struct http_request *r, void *arg);
typedef void (*http_close_fn)(void *arg);

int http_server_new(struct loop *loop, http_handler_fn handler, void *arg, struct http_server **ret);
/* What is done before each reply that is not a stream: whoever hears of an outcome can count on it. */
void http_server_before_reply(struct http_server *s, http_close_fn fn, void *arg);
void http_server_free(struct http_server *s); /* closes all connections and listeners */

/* Takes over a listening descriptor (closed when this fails).  On TCP, requests
 * whose Origin is not their Host get 403, as do those to a loopback address
 * without a password whose Host is not of this machine (DNS rebinding). */
int http_server_listen(struct http_server *s, int fd, const struct http_access *access);
void http_server_close_listeners(struct http_server *s); /* connections go on */
/* The same at the end: whoever else holds a socket of ours, nobody waits for an answer there. */
void http_server_end_listening(struct http_server *s);
/* True when no reply is being written any more; for an orderly end. */
bool http_server_idle(const struct http_server *s);
size_t http_server_connections(const struct http_server *s);

const char *http_request_method(const struct http_request *r);
const char *http_request_path(const struct http_request *r); /* still percent-encoded, without the query */
/* i-th value of a query parameter, decoded ('+' is a blank), or NULL; valid while the request lives */
const char *http_request_query(struct http_request *r, const char *name, size_t i);
const char *http_request_body(const struct http_request *r, size_t *len); /* NUL-terminated besides */
const struct http_peer *http_request_peer(const struct http_request *r);
/* Percent-decoding, with a final NUL; -EINVAL on a bad escape or NUL, -ENOBUFS. */
int http_decode(const char *encoded, size_t len, char *out, size_t size);

/* "X-Name: value", to go with the reply or stream that follows; borrowed. */
void http_request_add_header(struct http_request *r, const char *line);

/* One of these ends every request, at once or at any later time, but not after on_close. */
void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len);
void http_reply_json(struct http_request *r, int status, const struct buf *json);
void http_reply_error(struct http_request *r, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Or a stream.  What is written in one turn travels together at its end.  write:
 * 0; -EPIPE when the client has gone (on_close follows, unless the stream is
 * ended first); -ENOBUFS when it would leave more than HTTP_UNREAD_MAX unread (one
 * record to a client that has read nearly all may be larger): `data` was not taken, there is room for one last record
 * of up to 4 KiB that says so, and after http_stream_end() the connection closes when the client has read all. */
int http_stream_begin(struct http_request *r, int status, const char *type);
int http_stream_write(struct http_request *r, const void *data, size_t len);
size_t http_stream_unread(const struct http_request *r);
/* fn is called, never from inside a call of this interface, whenever the client has
 * taken all that was written. */
void http_stream_on_room(struct http_request *r, http_close_fn fn, void *arg);
void http_stream_end(struct http_request *r);
/* Ends it as after -ENOBUFS, with a last record. */
void http_stream_cut(struct http_request *r, const void *last, size_t len);

/* Called once when the client goes before the request was answered; never from
 * inside a call of this interface but http_server_free().  A client that has
 * closed a unix socket is noticed at once.  One that has only shut down its
 * sending side (nc) still gets its reply; on TCP, where that looks like a close,
 * for one second more. */
void http_request_on_close(struct http_request *r, http_close_fn fn, void *arg);
