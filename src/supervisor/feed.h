/* feed.h - bytes for a process that reads at its own pace: its stdin, or a pipe of
 * its own in both directions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/loop.h"

struct feed_queue; /* what the descriptor has not taken yet */

struct feed {
    struct loop *loop;
    struct feed_queue *queue; /* only while the job does not read as fast as we are told to write */
    int fd;                   /* -1: none */
    bool socket;              /* the other direction stays open when this one is closed */
    bool broken;              /* nobody reads there any more, or we have said that this is all */
};

/* Whole or not at all: 0, -EPIPE, -ENOMEM, or -ENOBUFS when the queue would be
 * longer than FEED_QUEUE_MAX. */
#define FEED_QUEUE_MAX (256 * 1024)
int feed_write(struct feed *f, const void *data, size_t len);

/* The end of what is to be read, once all is taken. */
void feed_close(struct feed *f);

/* Closes the descriptor and forgets what was not taken. */
void feed_end(struct feed *f);
