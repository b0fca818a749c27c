/* logline.c - see logline.h.
 *
 * Owns the bytes of a line that has not ended yet, LOGLINE_MAX at most, and only
 * while there is one; everything else passes through.  The time of a line is
 * that at which its first byte was read. */
#include "wire/logline.h"

#include <string.h>
#include <time.h>

#include "wire/jsonw.h"

void logline_init(struct logline *l, enum log_format format, const char *process, const char *stream)
{
    *l = (struct logline){ .format = format, .process = process, .stream = stream };
    l->begun = BUF_INIT(LOGLINE_MAX);
}

void logline_done(struct logline *l)
{
    buf_done(&l->begun);
}

/* Always of one length: the tools that read logs cut by columns. */
void logline_time(usec_t wall, char out[LOGLINE_TIME])
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 9999 - 1900)
        gmtime_r(&(time_t){ 0 }, &tm);
    size_t n = strftime(out, LOGLINE_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, LOGLINE_TIME - n, ".%06uZ", (unsigned)(wall % USEC_PER_SEC) % 1000000);
}

static void add_json(const struct logline *l, const char *time, const char *line, size_t len, bool partial,
                     struct buf *out)
{
    struct jsonw j = JSONW_INIT(out);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "time", time);
    jsonw_string(&j, "process", l->process);
    jsonw_string(&j, "stream", l->stream);
    jsonw_bytes(&j, "message", line, len);
    if (partial)
        jsonw_bool(&j, "partial", true);
    jsonw_object_end(&j);
    buf_putc(out, '\n');
}

static void add_line(const struct logline *l, const char *time, const char *line, size_t len, bool partial,
                     struct buf *out)
{
    if (l->format == LOG_FORMAT_JSON) {
        add_json(l, time, line, len, partial, out);
        return;
    }
    buf_puts(out, time);
    buf_putc(out, ' ');
    buf_add(out, line, len);
    buf_putc(out, '\n');
}

static void end_begun(struct logline *l, bool partial, struct buf *out)
{
    char time[LOGLINE_TIME];
    logline_time(l->begun_wall, time);
    add_line(l, time, l->begun.data, l->begun.len, partial, out);
    if (partial)
        buf_reset(&l->begun);
    else
        buf_done(&l->begun); /* most streams have no begun line most of the time */
}

/* A piece of a long line ends between two characters, if that is what they are. */
static size_t cut_between_characters(const char *data, size_t len)
{
    size_t at = len;
    for (int i = 0; i < 3 && at > 1 && ((unsigned char)data[at] & 0xc0) == 0x80; i++)
        at--;
    return ((unsigned char)data[at] & 0xc0) == 0x80 ? len : at;
}

/* The bytes up to a newline, or to where a piece is cut.  *used is how many of
 * them, and with the newline; false: neither is there yet. */
static bool next_end(const struct logline *l, const char *data, size_t len, size_t *line, size_t *used)
{
    size_t most = LOGLINE_MAX - l->begun.len;
    const char *newline = memchr(data, '\n', len <= most ? len : most + 1);
    if (newline != NULL) {
        *line = (size_t)(newline - data);
        *used = *line + 1;
        return true;
    }
    if (len <= most)
        return false;
    *line = *used = most > 1 ? cut_between_characters(data, most) : most;
    return true;
}

static void add_part(struct logline *l, const char *now, const char *data, size_t len, bool partial, struct buf *out)
{
    if (l->begun.len > 0 && buf_add(&l->begun, data, len) == 0) {
        end_begun(l, partial, out);
        return;
    }
    if (l->begun.len > 0) /* no memory to join the two: each is a line then */
        end_begun(l, true, out);
    if (len > 0 || !partial)
        add_line(l, now, data, len, partial, out);
}

static void begin(struct logline *l, usec_t wall, const char *now, const char *data, size_t len, struct buf *out)
{
    if (l->begun.len == 0)
        l->begun_wall = wall;
    if (buf_add(&l->begun, data, len) == 0)
        return;
    l->begun.error = 0;
    add_part(l, now, data, len, true, out);
}

size_t logline_format(struct logline *l, usec_t wall, const char *data, size_t len, struct buf *out)
{
    char now[LOGLINE_TIME];
    size_t done = 0;
    logline_time(wall, now);
    while (done < len && out->len < LOGLINE_FILL && out->error == 0) {
        size_t line, used;
        if (!next_end(l, data + done, len - done, &line, &used)) {
            begin(l, wall, now, data + done, len - done, out);
            return len;
        }
        add_part(l, now, data + done, line, line == used, out);
        done += used;
    }
    return out->error == 0 ? done : len;
}

void logline_flush(struct logline *l, struct buf *out)
{
    if (l->begun.len > 0)
        end_begun(l, false, out);
}

void logline_resume(struct logline *l, usec_t wall, const void *data, size_t len)
{
    buf_reset(&l->begun);
    l->begun_wall = wall;
    if (buf_add(&l->begun, data, len) < 0)
        l->begun.error = 0;
}
