/* channel_keep.h - what a channel must not lose, in one piece of memory.
 *
 * Half a line that was read, half a line that is written, acknowledgements that are
 * owed: without these nobody could go on with the socket, since half a line followed
 * by another kills a Node program, and a handle without its answer blocks it.  There
 * is no pointer in it, so that it can lie in memory that outlives us: a memfd that the
 * guardian holds.
 *
 * All of it is as it was at one instant between two lines or two writes; what the system
 * was doing in that instant it has noted itself.  So whoever goes on knows of each byte
 * whether it has been read, looked at or written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/channel_desk.h"
#include "supervisor/channel_owner.h"
#include "wire/frame.h"

/* A write that is under way. */
struct channel_write {
    uint32_t len;                    /* of all of it; 0: there is none */
    uint32_t messages, messages_len; /* of those that wait, how many are in it */
    uint32_t acks, nacks;
    bool whole;   /* it is one long line, which lies in the second room as well, from its beginning on, */
    bool through; /* or which is noted on the desk alone; that room is large enough for it */
    bool handle;  /* it carries a descriptor, */
    uint8_t box;  /* of which there is a box too: its number and 1 */
};

/* How far a batch on the desk is done with; both numbers with one store. */
struct channel_progress {
    _Alignas(8) uint32_t looked; /* what comes before that byte is */
    uint32_t received;           /* more messages than .counters say, for whoever goes on */
};

enum channel_batch {
    CHANNEL_BATCH_NONE,
    CHANNEL_BATCH_DESK,
    CHANNEL_BATCH_IN, /* behind what .in has, which does not know of it yet */
};

/* What is so at one instant. */
struct channel_state {
    struct channel_counters counters;
    struct channel_progress batch_at;
    struct frame_state in;         /* bytes[0 .. in_size): lines that were read and not looked at */
    uint32_t rest_start, rest_len; /* in the second room: the rest of a line of which the socket has the beginning */
    uint32_t acks, nacks;          /* owed, whole ones */
    uint32_t owed;                 /* acknowledgements of descriptors that we may still lose, */
    uint32_t settled;              /* and of how many we could not any more, counted round */
    uint32_t queued;               /* messages that wait in memory which dies with us */
    uint32_t handles;              /* of them with a descriptor: these are boxed, or their senders are told */
    uint32_t boxed;                /* how many boxes there have been, see channel_box.c, */
    uint16_t boxes;                /* and which of their numbers are of messages that wait */
    struct channel_write write;
    uint8_t batch;        /* enum channel_batch: where that is what was read, or is being read */
    bool rest_is_message; /* rather than a word of the protocol */
    bool unacked;         /* a handle was sent and not answered yet */
    bool parked;          /* a message of its own could not go on yet, and waits in memory which dies with us */
};

struct channel_keep {
    uint32_t magic;
    uint64_t id; /* no other channel has it */
    uint32_t in_size, rest_size;
    uint32_t current; /* which of both counts: who is killed leaves one that is whole */
    struct channel_state states[2];
    char bytes[];
};

/* In a memfd, which remains the caller's: as it was left there, or empty when it is new;
 * -1: plain memory.  NULL without memory. */
struct channel_keep *channel_keep_new(int memory);
void channel_keep_free(struct channel_keep *k, int memory);
bool channel_keep_fits(int memory); /* what lies there is laid out as here; an empty one is */

const struct channel_state *channel_keep_state(const struct channel_keep *k);
/* From here on this is so. */
void channel_keep_publish(struct channel_keep *k, const struct channel_state *now);
/* The same for a state in which nothing has changed but that lines of the batch were
 * looked at, which is cheaper. */
void channel_keep_looked(struct channel_keep *k, const struct channel_state *now);
/* After a supervisor that has died: *now is what was so, and what became of a write that
 * was under way; what was only in its hands is counted as lost.  False: half a line was
 * written that nobody knows the rest of.  What is left of a batch on the desk is for the
 * caller. */
bool channel_keep_restore(struct channel_keep *k, const struct channel_desk *d, struct channel_state *now);

/* Of a long line that is noted on the desk the socket has taken so much: *now has it. */
bool channel_keep_through(struct channel_keep *k, const struct channel_desk *d, struct channel_state *now, size_t len,
                          size_t taken);

/* Room for what is read; the block may move.  0 or a negative errno. */
int channel_keep_grow(struct channel_keep **k, int memory, const struct channel_state *now, uint32_t in_size);
/* Notes the rest of a line in *now; there is none yet. */
int channel_keep_rest(struct channel_keep **k, int memory, struct channel_state *now, const char *data, size_t len);
/* Where that is put: .rest_size bytes. */
char *channel_keep_rest_room(struct channel_keep *k);
const char *channel_keep_rest_data(const struct channel_keep *k, const struct channel_state *now);
/* Gives large rooms back when both are empty. */
bool channel_keep_is_large(const struct channel_keep *k);
void channel_keep_trim(struct channel_keep **k, int memory, struct channel_state *now);
