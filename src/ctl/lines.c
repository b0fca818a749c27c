/* lines.c - see lines.h.  Holds at most one unfinished line. */
#include "ctl/lines.h"

#include <string.h>

void lines_init(struct lines *l, lines_fn fn, void *arg)
{
    *l = (struct lines){ .rest = BUF_INIT(LINES_MAX), .fn = fn, .arg = arg };
}

static void lines_flush(struct lines *l)
{
    l->fn(l->arg, l->rest.data != NULL ? l->rest.data : "", l->rest.len);
    buf_reset(&l->rest);
}

int lines_add(struct lines *l, const char *data, size_t len)
{
    while (len > 0) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl != NULL ? (size_t)(nl - data) : len;
        if (n > LINES_MAX - l->rest.len)
            n = LINES_MAX - l->rest.len;
        int e = buf_add(&l->rest, data, n);
        if (e < 0)
            return e;
        data += n;
        len -= n;
        if (len > 0) { /* a newline, or the line is too long */
            size_t skip = *data == '\n';
            lines_flush(l);
            data += skip;
            len -= skip;
        }
    }
    return 0;
}

void lines_end(struct lines *l)
{
    if (l->rest.len > 0)
        lines_flush(l);
    buf_done(&l->rest);
}
