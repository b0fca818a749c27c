/* spawn.h - makes a child from a spawn_plan.
 *
 * The child is a fork-like clone: it shares no memory with us, so nothing that
 * it does between its birth and exec (a slow chdir, a SIGSTOP from its new
 * user) can hold the daemon up.  What fails there comes back through a pipe. */
#pragma once

#include <sys/types.h>

#include "core/exit_cause.h"
#include "core/spawn_plan.h"

/* A child starts with our table of descriptors, shared and not copied: with four
 * descriptors for each of a thousand jobs, copying and closing them would cost
 * more than all the rest.  Its first act is to take a copy of the low numbers for
 * itself, and to say so with a report of SPAWN_STAGE_NONE; until then whatever it
 * is to have must stay open here.  Keep descriptors that live long at high
 * numbers (spawn_raise_fd). */
struct spawned {
    pid_t pid;
    int pidfd;    /* readable once the child has ended */
    int error_fd; /* struct spawn_reports, then the end: its program runs */
    int held_fd;  /* the other end of that pipe; with plan->fds to be closed after the first report */
};

struct spawn_report {
    enum spawn_stage stage;
    int error;
    int index; /* of the descriptor, at SPAWN_STAGE_STDIO */
};

/* One of several starts.  To be kept on the heap, which children do not have: what
 * is written between two clones is not copied then. */
struct spawn_start {
    const struct spawn_plan *plan;
    int error; /* 0, or as spawn() would return it */
    struct spawned made;
    const struct spawn_plan *packed; /* for spawn.c */
};

/* All of them, in order; each succeeds or fails by itself. */
void spawn_many(struct spawn_start *starts, size_t n);

/* 0 and *ret, whose descriptors are the caller's (all CLOEXEC, error_fd
 * non-blocking); or a negative errno and no child: -EAGAIN, -ENOMEM, -EMFILE and
 * -ENFILE mean that the system lacks something at the moment. */
int spawn(const struct spawn_plan *plan, struct spawned *ret);

/* Says that what this process does about signals will not change any more: a
 * child then resets those that are ignored, and not all 64. */
void spawn_learn_signals(void);

/* Says that about n descriptors will be open here, so that their table need not grow
 * while a child shares it: the kernel then waits for an RCU grace period each time,
 * ten milliseconds and more (expand_fdtable() in its fs/file.c). */
void spawn_expect_fds(unsigned n);

/* Moves a descriptor out of the low numbers and returns its new one, or the old
 * one when that is not possible; errno stays as it is, and so does -1. */
int spawn_raise_fd(int fd);

/* Is this what lack of means looks like, rather than a fault of the program? */
int spawn_error_is_shortage(int error);
