/* source.h - something that is followed, and goes on from where it was when the
 * connection was lost: nothing is missed or shown twice, as far as the daemon can say
 * where we were; if it cannot, that is said, once, on standard error. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/gap.h"

struct source {
    struct ctl *ctl;
    const char *what;  /* whose, in words for people */
    const char *path;  /* with a query */
    const char *first; /* what of the query says where to begin; "" */
    const char *blind; /* and where to go on when nobody can say where that would be; "" */
    reply_sink sink;
    void *arg;
    /* NULL: `at` counts bytes.  Else it is the sink that moves it, by whole records, and
     * is told when an answer begins: what it has of an unfinished one comes again. */
    void (*anew)(void *arg);
    bool follow; /* it does not end by itself: silence is fine */

    /* its own */
    struct gap gap;
    char place[REPLY_PLACE_MAX]; /* what `at` counts from; empty: unknown */
    int64_t at;
    bool begun; /* it has been answered once */
    bool more;  /* this answer ends where the next one goes on */
};

/* "ID:OFFSET", as an answer had it: go on from there. */
void source_place(struct source *s, const char *place);
/* What to ask for now. */
int source_path(const struct source *s, struct buf *path);
/* For the reply: .sink, and .began. */
int source_sink(void *arg, const char *data, size_t len);
void source_began(void *arg, const struct reply *r);
