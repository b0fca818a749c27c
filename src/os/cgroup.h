/* cgroup.h - a cgroup (v2) for one process and all that come of it, so that they
 * can be ended together, whatever session or parent they have chosen.
 *
 * The directories are made below our own cgroup, as drover-PID-NUMBER-NAME: it must
 * be ours to write, as it is for root and where a service manager delegates it.
 * One that was killed is never used again: Linux from 6.14 on kills at its birth
 * who is cloned into such a one. */
#pragma once

#include <sys/types.h>

struct cgroups;

/* 0, or why there can be none: -ENOENT no cgroup v2 is mounted, -EACCES, -EROFS. */
int cgroups_new(struct cgroups **ret);
void cgroups_free(struct cgroups *c); /* removes those that are empty */

/* Makes a cgroup for a process to be born in (spawn_plan.h); *fd is the caller's.  And
 * removes it, when none was born. */
int cgroups_make(struct cgroups *c, const char *name, int *fd);
void cgroups_unmake(int fd);
void cgroups_sweep(struct cgroups *c); /* removes what was killed, where nobody is left */

/* Remembers where a running process is that somebody else reaps; ends all that are
 * there, once, whether it still runs or not. */
void cgroups_note(struct cgroups *c, pid_t pid);
int cgroups_kill_noted(struct cgroups *c, pid_t pid);

/* Ends all that are where this process is, if that is a cgroup of ours (of this
 * daemon or the one before); the process must not have been reaped.  0 or -ENOENT. */
int cgroups_kill(struct cgroups *c, pid_t pid);
