/* client.h - one connection to a daemon: HTTP/1.1 over a unix socket or TCP.
 *
 * Kept open between calls.  Either client_call(), which waits for the whole
 * answer, or client_begin() and then client_receive() whenever client_fd() is
 * readable, for those who follow several streams at once. */
#pragma once

#include <stddef.h>

#include "base/usec.h"
#include "ctl/endpoint.h"
#include "ctl/reply.h"

struct client;

#define CLIENT_PATIENCE (10 * USEC_PER_SEC)

struct client_request {
    const char *method;
    const char *path; /* already percent-encoded */
    const char *body; /* NULL: none */
    size_t len;
    usec_t patience; /* the longest silence; USEC_INFINITY: none */
    bool endless;    /* once the answer has begun silence is fine: a stream that follows */
};

int client_new(const struct endpoint *e, struct client **ret); /* the endpoint is borrowed */
void client_free(struct client *c);

/* A descriptor that is readable when the user wants to leave (a signalfd), or -1. */
void client_interrupt_on(struct client *c, int fd);

/* 0 or a negative errno: -ENOENT no socket file, -ECONNREFUSED nobody listens. */
int client_connect(struct client *c);
void client_close(struct client *c);

/* Errors besides those of client_connect() and reply_feed(): -ETIMEDOUT nothing
 * came for `patience`, -ECONNRESET closed early, -ECONNABORTED closed before the
 * request was read, so that it had no effect; -EINTR the user wants to leave. */
int client_call(struct client *c, const struct client_request *q, struct reply *r);

int client_begin(struct client *c, const struct client_request *q);
int client_fd(const struct client *c);                 /* -1 when not connected */
int client_receive(struct client *c, struct reply *r); /* 1 complete, 0 more to come, negative */

usec_t client_now(void); /* CLOCK_MONOTONIC */
void client_base64(struct buf *b, const void *bytes, size_t len);
