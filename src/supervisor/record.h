/* record.h - a child's slot in the journal: what would be known of it if we died now. */
#pragma once

#include "os/journal.h"
#include "os/spawn.h"
#include "supervisor/child.h"

/* Takes a slot for it.  0; RECORD_FOUND when a supervisor before us had left something there:
 * then the process is as it was, and recovery_run() has to look for its run; or -ENOMEM. */
#define RECORD_FOUND 1
int record_open(struct child *c);
/* Gives it back, unless its process runs on without us. */
void record_close(struct child *c);

/* A start is about to be made: c->instance is the number of this run, and in the slot
 * before anything of it exists. */
void record_plan(struct child *c);
/* A process was born to it; before anybody is told. */
void record_born(struct child *c, const struct spawned *spawned);
/* After each event and before its effects: a slot that is ahead of the world is put
 * right by a look at the world, one behind it would hide what was done. */
void record_write(struct child *c);

/* What the guardian knows the child of this run by. */
uint64_t record_tag(const struct child *c);
/* Whether any process may run that an earlier supervisor has started. */
bool record_any_runs(const struct supervisor *s);

/* A pidfd of the very process that a slot means, or a negative errno: -ESRCH, it is gone. */
int record_find(const struct journal_slot *slot);
