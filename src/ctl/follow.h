/* follow.h - several streams of the daemon at once, each on a connection of its
 * own, until they end or the user leaves. */
#pragma once

#include "ctl/source.h"

#define FOLLOW_MAX 48 /* the daemon serves 64 connections, to all clients together */

struct follow_stream {
    struct source *source;
    struct client *client; /* NULL once it has ended */
    struct reply reply;
    usec_t again_at; /* its connection was lost, and this is when another is tried; 0: it was not */
};

struct follow {
    struct ctl *ctl;
    struct follow_stream streams[FOLLOW_MAX];
    size_t n;
    bool leave; /* set by a sink: read what is there already, then return */
};

/* The source and its texts are borrowed until follow_done().  Negative when the user
 * was told already. */
int follow_add(struct follow *f, struct source *source);

/* A readable `fd` (-1: none) is given to fn, which ends it all by a result other
 * than 0.  The result is fn's, -EINTR after Ctrl-C, or 0 when all streams ended
 * or a sink wants to leave.  Streams that the daemon refused are those with
 * another status than 200. */
int follow_run(struct follow *f, int fd, int (*fn)(void *arg), void *arg);
void follow_done(struct follow *f);
