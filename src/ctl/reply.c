/* reply.c - see reply.h.
 *
 * A small automaton: lines until the empty line, then a body by length, by
 * chunks or until the end.  Whoever is at the other end may be anything: each
 * number is checked, each line and the whole header are bounded, and a body
 * without a sink stops at REPLY_BODY_MAX. */
#include "ctl/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void reply_init(struct reply *r, reply_sink sink, void *arg)
{
    *r = (struct reply){ .size = -1, .sink = sink, .arg = arg };
    r->line = BUF_INIT(REPLY_LINE_MAX);
    r->body = BUF_INIT(REPLY_BODY_MAX);
}

void reply_done(struct reply *r)
{
    buf_done(&r->line);
    buf_done(&r->body);
}

bool reply_began(const struct reply *r)
{
    return r->state > REPLY_HEADERS;
}

/* Digits in `base` at the start of `s`; -EPROTO when there is none or too many. */
static int reply_number(const char *s, unsigned base, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = 0;
    for (;; n++) {
        char c = s[n];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (base == 16 && ((c | 32) >= 'a' && (c | 32) <= 'f'))
            digit = (unsigned)((c | 32) - 'a') + 10;
        else
            break;
        if (value > ((uint64_t)INT64_MAX - digit) / base)
            return -EPROTO;
        value = value * base + digit;
    }
    if (n == 0)
        return -EPROTO;
    *ret = value;
    return 0;
}

static int reply_status_line(struct reply *r, const char *line)
{
    uint64_t status;
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return -EPROTO;
    if (reply_number(line + 9, 10, &status) < 0 || status < 100 || status > 599)
        return -EPROTO;
    r->status = (int)status;
    r->close = line[7] == '0';
    r->state = REPLY_HEADERS;
    return 0;
}

/* The value when `line` is the header `name`, else NULL. */
static const char *reply_header(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    for (line += n + 1; *line == ' ' || *line == '\t';)
        line++;
    return line;
}

static int reply_header_line(struct reply *r, const char *line)
{
    const char *value;
    uint64_t n;
    if ((value = reply_header(line, "content-length")) != NULL) {
        if (reply_number(value, 10, &n) < 0)
            return -EPROTO;
        r->has_length = true;
        r->left = n;
    } else if ((value = reply_header(line, "transfer-encoding")) != NULL) {
        if (strcasecmp(value, "chunked") != 0)
            return -EPROTO;
        r->chunked = true;
    } else if ((value = reply_header(line, "connection")) != NULL) {
        r->close = strcasecmp(value, "close") == 0;
    } else if ((value = reply_header(line, "x-drover-size")) != NULL) {
        if (reply_number(value, 10, &n) == 0)
            r->size = (int64_t)n;
    } else if ((value = reply_header(line, "x-drover-position")) != NULL) {
        snprintf(r->place, sizeof(r->place), "%s", strlen(value) < sizeof(r->place) ? value : "");
    } else if (reply_header(line, "x-drover-more") != NULL) {
        r->more = true;
    } else if (reply_header(line, "x-drover-missed") != NULL) {
        r->missed = true;
    }
    return 0;
}

/* The empty line: what comes next? */
static void reply_headers_end(struct reply *r)
{
    if (r->status < 200) { /* "100 Continue": the answer is still to come */
        reply_sink sink = r->sink;
        reply_began_fn began = r->began;
        void *arg = r->arg;
        reply_done(r);
        reply_init(r, sink, arg);
        r->began = began;
        return;
    }
    if (r->began != NULL)
        r->began(r->arg, r);
    if (r->status == 204 || r->status == 304) {
        r->state = REPLY_DONE;
    } else if (r->chunked) {
        r->state = REPLY_CHUNK_SIZE;
    } else if (r->has_length) {
        r->state = r->left > 0 ? REPLY_LENGTH : REPLY_DONE;
    } else {
        r->close = true;
        r->state = REPLY_UNTIL_EOF;
    }
}

static int reply_chunk_size(struct reply *r, const char *line)
{
    int e = reply_number(line, 16, &r->left);
    if (e < 0)
        return e;
    r->state = r->left > 0 ? REPLY_CHUNK_DATA : REPLY_TRAILER;
    return 0;
}

static int reply_line(struct reply *r, const char *line)
{
    switch (r->state) {
    case REPLY_STATUS:
        return reply_status_line(r, line);
    case REPLY_HEADERS:
        if (*line != '\0')
            return reply_header_line(r, line);
        reply_headers_end(r);
        return 0;
    case REPLY_CHUNK_SIZE:
        r->header = 0;
        return reply_chunk_size(r, line);
    case REPLY_CHUNK_END:
        r->state = REPLY_CHUNK_SIZE;
        return *line == '\0' ? 0 : -EPROTO;
    case REPLY_TRAILER:
        if (*line == '\0')
            r->state = REPLY_DONE;
        return 0;
    default:
        return -EPROTO;
    }
}

static int reply_take_line(struct reply *r, const char **data, const char *end)
{
    const char *nl = memchr(*data, '\n', (size_t)(end - *data));
    size_t n = (size_t)((nl != NULL ? nl : end) - *data);
    r->header += n + 1;
    if (r->header > REPLY_HEADER_MAX)
        return -EMSGSIZE;
    int e = buf_add(&r->line, *data, n);
    if (e < 0)
        return e == -ENOBUFS ? -EMSGSIZE : e;
    *data += n;
    if (nl == NULL)
        return 0;
    *data += 1;
    if (r->line.len > 0 && r->line.data[r->line.len - 1] == '\r')
        r->line.data[--r->line.len] = '\0';
    /* the line may begin a new reply (100 Continue), which drops r->line */
    _cleanup_buf_ struct buf line = r->line;
    r->line = BUF_INIT(REPLY_LINE_MAX);
    return reply_line(r, line.data != NULL ? line.data : "");
}

static int reply_body(struct reply *r, const char *data, size_t len)
{
    if (r->sink != NULL && r->status == 200)
        return r->sink(r->arg, data, len);
    int e = buf_add(&r->body, data, len);
    return e == -ENOBUFS ? -EMSGSIZE : e;
}

static int reply_take_body(struct reply *r, const char **data, const char *end)
{
    size_t n = (size_t)(end - *data);
    bool counted = r->state != REPLY_UNTIL_EOF;
    if (counted && n > r->left)
        n = (size_t)r->left;
    int e = reply_body(r, *data, n);
    if (e < 0)
        return e;
    *data += n;
    if (counted && (r->left -= n) == 0)
        r->state = r->state == REPLY_LENGTH ? REPLY_DONE : REPLY_CHUNK_END;
    return 0;
}

int reply_feed(struct reply *r, const char *data, size_t len)
{
    const char *end = data + len;
    while (data < end) {
        int e;
        if (r->state == REPLY_DONE)
            return -EPROTO; /* more than was asked for */
        if (r->state == REPLY_LENGTH || r->state == REPLY_UNTIL_EOF || r->state == REPLY_CHUNK_DATA)
            e = reply_take_body(r, &data, end);
        else
            e = reply_take_line(r, &data, end);
        if (e < 0)
            return e;
    }
    return 0;
}

int reply_eof(struct reply *r)
{
    if (r->state != REPLY_UNTIL_EOF)
        return r->state == REPLY_DONE ? 0 : -ECONNRESET;
    r->state = REPLY_DONE;
    return 0;
}
