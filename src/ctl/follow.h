/* follow.h - several streams of the daemon at once, each on a connection of its
 * own, until they end or the user leaves. */
#pragma once

#include "ctl/ctl.h"

#define FOLLOW_MAX 48 /* the daemon serves 64 connections, to all clients together */

struct follow_stream {
    struct client *client; /* NULL once it has ended */
    struct reply reply;
};

struct follow {
    struct ctl *ctl;
    struct follow_stream streams[FOLLOW_MAX];
    size_t n;
    bool leave; /* set by a sink: read what is there already, then return */
};

/* Negative when the user was told already. */
int follow_add(struct follow *f, const char *path, reply_sink sink, void *arg);

/* A readable `fd` (-1: none) is given to fn, which ends it all by a result other
 * than 0.  The result is fn's, -EINTR after Ctrl-C, or 0 when all streams ended
 * or a sink wants to leave.  Streams that the daemon refused are those with
 * another status than 200. */
int follow_run(struct follow *f, int fd, int (*fn)(void *arg), void *arg);
void follow_done(struct follow *f);
