/* http_internal.h - the server, for the files of the HTTP server; nobody else includes it.
 *
 *   http.c          the server: listeners, accepting, deadlines
 *   http_conn.c     one connection: reading, writing, its states
 *   http_take.c     bytes that were read become a request
 *   http_request.c  what handlers ask a request, and how they answer it
 *   http_wait.c     requests whose answers have to wait for room
 *   http_parse.c, http_auth.c   pure */
#pragma once

#include <sys/queue.h>

#include "control/http.h"

struct http_conn;

/* Fields of the server, so that tests need not wait as long as clients may. */
struct http_timeouts {
    usec_t header;      /* for a head, however it dribbles */
    usec_t body;        /* for a body */
    usec_t idle;        /* between two requests of one connection */
    usec_t stall;       /* without a byte of a reply being taken */
    usec_t crowded;     /* the same, while clients together leave too much unread */
    usec_t awaited;     /* the same, while others wait for room for their answers */
    usec_t half_closed; /* how often a half-closed client is looked at */
    usec_t linger;      /* for a refused client to read why */
};

struct http_listener {
    LIST_ENTRY(http_listener) link;
    struct http_server *server;
    struct loop_io event;
    struct http_access access; /* copies of its own */
    unsigned refs;             /* the server's list, and each connection */
    int fd;                    /* -1: closed, and only kept for its connections */
};

struct http_server {
    struct loop *loop;
    http_handler_fn handler;
    void *arg;
    LIST_HEAD(http_listeners, http_listener) listeners;
    LIST_HEAD(http_conns, http_conn) conns, dead;
    struct loop_timer timer; /* for the earliest deadline of all, or earlier */
    usec_t timer_at;         /* USEC_INFINITY: not set */
    usec_t resume_at;        /* listeners pause until then; 0: they do not */
    size_t n_conns;
    size_t n_refused;
    size_t bodies;    /* bytes of unfinished bodies */
    bool bloated;     /* they were many: the heap is given back when they are gone */
    size_t unsent;    /* bytes in all `out` */
    size_t streamed;  /* of these, of streams */
    size_t n_waiting; /* connections whose answers wait for room */
    struct loop_work room;
    int reserve; /* a descriptor to give up when there are no others */
    http_close_fn before_reply;
    void *before_reply_arg;
    struct http_timeouts timeouts;
    char scratch[16 * 1024]; /* what one read brings; nothing stays here */
};

void http_server_deadline(struct http_server *s, usec_t at);
void http_listener_unref(struct http_listener *l);
