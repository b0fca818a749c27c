/* pidfd.h - a process held by a descriptor: no number can be taken for another. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

/* 0 or a negative errno: -ESRCH when it is gone, -EPERM. */
int pidfd_signal(int pidfd, int signal);

/* Signals the process group that `leader` leads.  The number is safe for as long
 * as the leader has not been reaped, which is for the caller to know. */
int pidfd_signal_group(pid_t leader, int signal);

/* Reaps the child: 1 and *status as wait(2) gives it (and its usage, unless
 * NULL); 0 while it lives; negative errno. */
int pidfd_reap(int pidfd, int *status, struct rusage *usage);
