/* channel_desk.h - what all channels share while one of them is at work; it outlives us
 * as channel_keep.h says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CHANNEL_READ_MAX (128 * 1024)

/* Of a descriptor that is about to be safe: what becomes true of two channels at once, when
 * the write that is under way has taken something, or the box is .done. */
struct channel_deal {
    uint64_t sender;   /* is owed one acknowledgement less, */
    uint32_t settled;  /* and that many are settled then; 0: nobody is */
    uint64_t receiver; /* has a box of that number for it, 0: the write carries it */
    uint8_t box;
    bool done;
};

#define CHANNEL_AROUND_MAX 1024

/* Of a long line that is being written from where it was read. */
struct channel_through {
    uint64_t sender;         /* when the write has taken something, it has been looked at what that one sent, */
    uint32_t looked;         /* up to there in the batch; .sender is 0: there is no such write */
    uint32_t at, len;        /* the middle of the line, in the batch */
    uint32_t before, behind; /* lengths of what is around it, one behind the other: */
    char around[CHANNEL_AROUND_MAX];
};

/* What all channels share for as long as one of them is read or written: one call of
 * the system at a time, and it is the kernel that notes here how much it has taken or
 * given. */
struct channel_desk {
    uint32_t magic;
    uint64_t last_id; /* of a channel */
    struct channel_deal deal;
    struct channel_through through;
    struct mmsghdr in, out;
    char batch[CHANNEL_READ_MAX];
};

/* In a memfd, which remains the caller's, or -1: plain memory.  NULL without memory. */
struct channel_desk *channel_desk_new(int memory);
void channel_desk_free(struct channel_desk *d, bool mapped);
