/* logline.h - the lines of a job's output as log_format asks for them.
 *
 * timestamp: "2031-05-17T08:09:10.123456Z the line".  json: an object with time,
 * process, stream and message (message_base64 when it is not UTF-8).  Both are
 * made of whole lines, so that two streams may share a file; a line that goes on
 * past LOGLINE_MAX is written in pieces, of which json marks all but the last
 * with "partial":true. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/usec.h"
#include "core/program.h"

#define LOGLINE_MAX (16 * 1024)  /* of the job's bytes in one line of ours */
#define LOGLINE_FILL (64 * 1024) /* as much output is made at one go, and the end of the line */
#define LOGLINE_OUT (LOGLINE_FILL + 8 * LOGLINE_MAX)

#define LOGLINE_TIME 28 /* bytes of a time, with its NUL */

struct logline {
    enum log_format format; /* not LOG_FORMAT_RAW */
    const char *process;    /* borrowed */
    const char *stream;
    struct buf begun; /* what is there of a line that has not ended */
    usec_t begun_wall;
};

void logline_init(struct logline *l, enum log_format format, const char *process, const char *stream);
void logline_done(struct logline *l);

/* Adds lines to `out` (born with a bound of LOGLINE_OUT, empty) until that is
 * well filled or the data is used up.  Returns how much of it was used; some of
 * it, or something was added.  Without memory all is used, and out->error set. */
size_t logline_format(struct logline *l, usec_t wall, const char *data, size_t len, struct buf *out);

/* The end has come: the line that was begun is one. */
void logline_flush(struct logline *l, struct buf *out);

/* A line that another process has begun. */
void logline_resume(struct logline *l, usec_t wall, const void *data, size_t len);

void logline_time(usec_t wall, char out[LOGLINE_TIME]);
