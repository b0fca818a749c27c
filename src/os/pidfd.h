/* pidfd.h - a process held by a descriptor: no number can be taken for another. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

/* 0 or a negative errno: -ESRCH when it is gone, -EPERM. */
int pidfd_signal(int pidfd, int signal);

/* Signals the process group that `leader` leads.  The number is safe for as long
 * as the leader has not been reaped, which is for the caller to know. */
int pidfd_signal_group(pid_t leader, int signal);
/* The same for a leader that is not our child and so may be reaped by somebody at any time. */
int pidfd_signal_group_of(int pidfd, pid_t leader, int signal);

/* As pidfd_reap(), but it stays to be reaped. */
int pidfd_look(int pidfd, int *status, struct rusage *usage);

/* Reaps the child: 1 and *status as wait(2) gives it (and its usage, unless
 * NULL); 0 while it lives; negative errno. */
int pidfd_reap(int pidfd, int *status, struct rusage *usage);

/* Of one that is not our child: 1 and its status, as wait(2) gives it; 0 while it
 * lives; -EAGAIN when it is dead and its parent has not reaped it yet, -ENODATA when
 * this kernel does not tell (before Linux 6.15). */
int pidfd_status_of_other(int pidfd, int *status);
