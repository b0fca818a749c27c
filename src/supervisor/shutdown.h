/* shutdown.h - stopping everything in order: supervisor_shutdown(), declared in
 * supervisor.h, and what it shares with its neighbours. */
#pragma once

#include "supervisor/supervisor.h"

/* Keeps the children of a group sorted by name after some were added. */
void supervisor_sort_group(struct member_group *g);

/* Something changed while all is being stopped: see what to stop next. */
void supervisor_shutdown_look(struct supervisor *s);
