/* channel_queue.h - what waits for one channel: bytes whose memory is borrowed, and marks in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_SPARES 8

struct channels;
struct channel_debt;

/* A queue of bytes: its memory is borrowed from the hub, and only while it has some. */
struct channel_bytes {
    char *data;
    size_t head, len, size;
};

/* A message of the queue that somebody wants to know about, or one with a descriptor. */
struct channel_mark {
    uint64_t start, end; /* where it lies in all that was ever queued */
    uint64_t tag;
    struct channel_debt *debt; /* to who has sent .fd; NULL: none */
    int fd;                    /* -1: none */
    int box;                   /* the descriptor of the box that it is in as well, -1: none */
    uint8_t box_number;
    bool cancelled;
};

struct channel_marks {
    struct channel_mark *list;
    uint32_t head, n, size;
};

/* Would all queues together hold no more than they may?  To each a little is left. */
#define CHANNEL_HELD_MAX (64U << 20)
#define CHANNEL_HELD_LEAST (64U * 1024)
bool channel_bytes_fit(const struct channels *s, const struct channel_bytes *b, size_t more);

int channel_bytes_reserve(struct channels *s, struct channel_bytes *b, size_t more); /* 0, -ENOMEM */
void channel_bytes_consume(struct channels *s, struct channel_bytes *b, size_t n);
void channel_bytes_done(struct channels *s, struct channel_bytes *b);
int channel_marks_add(struct channel_marks *m, struct channel_mark mark); /* 0, -ENOMEM */
struct channel_mark *channel_marks_first(const struct channel_marks *m);  /* NULL: there is none */
struct channel_mark channel_marks_pop(struct channel_marks *m);           /* there is one */
