/* child_output.h - what the files child*.c need of each other; others use child.h. */
#pragma once

#include "supervisor/child.h"

extern const struct stream_owner child_stream_owner; /* of the streams of a child, which is their arg */

/* From a duplex pipe: has no log, and so only one form. */
void child_duplex_output(int number, const char *data, size_t len, void *child);

/* After an exit: what the pipes hold goes to the log; a pipe that somebody else
 * still writes to is kept, without holding up the process's next start. */
void child_drain(struct child *c);

/* Its program runs: that is told, if it was not yet. */
void child_runs(struct child *c);

/* `close` of a run, if it has ended and nobody writes to its pipes and its channel any more. */
void child_tell_closed(struct child *c, pid_t run);
