/* recovery.h - taking over what a supervisor before us has left. */
#pragma once

#include "guardian/roll.h"
#include "supervisor/supervisor.h"

struct mover;

/* The one that moves bytes into logs, with what a supervisor before us had in hand.
 * What it needs is the guardian's to hold as well. */
int recovery_mover(struct holder *h, struct mover **ret);
/* That end of one of its pipes which the guardian holds by that name, or -1. */
int recovery_scratch(const struct mover *m, const char *name);

/* For processes as the journal has them: those that live become children again, with
 * their pipes; those that have ended meanwhile are told of; starts, stops and timers
 * that were under way go on.  Then whatever else was held or born is given up.
 * Before anything is started anew. */
void recovery_run(struct supervisor *s);

/* The guardian has reaped one that was born to a supervisor before us. */
void recovery_ended(struct supervisor *s, const struct roll_child *rc);
