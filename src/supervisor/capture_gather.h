/* capture_gather.h - streams that are left alone for a moment, so that more bytes
 * come together.
 *
 * A job that writes small lines without pause would cost a wake-up, and half a
 * dozen system calls, for a few of them.  Such a stream is not listened to for as
 * long as it goes on, but looked at by the clock. */
#pragma once

#include "supervisor/capture.h"

/* The stream is readable: true when it is so busy that it is looked at later. */
bool gather_begin(struct stream *s);
/* So much was moved at once. */
void gather_note(struct stream *s, size_t moved);
void gather_end(struct stream *s); /* before a stream goes */

/* By capture.c: what the pipe holds now, or a fair part of it, is moved.  How much;
 * -1: the end of file has come, and nothing was done about it. */
ssize_t stream_move(struct stream *s);
/* Whether the loop is to listen to it. */
void stream_listen(struct stream *s, bool on);
