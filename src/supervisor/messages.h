/* messages.h - the last messages that a process has sent to the supervisor. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define MESSAGES_KEPT (64 * 1024) /* bytes, with a newline behind each */

struct messages {
    char *data;
    uint32_t size, start, len; /* a ring */
    uint32_t lines;
    uint64_t missed; /* that are no longer here, or never were */
};

void messages_done(struct messages *m);
/* One line, without its newline.  What is larger than the ring is only counted. */
void messages_add(struct messages *m, const char *text, size_t len);
/* All that are here, as lines. */
int messages_copy(const struct messages *m, struct buf *out);
