/* intent.h - what operators asked for, so that it holds over the life of a daemon
 * and of the machine: which processes they stopped.
 *
 * A file of lines, each with its sum; the last line about a process counts.  A line
 * that is damaged is passed over.  What cannot be written stays in force in memory,
 * and is written as soon as that is possible again.
 *
 * Every function takes NULL for a daemon that remembers nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct intent;

/* 0; *damaged: lines that were passed over.  -EWOULDBLOCK: another daemon has it open,
 * -EPERM: it is not ours, or another errno. */
int intent_open(const char *path, struct intent **ret, unsigned *damaged);
void intent_close(struct intent *it);

bool intent_is_stopped(const struct intent *it, const char *group, const char *name);
/* An operator stopped it, or started it again; `wall` is for people.  In the file only
 * after intent_sync(): many at once cost one.  0, -ENOMEM, -EINVAL a name with a line end. */
int intent_note(struct intent *it, const char *group, const char *name, bool stopped, uint64_t wall);
/* Once this is 0 all that was noted is on the disk.  Waits for the disk. */
int intent_sync(struct intent *it);
