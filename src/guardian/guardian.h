/* guardian.h - the small process that outlives the supervisor.
 *
 * It is the main process: the one that was started, the one in the pidfile, the
 * one that a service manager knows, PID 1 of a container.  All that it does for
 * the supervisor, its child, is in holder.h. */
#pragma once

#include "guardian/holder.h"

/* Becomes the guardian; argv is how the program was started.  `supervise` is run in a child, again and again as long as
 * it does not end on purpose; what it returns is that child's exit status.  The
 * result is the exit status of the program. */
int guardian_run(char **argv, int (*supervise)(struct holder *h, void *arg), void *arg);
