/* http_parse.h - bytes of an HTTP/1.1 request to values.  Pure: no connection,
 * no clock, no limit but those given; also the target of tests/fuzz/fuzz_http.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Length of the head at the start of data, its blank line included; 0 when it is
 * not complete.  `seen` bytes were looked at before. */
size_t http_head_end(const char *data, size_t len, size_t seen);

/* Pointers into the text that was parsed. */
struct http_head {
    const char *method;
    const char *path;    /* percent-encoded, without the query */
    const char *query;   /* percent-encoded, or NULL */
    const char *headers; /* name NUL value NUL, n_headers times */
    size_t n_headers;
    const char *host;
    const char *wrong;      /* why it was refused, in words */
    int64_t content_length; /* -1: not given */
    bool chunked;
    bool keep_alive;
    bool expect_continue;
    bool http10;
};

/* Parses a head (all of its bytes), rewriting it in place.  0, or the status that
 * answers it, with .wrong saying why. */
int http_head_parse(char *text, size_t len, struct http_head *head);

/* Value of a header, in any case, or NULL. */
const char *http_head_find(const struct http_head *head, const char *name);

/* Takes a chunked body apart.  All-zero to begin with. */
struct http_chunks {
    uint64_t left; /* of the chunk at hand */
    unsigned line; /* bytes of the size line or trailer seen */
    unsigned trailer;
    uint8_t state;
};

enum { HTTP_CHUNKS_MORE, HTTP_CHUNKS_DONE };

/* Feeds bytes, appends what they carry to `body`.  HTTP_CHUNKS_MORE when all were
 * used, HTTP_CHUNKS_DONE when the body ended after *used of them, -EINVAL when
 * they are no chunks, or the error of `body` when it is full. */
int http_chunks_feed(struct http_chunks *c, const char *data, size_t len, size_t *used, struct buf *body);
