/* http_conn.h - a connection and its request, for the files of the HTTP server;
 * nobody else includes it. */
#pragma once

#include <sys/queue.h>
#include <sys/uio.h>

#include "control/http_internal.h"
#include "control/http_parse.h"

enum http_state {
    HTTP_HEAD,    /* reading a head, or idle */
    HTTP_BODY,    /* reading a body */
    HTTP_PENDING, /* the handler has the request */
    HTTP_STREAM,  /* the handler streams its answer */
    HTTP_FLUSH,   /* answered; the reply is on its way */
    HTTP_LINGER,  /* all is said; reading until the client closes, so that it can read what was said */
    HTTP_DEAD,    /* closed; freed at the end of the turn */
};

struct http_conn {
    LIST_ENTRY(http_conn) link;
    struct http_server *server;
    struct http_listener *listener;
    struct http_request *request; /* from its head to its answer */
    struct loop_io event;
    struct loop_work work; /* the rest of what a callback began */
    struct buf in;         /* read, not yet understood; no memory while idle */
    struct buf out;        /* to be written from out_sent on; no memory while idle */
    size_t out_sent;
    usec_t deadline;    /* USEC_INFINITY: none */
    usec_t took;        /* when its client last took something of the reply */
    usec_t waits_since; /* for room for its answer; 0: it does not */
    int fd;
    enum http_state state;
    bool refused;  /* beyond the limit: not counted, only told so */
    bool last;     /* closes when `out` is written */
    bool linger;   /* and then lingers, since there may be bytes that were never read */
    bool eof;      /* the client has shut down its side */
    bool broken;   /* writing failed: gone, but found where on_close must not be called */
    bool overflow; /* the stream's client has left too much unread */
    bool streams;  /* its answer is a stream */
    bool waits_on; /* see http_wait.c */
    bool heading;  /* the deadline of a head is running */
    struct http_peer peer;
};

struct http_request {
    struct http_conn *conn;
    struct http_head head;
    struct buf body;
    struct http_chunks chunks;
    http_close_fn on_close;
    void *on_close_arg;
    http_close_fn on_room; /* a stream's client has taken all; NULL: nobody asks */
    void *on_room_arg;
    char *params; /* decoded query: name NUL value NUL, n_params times; NULL: not asked yet */
    size_t n_params;
    const char *header; /* one more for the reply, or NULL */
    bool body_counted;  /* its body is part of server->bodies */
    char text[];        /* what head points into */
};

int http_conn_open(struct http_listener *l, int fd, const struct http_peer *peer, bool refused); /* takes fd */
void http_conn_kill(struct http_conn *c); /* closes; the memory goes at the end of the turn */
void http_conn_gone(struct http_conn *c); /* the same, and tells who has the request */
void http_conn_free(struct http_conn *c); /* of a dead one */
void http_conn_expired(struct http_conn *c);
void http_conn_send(struct http_conn *c, struct iovec *iov, int n);
void http_conn_queue(struct http_conn *c, const void *data, size_t len); /* sends it by the end of the turn */
size_t http_conn_unsent(const struct http_conn *c);
void http_conn_answered(struct http_conn *c);
void http_conn_deadline(struct http_conn *c, usec_t after);
void http_conn_hurry(struct http_server *s); /* those of whom others wait for room */
void http_conn_refuse(struct http_conn *c, int status, const char *why);

/* http_take.c: makes of `in` what can be made of it; at most one request */
void http_conn_advance(struct http_conn *c);

/* http_request.c */
struct http_request *http_request_new(struct http_conn *c, const char *head, size_t len);
void http_request_free(struct http_request *r);
void http_send_error(struct http_conn *c, const struct http_head *head, int status, const char *code,
                     const char *message);

/* http_wait.c: whether an answer of this length has to wait; then the request does, in http_wait_begin() */
bool http_wait_must(const struct http_conn *c, size_t len);
void http_wait_begin(struct http_conn *c);
void http_wait_end(struct http_conn *c);    /* it has gone, or was answered */
void http_wait_look(struct http_server *s); /* less is unread than before */
