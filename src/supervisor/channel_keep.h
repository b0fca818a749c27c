/* channel_keep.h - what a channel must not lose, in one piece of memory.
 *
 * Half a line that was read, half a line that is written, acknowledgements that are
 * owed: without these nobody could go on with the socket, since half a line followed
 * by another kills a Node program, and a handle without its answer blocks it.  There
 * is no pointer in it, so that it can lie in memory that outlives us. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

struct channel_keep {
    struct frame_state in;
    uint32_t in_size;              /* bytes[0 .. in_size): lines that were read and not looked at */
    uint32_t rest_size;            /* behind them: the rest of a line of which the socket has the beginning, */
    uint32_t rest_start, rest_len; /* and where in there it is */
    uint32_t acks, nacks;          /* owed, whole ones */
    bool rest_is_message;          /* rather than a word of the protocol */
    bool unacked;                  /* a handle was sent and not answered yet */
    char bytes[];
};

struct channel_keep *channel_keep_new(void); /* plain memory: free(); NULL without */

/* Room for what is read; the block may move.  0 or -ENOMEM. */
int channel_keep_grow(struct channel_keep **k, uint32_t in_size);
/* Notes the rest of a line; there is none yet. */
int channel_keep_rest(struct channel_keep **k, const char *data, size_t len);
const char *channel_keep_rest_data(const struct channel_keep *k);
/* Gives large rooms back when they are empty. */
void channel_keep_trim(struct channel_keep **k);
