/* channel_internal.h - what the files channel*.c share; others use channel.h. */
#pragma once

#include "supervisor/channel.h"
#include "supervisor/channel_desk.h"
#include "supervisor/channel_handles.h"
#include "supervisor/channel_keep.h"
#include "supervisor/channel_queue.h"
#include "wire/jsonscan_ahead.h"

#define CHANNEL_RESERVE_BYTES (64 * 1024)
#define CHANNEL_RESERVE_MESSAGES 64

struct channels {
    struct loop *loop;
    struct loop_work work;
    struct channel *dirty;     /* that the end of the turn has something to do for */
    struct channel *graveyard; /* freed in this turn */
    struct loop_timer timer;   /* for those that wait without an event: see channel_slow() */
    struct channel *slow;
    bool timer_set;
    struct channel_bytes spares[CHANNEL_SPARES];
    unsigned n_spares;
    size_t held; /* bytes of all queues and spares */
    struct channel_desk *desk;
    int memory;                /* the memfd that .desk is in, -1: plain memory */
    struct channel *reader;    /* whose line is being looked at, and nobody has taken it over yet */
    struct channel *at_hand;   /* the same, from the beginning of that line to its end */
    struct channel *heavy;     /* has much to write when that line is over */
    struct channel_debt *paid; /* by the write that is under way */
};

struct channel {
    struct loop_io io;
    struct channels *hub;
    const struct channel_owner *owner;
    void *arg;
    struct channel *dirty_next, *slow_next;
    struct channel_keep *keep;
    struct channel_state now; /* as it is to be in .keep, see channel_publish() */
    struct channel_bytes out; /* whole lines */
    uint64_t out_end;         /* all that was ever queued, in bytes, */
    uint64_t long_end;        /* up to the last line that is longer than a piece */
    struct channel_marks tags, handles;
    uint32_t cancelled;         /* of both */
    struct channel_debt *debts; /* what it is owed for descriptors of its own */
    usec_t box_at;              /* descriptors that wait are put into boxes then; 0: not yet known */
    uint16_t boxes;             /* numbers that are in use */
    bool boxes_all;             /* it takes none: all are put into boxes at once */
    uint64_t unacked_tag;
    usec_t unacked_until;
    usec_t trim_at; /* rooms that are empty are given back; 0: there is none to look at */
    char *answers;  /* to questions of Node's, whole lines; malloc'd */
    uint32_t answers_len;
    struct frame frame;
    struct jsonscan_ahead *ahead; /* of a long line; malloc'd, NULL: there was none lately */
    uint64_t queue_bytes;
    uint32_t queue_messages;
    uint32_t read_size;
    uint32_t socket_size; /* SO_SNDBUF of our end */
    uint32_t last_left;   /* bytes that may still be read, once it has last words */
    int fd;               /* -1: ended */
    int memory;           /* the memfd that .keep is in, -1: plain memory; open while .fd is */
    bool mapped;
    bool single;    /* what was read last was no more than one line */
    bool headless;  /* the first line that comes may have lost its beginning */
    uint8_t paused; /* enum channel_reason */
    uint8_t reads;  /* that brought a descriptor, counted round */
    bool eager;     /* there is another one behind that, as a rule */
    bool is_dirty, is_slow, freed;
    bool blocked;     /* the socket is full, */
    bool retry_later; /* or the kernel lacks something */
    bool broken;      /* nobody reads there any more */
    bool closing;     /* ends when all is written */
    bool last_words;  /* ends when all is read */
    bool wants_room;  /* somebody was refused */
    bool no_acks;     /* it does not answer handles, so nobody waits for it */
};

void channel_touch(struct channel *ch);   /* the end of the turn is to look at it */
void channel_slow(struct channel *ch);    /* it is looked at again a little later */
void channel_watch(struct channel *ch);   /* as its pauses and its queue would have it */
void channel_moved(struct channel *ch);   /* .keep may be elsewhere now */
void channel_publish(struct channel *ch); /* .now is so */
void channel_looked(struct channel *ch);  /* how far is noted in .now */
void channel_trim_later(struct channel *ch);
void channel_end(struct channel *ch); /* closes and tells; `ch` may be freed by it at the end of the turn */

/* channel_in.c */
/* The line that is being looked at has come further: who goes on after us does not look
 * at it again. */
void channel_passed(struct channels *s);
void channel_read(struct channel *ch);
void channel_look(struct channel *ch); /* at what was read before a pause */

/* channel_through.c: a long line from the desk, before all else that waits; false: it does not go that way */
bool channel_send_through(struct channel *ch, const struct iovec *parts, unsigned n, size_t len);
void channel_through_end(struct channels *s);

/* channel_cancel.c */
void channel_take_out(struct channel *ch); /* what was cancelled */

/* A write of this size the kernel takes whole or not at all (unix(7) does not say so; it is one
 * buffer of its own, up to 36,544 bytes), so that who is killed after it has left no half line behind.
 * A larger one is several of these: a part of it is taken if there is no room, or no memory, for more. */
#define CHANNEL_PIECE (35 * 1024)
#define CHANNEL_AT_ONCE (176 * 1024) /* if there is room */

/* channel_write.c */
void channel_flush(struct channel *ch);

/* channel_out.c */
uint64_t channel_out_start(const struct channel *ch);
void channel_settle(struct channel *ch); /* tells who asked what has been taken */
bool channel_out_is_empty(const struct channel *ch);
void channel_relieve(struct channels *s); /* whoever is heavy; never while a line is at hand */
void channel_answer_ack(struct channel *ch, bool arrived);
void channel_answer(struct channel *ch, const char *line, size_t len);
void channel_out_forget(struct channel *ch, int error); /* what waits is lost */
void channel_tell(struct channel *ch, uint64_t tag, int result);
size_t channel_line_length(const struct iovec *parts, unsigned n);
int channel_make_room(struct channel *ch, size_t len, unsigned flags);
void channel_append(struct channel *ch, const struct iovec *parts, unsigned n);
