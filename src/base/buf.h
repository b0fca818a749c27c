/* buf.h - a byte buffer that grows up to a bound fixed at its birth.
 *
 * Appending past the bound, or without memory, fails with -ENOBUFS or -ENOMEM
 * and leaves the content as it was; the failure sticks in .error, so a series
 * of appends can be checked once at its end. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-terminated whenever data != NULL; the NUL is not counted */
    size_t len;
    size_t capacity;
    size_t max;
    int error; /* 0 or the first negative errno */
};

#define BUF_INIT(max_) ((struct buf){ .max = (max_) })

void buf_done(struct buf *b);  /* frees the memory; the buffer is empty and usable again */
void buf_reset(struct buf *b); /* empties it, keeps the memory, clears .error */
int buf_reserve(struct buf *b, size_t more);
int buf_add(struct buf *b, const void *data, size_t len);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t n); /* drops the first n bytes */
char *buf_steal(struct buf *b);            /* the string, now the caller's; NULL after an error */

#define _cleanup_buf_ __attribute__((cleanup(buf_done)))
