/* lines.h - bytes that come in pieces, handed on line by line.
 *
 * A line longer than LINES_MAX is handed on in pieces of that size. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

#define LINES_MAX (64 * 1024)

typedef void (*lines_fn)(void *arg, const char *line, size_t len); /* without its newline */

struct lines {
    struct buf rest;
    lines_fn fn;
    void *arg;
};

void lines_init(struct lines *l, lines_fn fn, void *arg);
int lines_add(struct lines *l, const char *data, size_t len); /* 0 or -ENOMEM */
void lines_end(struct lines *l); /* hands on a last line without newline, frees the memory */
