/* capture_put.h - from the bytes of a stream to its log; between capture.c and capture_put.c. */
#pragma once

#include "supervisor/capture.h"

/* Bytes to the log, as lines if it is to have such.  False when something waits:
 * then the stream has a stash, and is not to be read. */
bool stream_put(struct stream *s, const char *data, size_t len);
/* The same for bytes of which a predecessor has brought what was made of them to
 * its log up to byte `done`. */
bool stream_replay(struct stream *s, const char *data, size_t len, uint64_t done);
/* The end has come in the middle of a line.  False when the log has no room for
 * that: then the end comes when it has. */
bool stream_end_lines(struct stream *s);
/* All that was taken is written; what is begun of a line stays with the move. */
void stream_end_move(struct stream *s);
/* Whether it is no use to read: true, and it has a stash without bytes. */
bool stream_waits(struct stream *s);
/* What is stashed is tried once more: true when the log has taken it, and the stream is read again. */
bool stream_retry(struct stream *s);
/* The same before it is its turn: those before it are tried first, and all that they have. */
bool stream_retry_now(struct stream *s);
/* It writes no more: the next one in the line before its log may. */
void stream_leave_line(struct stream *s);
/* One more try, since nothing is tried after it; what is stashed is gone then. */
void stream_give_up(struct stream *s);

/* How many streams have bytes that a disk does not take. */
void capture_stall(struct capture *c, int by);
unsigned capture_stalled(const struct capture *c);
