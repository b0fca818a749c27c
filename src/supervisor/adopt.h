/* adopt.h - processes that run already when a daemon begins. */
#pragma once

#include "os/journal.h"
#include "supervisor/supervisor.h"

/* Makes the process that `pidfd` holds (and takes over) the child of this record, as
 * the slot knows it: with its start, tallies and what was under way.  The record must
 * be STOPPED.  Its pipes are not touched: whoever has them gives them to the record
 * afterwards.  0 or a negative errno, then the pidfd is closed. */
int adopt_process(struct child *c, int pidfd, const struct journal_slot *was);

/* Every process of the journal that lives is adopted by the record of its name; of
 * those that do not, and of those whose record is gone, the log says so.  Returns
 * before anything is started, so that nothing runs twice. */
void adopt_survivors(struct supervisor *s);
