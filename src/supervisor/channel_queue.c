/* channel_queue.c - what waits for a channel: bytes, and marks in them.
 *
 * A queue has memory only while something is in it; a few that are no longer needed are
 * kept for whoever needs one next, so that messages that come and go cost no malloc. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "supervisor/channel_internal.h"

#define BYTES_SMALL 4096
#define SPARE_MAX (256 * 1024) /* a larger one goes back to the system */

/* -- a queue of bytes ----------------------------------------------------------- */

void channel_bytes_done(struct channels *s, struct channel_bytes *b)
{
    if (b->data != NULL && b->size <= SPARE_MAX && s->n_spares < CHANNEL_SPARES) {
        s->spares[s->n_spares++] = (struct channel_bytes){ .data = b->data, .size = b->size };
    } else {
        free(b->data);
        s->held -= b->size;
    }
    *b = (struct channel_bytes){ 0 };
}

/* Twice as much, as long as that is not enough.  What is in front of a queue's bytes counts
 * twice, so that it is moved less often than it is filled. */
static size_t size_for(const struct channel_bytes *b, size_t more)
{
    size_t need = (b->len + more) * (b->head > 0 ? 2 : 1);
    size_t size = b->size > 0 ? b->size : BYTES_SMALL;
    while (size < need)
        size *= 2;
    return size;
}

bool channel_bytes_fit(const struct channels *s, const struct channel_bytes *b, size_t more)
{
    return b->head + b->len + more <= b->size || s->held + size_for(b, more) - b->size <= CHANNEL_HELD_MAX;
}

int channel_bytes_reserve(struct channels *s, struct channel_bytes *b, size_t more)
{
    if (b->data == NULL && s->n_spares > 0)
        *b = s->spares[--s->n_spares];
    if (b->head + b->len + more <= b->size)
        return 0;
    if (b->head > 0 && (b->len + more <= b->size / 2 || b->len == 0)) { /* moved less often than it is filled */
        memmove(b->data, b->data + b->head, b->len);
        b->head = 0;
    }
    if (b->head + b->len + more <= b->size)
        return 0;
    size_t size = size_for(b, more);
    char *data = malloc(size);
    if (data == NULL)
        return -ENOMEM;
    if (b->len > 0)
        memcpy(data, b->data + b->head, b->len);
    free(b->data);
    s->held += size - b->size;
    *b = (struct channel_bytes){ .data = data, .len = b->len, .size = size };
    return 0;
}

void channel_bytes_consume(struct channels *s, struct channel_bytes *b, size_t n)
{
    b->head += n;
    b->len -= n;
    if (b->len == 0)
        channel_bytes_done(s, b);
}

/* -- marks ------------------------------------------------------------------- */

struct channel_mark *channel_marks_first(const struct channel_marks *m)
{
    return m->n > 0 ? &m->list[m->head] : NULL;
}

int channel_marks_add(struct channel_marks *m, struct channel_mark mark)
{
    if (m->head + m->n == m->size && m->head > m->size / 2) {
        memmove(m->list, m->list + m->head, m->n * sizeof(*m->list));
        m->head = 0;
    }
    if (m->head + m->n == m->size) {
        uint32_t size = m->size > 0 ? 2 * m->size : 16;
        struct channel_mark *list = realloc(m->list, size * sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        m->list = list;
        m->size = size;
    }
    m->list[m->head + m->n++] = mark;
    return 0;
}

struct channel_mark channel_marks_pop(struct channel_marks *m)
{
    struct channel_mark mark = m->list[m->head++];
    if (--m->n == 0)
        m->head = 0;
    if (m->n == 0 && m->size > 64) {
        free(TAKE_PTR(m->list));
        m->size = 0;
    }
    return mark;
}
