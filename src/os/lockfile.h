/* lockfile.h - one daemon for each state: a lock that dies with its holder, and
 * the pidfile, which is only for people and scripts. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Takes the lock; *fd holds it for as long as it is open.  -EWOULDBLOCK when
 * somebody else has it, then *holder is its pid, 0 if it could not be read. */
int lockfile_take(const char *path, int *fd, pid_t *holder);
/* The holder has a new pid (it has forked). */
void lockfile_update(int fd, pid_t pid);
/* It is about to let the lock go, and says so to whoever waits for it. */
void lockfile_ending(int fd, pid_t pid);

enum lockfile_owner {
    LOCKFILE_RUNS, /* or nobody can say: there is nothing to wait for */
    LOCKFILE_ENDS, /* it has said so */
    LOCKFILE_DEAD, /* what has inherited the lock dies of that, or is about to begin another program */
};
/* Of a lock that somebody else has, as *holder said. */
enum lockfile_owner lockfile_owner(const char *path, pid_t holder);

/* Removes the file and lets the lock go. */
void lockfile_release(const char *path, int *fd);

int pidfile_write(const char *path, pid_t pid);
/* Only if it still has our pid in it. */
void pidfile_remove(const char *path, pid_t pid);
