/* frame.h - bytes and descriptors as they come from a stream socket -> lines and
 * the descriptors that belong to them.
 *
 * Pure: descriptors are numbers that the caller owns again as soon as they are
 * handed back.  A line that lies whole in what was fed is given as it lies there,
 * without a copy; what is kept for later goes into memory of the caller's, so
 * that the caller may have it where it survives him.
 *
 * Which line a descriptor belongs to (reference: unix(7), and how Node does it):
 * the kernel lets a read end behind the first write that carried one, so that it
 * belongs to the last line that had begun by then; a sender gives it with the
 * first byte of its own line.  Hence a queue: each line that claims one takes the
 * oldest, and what is left when no line is incomplete belonged to none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_FDS_MAX 64

/* Without pointers: may lie in memory that outlives the process. */
struct frame_state {
    uint32_t start, len; /* what is kept, in the store */
    uint32_t looked;     /* of that, bytes known to hold no newline */
    bool skipping;       /* in the middle of a line that is too long */
    uint64_t skipped;    /* bytes of it so far */
};

struct frame {
    struct frame_state *state;
    char *store; /* the caller's, with room for .size bytes; made larger by .grow */
    uint32_t size;
    uint32_t max;                                /* bytes of a line, without its newline */
    int (*grow)(struct frame *f, uint32_t size); /* at least that much; keeps what is there; 0 or -ENOMEM */
    const char *fresh;                           /* what was fed and not looked at yet */
    size_t fresh_len;
    size_t passed; /* of that, the first bytes that are known to hold no newline */
    int fds[FRAME_FDS_MAX];
    uint8_t n_fds;
    uint8_t n_older; /* of those, that came before what was fed last */
    uint8_t n_stray; /* of those, that belong to no line any more */
};

enum frame_result {
    FRAME_LINE,
    FRAME_TOO_LONG, /* a line of .len bytes was skipped: longer than .max, or there was no memory for it */
    FRAME_MORE,     /* all was looked at, and what was fed is no longer needed */
};

struct frame_line {
    const char *text; /* without its newline; valid until the next call */
    uint64_t len;
};

/* Descriptors that came with a read come before its bytes.  False: there are too
 * many, and it remains the caller's. */
bool frame_add_fd(struct frame *f, int fd);
/* Borrowed until frame_next() says FRAME_MORE, or frame_hold(). */
void frame_feed(struct frame *f, const char *data, size_t len);
/* Somebody has looked at the first bytes of what was just fed: there is no newline. */
void frame_pass(struct frame *f, size_t len);

/* Where bytes can be put that come next, so that they need no copy: behind a line that has
 * begun in the store and is incomplete.  *size is how many, `least` or more; NULL: not now. */
char *frame_room(struct frame *f, uint32_t least, uint32_t *size);
void frame_filled(struct frame *f, uint32_t len);

enum frame_result frame_next(struct frame *f, struct frame_line *ret);

/* The descriptor that belongs to the line just given, which is one that claims
 * one; -1: none came. */
int frame_take_fd(struct frame *f);
/* One that belongs to no line, for the caller to close; -1: no more.  Asked for after
 * FRAME_TOO_LONG and FRAME_MORE. */
int frame_stray_fd(struct frame *f);

/* Keeps what is left of what was fed; frame_next() goes on with it later. */
int frame_hold(struct frame *f);

/* Nothing is kept, no line has begun. */
static inline bool frame_is_empty(const struct frame *f)
{
    return f->state->len == 0 && !f->state->skipping && f->fresh_len == 0;
}

/* Is there more to look at without another read? */
static inline bool frame_has_more(const struct frame *f)
{
    return f->fresh_len > 0 || f->state->len > f->state->looked;
}
