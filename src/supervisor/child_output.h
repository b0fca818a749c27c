/* child_output.h - what the files child*.c need of each other; others use child.h. */
#pragma once

#include "supervisor/child.h"

extern const struct stream_owner child_stream_owner; /* of the streams of a child, which is their arg */

/* The end of an AUTO log's name is six characters of its own and ".log". */
#define AUTO_LOG_UNIQUE 6
#define AUTO_LOG_TAIL (AUTO_LOG_UNIQUE + 4)
/* It had one before, with these; that is found again, or there is none. */
void child_auto_log_again(struct child *c, int number, const char *unique);

/* From a duplex pipe: has no log, and so only one form. */
void child_duplex_output(int number, const char *data, size_t len, void *child);

/* After an exit: what the pipes hold goes to the log; a pipe that somebody else
 * still writes to is kept, without holding up the process's next start. */
void child_drain(struct child *c);
/* The logs of many earlier runs take nothing: as long as a run would wait for its log, its
 * start does, or there would be ever more pipes.  When a log has taken something, the start
 * is queued again. */
bool child_output_holds_start(struct child *c);

/* Its program runs: that is told, if it was not yet. */
void child_runs(struct child *c);

/* `close` of a run, if it has ended and nobody writes to its pipes and its channel any more. */
void child_tell_closed(struct child *c, pid_t run);
