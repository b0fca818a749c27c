/* frame.c - see frame.h.
 *
 * Owns nothing: bytes are borrowed, the store and all descriptors are the
 * caller's.  Never looks at a byte twice in search of its newline, so a line that
 * comes in a thousand pieces costs no more than one that comes whole. */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

/* -- descriptors ------------------------------------------------------------ */

bool frame_add_fd(struct frame *f, int fd)
{
    if (f->n_fds == FRAME_FDS_MAX)
        return false;
    f->fds[f->n_fds++] = fd;
    return true;
}

static int pop_fd(struct frame *f)
{
    int fd = f->fds[0];
    f->n_fds--;
    f->n_older = (uint8_t)(f->n_older - (f->n_older > 0));
    memmove(f->fds, f->fds + 1, f->n_fds * sizeof(*f->fds));
    return fd;
}

int frame_take_fd(struct frame *f)
{
    return f->n_fds > 0 ? pop_fd(f) : -1;
}

int frame_stray_fd(struct frame *f)
{
    if (frame_is_empty(f))
        f->n_stray = f->n_fds;
    if (f->n_stray == 0)
        return -1;
    f->n_stray--;
    return pop_fd(f);
}

/* -- lines ------------------------------------------------------------------ */

void frame_feed(struct frame *f, const char *data, size_t len)
{
    f->fresh = data;
    f->fresh_len = len;
    f->passed = 0;
}

void frame_pass(struct frame *f, size_t len)
{
    f->passed = len;
}

/* Behind what is kept; it may move, but not to where it, or what follows, would lie on what it
 * was: who is killed now leaves that behind. */
static int reserve(struct frame *f, size_t len)
{
    struct frame_state *s = f->state;
    if (s->len == 0)
        s->start = 0;
    if (len > UINT32_MAX / 2 - s->start - s->len)
        return -ENOMEM;
    uint32_t need = s->start + s->len + (uint32_t)len;
    if (need > f->size && s->start > 0 && need - s->start <= s->start) {
        memcpy(f->store, f->store + s->start, s->len);
        need -= s->start;
        s->start = 0;
    }
    return need > f->size ? f->grow(f, need) : 0;
}

static int keep(struct frame *f, const char *data, size_t len)
{
    int r = reserve(f, len);
    if (r < 0)
        return r;
    struct frame_state *s = f->state; /* it may have moved with the store */
    memcpy(f->store + s->start + s->len, data, len);
    s->len += (uint32_t)len;
    return 0;
}

char *frame_room(struct frame *f, uint32_t least, uint32_t *size)
{
    const struct frame_state *s = f->state;
    if (s->len == 0 || s->len > s->looked || f->fresh_len > 0 || reserve(f, least) < 0)
        return NULL;
    s = f->state;
    *size = f->size - s->start - s->len;
    return f->store + s->start + s->len;
}

void frame_filled(struct frame *f, uint32_t len)
{
    f->state->len += len;
}

int frame_hold(struct frame *f)
{
    int r = f->fresh_len > 0 ? keep(f, f->fresh, f->fresh_len) : 0;
    if (r == 0)
        f->fresh_len = 0;
    return r;
}

/* Descriptors that came before the end of a line that nobody will see were its own;
 * those that came with its last bytes may be of the line behind it. */
static enum frame_result end_skipped(struct frame *f, uint64_t len, struct frame_line *ret)
{
    f->n_stray = f->n_older;
    *ret = (struct frame_line){ .len = len };
    return FRAME_TOO_LONG;
}

/* A line that lies whole in the store. */
static enum frame_result from_store(struct frame *f, uint32_t len, struct frame_line *ret)
{
    struct frame_state *s = f->state;
    *ret = (struct frame_line){ .text = f->store + s->start, .len = len };
    uint32_t used = len < s->len ? len + 1 : len; /* its newline is there, unless it came with fresh bytes */
    s->start += used;
    s->len -= used;
    s->looked = 0;
    return len > f->max ? end_skipped(f, len, ret) : FRAME_LINE;
}

static enum frame_result skip(struct frame *f, size_t len, bool ends, struct frame_line *ret)
{
    struct frame_state *s = f->state;
    s->skipped += s->len + len;
    s->len = s->looked = 0;
    s->skipping = !ends;
    if (!ends)
        return FRAME_MORE;
    uint64_t all = s->skipped;
    s->skipped = 0;
    return end_skipped(f, all, ret);
}

static enum frame_result from_fresh(struct frame *f, struct frame_line *ret)
{
    const char *data = f->fresh;
    const char *newline = memchr(data + f->passed, '\n', f->fresh_len - f->passed);
    size_t len = newline != NULL ? (size_t)(newline - data) : f->fresh_len;
    size_t used = newline != NULL ? len + 1 : len;
    f->fresh += used;
    f->fresh_len -= used;
    f->passed = 0;
    bool whole = newline != NULL && f->state->len == 0;
    if (f->state->skipping || f->state->len + len > f->max || (!whole && keep(f, data, len) < 0))
        return skip(f, len, newline != NULL, ret);
    if (newline == NULL) {
        f->state->looked = f->state->len;
        return FRAME_MORE;
    }
    if (!whole)
        return from_store(f, f->state->len, ret);
    *ret = (struct frame_line){ .text = data, .len = len };
    return FRAME_LINE;
}

enum frame_result frame_next(struct frame *f, struct frame_line *ret)
{
    struct frame_state *s = f->state;
    if (s->len > s->looked) {
        const char *from = f->store + s->start;
        const char *newline = memchr(from + s->looked, '\n', s->len - s->looked);
        if (newline != NULL)
            return from_store(f, (uint32_t)(newline - from), ret);
        s->looked = s->len;
        if (s->len > f->max)
            skip(f, 0, false, ret);
    }
    enum frame_result r = f->fresh_len > 0 ? from_fresh(f, ret) : FRAME_MORE;
    if (r == FRAME_MORE)
        f->n_older = f->n_fds;
    return r;
}
