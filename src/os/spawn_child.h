/* spawn_child.h - the steps of a child on its way to exec, for os/spawn.c only.
 *
 * Every function here runs between clone and exec: async-signal-safe, without heap,
 * and it does not return when its step fails. */
#pragma once

#include "os/spawn.h"

/* Tells the daemon which step failed, and ends the child. */
_Noreturn void spawn_child_fail(int error_fd, enum spawn_stage stage, int error);
_Noreturn void spawn_child_fail_at(int error_fd, enum spawn_stage stage, int error, int index);

/* Limits but that of open files, oom_score_adj, nice, ionice, cpu_affinity. */
void spawn_child_confine(const struct spawn_plan *plan, int error_fd);
/* RLIMIT_NOFILE: its own, or the one that the daemon was started with. */
void spawn_child_limit_files(const struct spawn_plan *plan, int error_fd);
/* The descriptors that it opens itself. */
void spawn_child_open(const struct spawn_plan *plan, int error_fd);
/* Groups, gid, uid and capabilities, and the proof that they hold. */
void spawn_child_become(const struct spawn_plan *plan, int error_fd);
