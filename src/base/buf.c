/* buf.c - see buf.h.  Owns its bytes and nothing else; never aborts. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *b)
{
    free(b->data);
    *b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

static int buf_fail(struct buf *b, int error)
{
    if (b->error == 0)
        b->error = error;
    return error;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->error != 0)
        return b->error;
    if (more > b->max || b->len > b->max - more)
        return buf_fail(b, -ENOBUFS);
    size_t need = b->len + more + 1;
    if (need <= b->capacity)
        return 0;
    size_t capacity = b->capacity < 128 ? 128 : b->capacity;
    while (capacity < need)
        capacity += capacity / 2;
    char *data = realloc(b->data, capacity);
    if (data == NULL)
        return buf_fail(b, -ENOMEM);
    b->data = data;
    b->capacity = capacity;
    b->data[b->len] = '\0';
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    int r = buf_reserve(b, len);
    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_vprintf(struct buf *b, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    int r = n < 0 ? buf_fail(b, -EINVAL) : buf_reserve(b, (size_t)n);
    if (r == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return r;
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int r = buf_vprintf(b, format, ap);
    va_end(ap);
    return r;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
    if (b->data != NULL)
        b->data[b->len] = '\0';
}

char *buf_steal(struct buf *b)
{
    if (b->error != 0 || buf_reserve(b, 0) < 0)
        return NULL;
    char *s = b->data;
    *b = BUF_INIT(b->max);
    return s;
}
