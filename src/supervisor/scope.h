/* scope.h - the cgroup of a process whose kill_mode is cgroup; see os/cgroup.h. */
#pragma once

#include "supervisor/child.h"

/* A directory to be born in, or 0 where there can be none, which is said once. */
int scope_make(struct child *c);
void scope_note(const struct child *c, pid_t pid); /* it was found running, and somebody else reaps it */
/* KILL to all that came of it and are left; it must not have been reaped, or was found
 * and noted.  Nothing happens to a process that is in no cgroup of its own. */
void scope_kill(const struct child *c, pid_t pid);
void scope_remove(const struct child *c); /* when nobody is left in it */

/* The same for a transient process, which is known by its pid alone. */
int scope_make_for(struct supervisor *s, const char *name);
void scope_note_pid(struct supervisor *s, pid_t pid);
void scope_kill_pid(struct supervisor *s, pid_t pid, bool adopted);
void scope_sweep(struct supervisor *s);
