/* messages.c - see messages.h.  Owns its ring, which grows as far as it may and
 * then loses its oldest lines, whole ones, counted. */
#include "supervisor/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define FIRST 1024

void messages_done(struct messages *m)
{
    free(m->data);
    *m = (struct messages){ 0 };
}

/* A ring that has not had its full size yet has not gone round either. */
static int reserve(struct messages *m, size_t need)
{
    uint32_t size = m->size > 0 ? m->size : FIRST;
    while (size < m->len + need && size < MESSAGES_KEPT)
        size *= 2;
    if (size == m->size)
        return 0;
    char *data = realloc(m->data, size);
    if (data == NULL)
        return -ENOMEM;
    m->data = data;
    m->size = size;
    return 0;
}

/* Bytes of the oldest line, with its newline. */
static uint32_t oldest(const struct messages *m)
{
    uint32_t to_end = m->size - m->start < m->len ? m->size - m->start : m->len;
    const char *newline = memchr(m->data + m->start, '\n', to_end);
    if (newline != NULL)
        return (uint32_t)(newline - (m->data + m->start)) + 1;
    newline = memchr(m->data, '\n', m->len - to_end);
    return to_end + (uint32_t)(newline - m->data) + 1;
}

static void drop_oldest(struct messages *m)
{
    uint32_t n = oldest(m);
    m->start = (m->start + n) % m->size;
    m->len -= n;
    m->lines--;
    m->missed++;
}

static void put(struct messages *m, const char *data, size_t len)
{
    uint32_t at = (m->start + m->len) % m->size;
    size_t to_end = m->size - at < len ? m->size - at : len;
    memcpy(m->data + at, data, to_end);
    memcpy(m->data, data + to_end, len - to_end);
    m->len += (uint32_t)len;
}

void messages_add(struct messages *m, const char *text, size_t len)
{
    if (len + 1 > MESSAGES_KEPT || reserve(m, len + 1) < 0) {
        m->missed++;
        return;
    }
    while (m->len + len + 1 > m->size)
        drop_oldest(m);
    put(m, text, len);
    put(m, "\n", 1);
    m->lines++;
}

int messages_copy(const struct messages *m, struct buf *out)
{
    uint32_t to_end = m->size - m->start < m->len ? m->size - m->start : m->len;
    if (m->len == 0)
        return 0;
    int r = buf_add(out, m->data + m->start, to_end);
    return r < 0 ? r : buf_add(out, m->data, m->len - to_end);
}
