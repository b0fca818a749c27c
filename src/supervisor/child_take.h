/* child_take.h - a running process becomes the child of its record: one that was just
 * made, or one that a supervisor before us has left. */
#pragma once

#include "supervisor/child.h"
#include "supervisor/child_plan.h"

/* Hands our ends of pipes and channel (.ours, .logs, .channel_fd of the plan) and the
 * pidfd over to the child; watch: its exit is ours to see by it.  What cannot be
 * watched for lack of memory is an error, and then the process is to be killed. */
int child_take(struct child *c, struct child_plan *p, pid_t pid, int pidfd, bool watch);

/* A pipe of an earlier run that somebody still has the other end of. */
int child_take_lingering(struct child *c, int fd, int number);
