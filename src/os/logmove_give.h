/* logmove_give.h - bytes on their way to a job that reads them, so that a kill loses none
 * and doubles none.
 *
 * They go from memory into a scratch pipe (logmove.h), and by splice(2) from there to the
 * job.  The kernel moves whole buffers from pipe to pipe with both locked, and looks at no
 * signal in between, so what a scratch pipe holds and what the job was given are all that
 * there is, at any instant; after a write(2) that a kill has ended nobody would know how
 * much of it the job has.  The slot says
 *
 *   WRITTEN while the scratch pipe is filled: nothing of it has been given
 *   GIVEN   of `done` bytes, which follow `offset` others, the pipe or socket `from` has
 *           all that the scratch pipe no longer holds */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mover;

/* Gives the pipe or stream socket `fd`, which is non-blocking, as many of the bytes as
 * it has room for.  Their number, by which *given has grown, in memory that whoever
 * follows us has, too; or a negative errno: nothing was given.  -EAGAIN, -EPIPE and
 * -EINTR as from write(2); with all others it cannot be done in this way. */
ssize_t mover_give(struct mover *m, int fd, const void *data, size_t len, uint64_t *given);

/* Somebody was giving something to this one: *given is made right. */
void mover_resume_given(struct mover *m, int fd, uint64_t *given);
