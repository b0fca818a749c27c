/* logfinish.h - ends the move of bytes into a log that another process began. */
#pragma once

#include "os/logfile.h"
#include "os/logmove.h"

/* Writes what is missing of slot i's move, as mover_left() has told it, into its
 * log, and ends it.  0; or a negative errno when the log does not take it: then
 * it is still there, for another try. */
int log_finish(struct mover *m, unsigned i, const struct move_state *state, struct logfile *f);
