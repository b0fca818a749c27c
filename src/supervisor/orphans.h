/* orphans.h - processes that became ours because their parent died: PID 1's duty. */
#pragma once

#include "supervisor/supervisor.h"

struct orphans;

/* Begins to reap them where they can come to us: as PID 1 of a container, as a
 * child subreaper, or with children from before our exec.  *ret is NULL where
 * none can, and nothing is spent on it then. */
int orphans_watch(struct supervisor *s, struct orphans **ret);
void orphans_free(struct orphans *o);
