/* duplex.h - a pipe in both directions, at descriptor 3 or above of a process.
 *
 * What the process writes there is no log: the last of it is kept in memory, for
 * `logs --fd N` and the followers of the process. */
#pragma once

#include "base/buf.h"
#include "supervisor/feed.h"

#define DUPLEX_KEPT (64 * 1024)

struct duplex {
    struct duplex *next;
    struct loop_io io;
    struct feed feed; /* owns the descriptor, for both directions */
    struct buf kept;  /* the last bytes that came */
    int number;
    /* each piece as it comes */
    void (*output)(int number, const char *data, size_t len, void *arg);
    void *arg;
};

/* Takes over `fd`, a socket that does not block. */
int duplex_new(struct loop *loop, int fd, int number, void (*output)(int, const char *, size_t, void *), void *arg,
               struct duplex **ret);
/* The process has ended: what is there is read, then the socket is closed; .kept stays. */
void duplex_drain(struct duplex *d);
void duplex_free_all(struct duplex *first);
struct duplex *duplex_find(struct duplex *first, int number);
