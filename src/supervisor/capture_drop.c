/* capture_drop.c - a job that shall not wait for its log: what the log does not
 * take is thrown away and counted.
 *
 * Owns nothing.  Losses are told once when they begin and once when they are
 * over, with their sum, so that a log that fails does not fill the daemon's.
 * They are over with the first write that succeeds a second after the last that
 * did not: whoever reads slowly takes a little now and then. */
#include "supervisor/capture_drop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUIET USEC_PER_SEC

struct stream_drops {
    int error; /* 0: nothing is being dropped */
    usec_t since, last;
    uint64_t bytes;
    bool in_line;  /* what was written last has not ended its line */
    bool torn;     /* and never will */
    bool skipping; /* the rest of a line whose beginning was dropped is dropped too */
};

int stream_drops_new(struct stream_drops **ret)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret == NULL ? -ENOMEM : 0;
}

int stream_drops_error(const struct stream_drops *d, usec_t *since)
{
    *since = d->since;
    return d->error;
}

static void report(struct stream *s, const char *reason, int error, uint64_t bytes)
{
    s->owner->report(s, &(struct stream_report){ .reason = reason, .error = error, .bytes = bytes }, s->arg);
}

static void drop(struct stream *s, const char *data, size_t len, int error)
{
    struct stream_drops *d = s->drops;
    bool first = d->error == 0;
    d->last = loop_now(loop_of(&s->io));
    if (first)
        d->since = d->last;
    d->error = error;
    d->bytes += len;
    s->owner->dropped(s, len, s->arg);
    d->torn = d->in_line;
    d->skipping = data[len - 1] != '\n';
    if (first)
        report(s, "dropped", error, d->bytes);
}

static void recover(struct stream *s)
{
    struct stream_drops *d = s->drops;
    if (d->error == 0 || loop_now(loop_of(&s->io)) < d->last + QUIET)
        return;
    uint64_t bytes = d->bytes;
    d->error = 0;
    d->bytes = 0;
    report(s, "recovered", 0, bytes);
}

/* The bytes that belong to a line whose beginning was dropped. */
static size_t skip(struct stream *s, const char *data, size_t len)
{
    struct stream_drops *d = s->drops;
    if (!d->skipping)
        return 0;
    const char *newline = memchr(data, '\n', len);
    size_t n = newline != NULL ? (size_t)(newline - data) + 1 : len;
    d->skipping = newline == NULL;
    d->bytes += n;
    s->owner->dropped(s, n, s->arg);
    return n;
}

/* A line that was cut short must not run into the next one. */
static int end_cut_line(struct stream *s)
{
    struct stream_drops *d = s->drops;
    size_t written;
    int r = d->torn ? logfile_write(s->log, "\n", 1, &written) : 0;
    if (r == 0 && d->torn)
        d->in_line = d->torn = false;
    return r;
}

void stream_put_or_drop(struct stream *s, const char *data, size_t len)
{
    struct stream_drops *d = s->drops;
    size_t written = 0, n = skip(s, data, len);
    data += n;
    len -= n;
    if (len == 0)
        return;
    int r = end_cut_line(s);
    if (r == 0)
        r = logfile_write(s->log, data, len, &written);
    if (written > 0) {
        d->in_line = data[written - 1] != '\n';
        s->owner->logged(s, data, written, s->arg);
    }
    if (r < 0)
        drop(s, data + written, len - written, r);
    else
        recover(s);
}

void stream_drops_end(struct stream *s)
{
    struct stream_drops *d = s->drops;
    if (d->error != 0)
        report(s, "dropped", d->error, d->bytes);
    d->error = 0;
}
