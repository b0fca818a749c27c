/* channel_keep.h - what a channel must not lose, in one piece of memory.
 *
 * Half a line that was read, half a line that is written, acknowledgements that are
 * owed: without these nobody could go on with the socket, since half a line followed
 * by another kills a Node program, and a handle without its answer blocks it.  There
 * is no pointer in it, so that it can lie in memory that outlives us: a memfd that the
 * guardian holds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/channel_owner.h"
#include "wire/frame.h"

struct channel_keep {
    uint32_t magic;
    uint32_t in_size;              /* bytes[0 .. in_size): lines that were read and not looked at */
    uint32_t rest_size;            /* behind them: the rest of a line of which the socket has the beginning, */
    uint32_t rest_start, rest_len; /* and where in there it is */
    uint32_t acks, nacks;          /* owed, whole ones */
    struct frame_state in;
    struct channel_counters counters;
    uint8_t batch;        /* enum channel_batch */
    bool rest_is_message; /* rather than a word of the protocol */
    bool unacked;         /* a handle was sent and not answered yet */
    bool writing;         /* a write that the kernel may cut is under way */
    char bytes[];
};

/* What was read and is being looked at lies in memory that dies with us. */
enum channel_batch {
    CHANNEL_BATCH_NONE,
    CHANNEL_BATCH_READING, /* nobody knows whether the kernel has given it out */
    CHANNEL_BATCH_WHOLE,   /* it ends with a line */
    CHANNEL_BATCH_CUT,     /* it ends within one */
};

/* In a memfd, which remains the caller's: as it was left there, or empty when it is new;
 * -1: plain memory.  NULL without memory. */
struct channel_keep *channel_keep_new(int memory);
void channel_keep_free(struct channel_keep *k, int memory);
/* After a supervisor that has died: drops what nobody can go on with.  False: half a line
 * may have been written that nobody knows the rest of. */
bool channel_keep_restore(struct channel_keep *k);

/* Room for what is read; the block may move.  0 or a negative errno. */
int channel_keep_grow(struct channel_keep **k, int memory, uint32_t in_size);
/* Notes the rest of a line; there is none yet. */
int channel_keep_rest(struct channel_keep **k, int memory, const char *data, size_t len);
const char *channel_keep_rest_data(const struct channel_keep *k);
/* Gives large rooms back when they are empty. */
void channel_keep_trim(struct channel_keep **k, int memory);
